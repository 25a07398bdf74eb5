"""Reading a tenant's ledger from a file, exactly once.

The history is carried out again, portion by portion, each in one transaction of the database: after each of them the
ledger is as it was at some time. So an import that was cut short goes on where it was; what is there already is
compared with the file, byte for byte.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, Protocol
from uuid import UUID

import attrs

from entrypoints import transfer_check as check
from entrypoints.transfer_check import Proved, Standing
from entrypoints.transfer_format import (
    LINE_BYTES_MAX,
    PORTION,
    End,
    FormatError,
    Header,
    Line,
    Transaction,
    entries_named,
    hold_line,
    id_of,
    read_header,
    read_line,
    transaction_line,
    wallet_line,
)

BLOCK: Final = 1024 * 1024
PAGE: Final = 1_000
WAITING_MAX: Final = 2 * PORTION
"""How many transactions may be waiting for one that the first of them follows from. See ``transfer_check.in_turn``."""

Progress = Callable[[int, int], None]


class Differs(Exception):
    """What is in the tenant is not what is in the file. The message names the first difference."""


class Reading(Protocol):
    """The tenant as it is. See ``adapters.postgres.transfer.Reading``."""

    async def counts(self) -> Any: ...
    async def entries(self, wallet_ids: Sequence[Any], versions: Sequence[int]) -> Sequence[Any]: ...
    async def named_transactions(self, ids: Sequence[Any]) -> Sequence[Any]: ...
    async def named_wallets(self, ids: Sequence[Any]) -> Sequence[Any]: ...
    async def named_holds(self, ids: Sequence[Any]) -> Sequence[Any]: ...


Write = Callable[[Mapping[str, Any]], Any]


@attrs.frozen
class Portion:
    """The lines between two marks: transactions with their bytes, or the wallets and holds of the end."""

    number: int
    """Of the first line."""
    lines: list[tuple[bytes, Line]]
    read: int
    """How many bytes of the file have been read by now."""


def whole(path: Path) -> tuple[Header, End]:
    """Read the file once, and make sure that it is whole and as it was written. Raises ``FormatError``, ``OSError``."""
    with path.open("rb") as file:
        header = read_header(file.readline(LINE_BYTES_MAX))
        size = file.seek(0, 2)
        start = max(0, size - LINE_BYTES_MAX)
        file.seek(start)
        tail = file.read()
        last = tail.rfind(b"\n", 0, len(tail) - 1) + 1
        end = None
        if tail.endswith(b"\n"):
            with suppress(FormatError):
                end = read_line(tail[last:], 0).end
        if end is None:
            raise FormatError(f"{path} is cut off: its last line is none that an export ends with")
        file.seek(0)
        sha256, left = hashlib.sha256(), start + last
        while left and (block := file.read(min(BLOCK, left))):
            sha256.update(block)
            left -= len(block)
    if sha256.hexdigest() != end.sha256:
        raise FormatError(f"{path} is not as it was written: its SHA-256 is not what its last line says")
    return header, end


def portions(file: IO[bytes]) -> Iterator[Portion]:
    """The lines behind the first, as far as each next mark. Raises ``FormatError`` before any transaction is told that
    its mark does not confirm."""
    sha256 = hashlib.sha256(file.readline(LINE_BYTES_MAX))
    number, lines = 2, list[tuple[bytes, Line]]()
    first = number
    while text := file.readline(LINE_BYTES_MAX):
        line = read_line(text, number)
        if line.mark is not None or line.end is not None:
            confirmed = line.mark.sha256 if line.mark is not None else line.end.sha256 if line.end else ""
            if confirmed != sha256.hexdigest():
                raise FormatError(f"the lines from {first} on are not as they were written")
            yield Portion(first, lines, file.tell())
            lines, first = [], number + 1
        else:
            lines.append((text, line))
            if len(lines) > PORTION and line.transaction is not None:
                raise FormatError(f"there are more than {PORTION} transactions between two marks, up to line {number}")
            if line.transaction is None and len(lines) >= PAGE:
                # Of wallets and holds nothing is written, so that no mark has to come first.
                yield Portion(first, lines, file.tell())
                lines, first = [], number + 1
        if line.end is not None and file.readline(1):
            raise FormatError(f"line {number} is the end, and there is more")
        sha256.update(text)
        number += 1


@attrs.define
class Importing:
    """An import at work. ``reading`` and ``write`` use connections of their own, and so side by side."""

    reading: Reading
    write: Write
    there: int
    """How many decisions the tenant had when it began."""
    matched: int = 0
    written: int = 0
    entries_written: int = 0
    _waiting: list[Transaction] = attrs.field(factory=list)
    _just_written: Mapping[str, Standing] = attrs.field(factory=dict)
    _under_way: "asyncio.Task[None] | None" = None

    async def run(self, file: IO[bytes], size: int, progress: Progress) -> None:
        """Write what is not there yet. Raises ``FormatError`` and ``Differs``, both before the portion is written."""
        try:
            following = portions(file)
            # In a thread: the statements of the portion that is being written go on meanwhile, one after the other.
            while (portion := await asyncio.to_thread(next, following, None)) is not None:
                if portion.lines and portion.lines[0][1].transaction is None:
                    await self._settle()
                    await self._compare_states(portion)
                else:
                    await self._take(portion)
                progress(portion.read, size)
            await self._settle()
        finally:
            # Whatever else went wrong, what has been begun is finished, and a COMMIT is not called off.
            if self._under_way is not None:
                await asyncio.wait([self._under_way])

    async def _take(self, portion: Portion) -> None:
        made: list[Transaction] = []
        for _, line in portion.lines:
            if line.transaction is None:
                raise FormatError(f"a wallet or hold stands between the transactions from line {portion.number} on")
            made.append(line.transaction)
        if self.matched < self.there:
            made = await self._missing(portion, made)
        self._waiting += made
        if self.matched < self.there:
            if len(self._waiting) > WAITING_MAX or not self.matched:
                raise Differs(self._first_difference())
            return
        await self._write_waiting()

    async def _write_waiting(self) -> None:
        standings = await self._standings()
        ready, left = check.in_turn(self._waiting, standings)
        if left:
            # What it follows from may come yet. Until then nothing is written of the portion.
            if len(self._waiting) > WAITING_MAX:
                raise FormatError(_out_of_turn(left))
            return
        self._waiting = []
        if not ready:
            return
        proved, rows = await asyncio.to_thread(_proved, ready, standings)
        await self._landed()
        self._just_written = check.after(proved)
        self._under_way = asyncio.create_task(self._write(proved, rows))
        # So that it is on its way before the next portion is read.
        await asyncio.sleep(0)

    async def _write(self, proved: Proved, rows: Mapping[str, Any]) -> None:
        await self.write(rows)
        self.written += len(proved.transactions)
        self.entries_written += proved.entries

    async def _landed(self) -> None:
        task, self._under_way = self._under_way, None
        if task is not None:
            await task

    async def _standings(self) -> dict[str, Standing]:
        """Where the wallets stand that are named: those of the portion that is being written, after it."""
        named = {entry.wallet_id for each in self._waiting for entry in each.entries}
        found = {id: standing for id, standing in self._just_written.items() if id in named}
        try:
            rows = await self.reading.named_wallets([UUID(id) for id in named if id not in found])
        except ValueError as error:
            raise FormatError(f"an id of a wallet is none: {error}") from error
        return found | {str(row["id"]): check.standing(row) for row in rows}

    async def _missing(self, portion: Portion, made: list[Transaction]) -> list[Transaction]:
        """The transactions that are not there. Raises ``Differs`` if one that is there is another."""
        try:
            rows = {str(row["id"]): row for row in await self.reading.named_transactions([UUID(t.id) for t in made])}
        except ValueError as error:
            raise FormatError(f"an id of a transaction is none: {error}") from error
        applied = [id for id, row in rows.items() if row["outcome"] == check.APPLIED]
        named = dict(zip(applied, entries_named([rows[id]["result"] for id in applied]), strict=True))
        flat = [entry for entries in named.values() for entry in entries]
        found = await self.reading.entries([id for id, _ in flat], [version for _, version in flat]) if flat else []
        entries = {(str(row["wallet_id"]), row["version"]): row for row in found}
        missing: list[Transaction] = []
        for number, (text, transaction) in enumerate(zip((t for t, _ in portion.lines), made, strict=True)):
            row = rows.get(transaction.id)
            if row is None:
                missing.append(transaction)
                continue
            own = [entries[each] for each in named.get(transaction.id, []) if each in entries]
            if transaction_line(row, own).encode() != text:
                raise Differs(
                    f"{_named(transaction)} in line {portion.number + number} is not what the tenant has under this id"
                )
            self.matched += 1
        return missing

    async def _settle(self) -> None:
        """Everything has been read: nothing may be left, and nothing else be there."""
        if self.matched < self.there:
            raise Differs(self._first_difference())
        await self._landed()
        if self._waiting:
            _, left = check.in_turn(self._waiting, await self._standings())
            raise FormatError(_out_of_turn(left))

    async def _compare_states(self, portion: Portion) -> None:
        """Compare wallets and holds with what the transactions have made of them."""
        for kind, named, line_of in (
            ("wallet", self.reading.named_wallets, wallet_line),
            ("hold", self.reading.named_holds, hold_line),
        ):
            ids: list[UUID] = []
            for number, (_, line) in enumerate(portion.lines, portion.number):
                members = line.wallet if kind == "wallet" else line.hold
                if members:
                    ids.append(id_of(members, number))
            told = {line_of(row).encode() for row in await named(ids)}
            for number, (text, line) in enumerate(portion.lines, portion.number):
                if (line.wallet if kind == "wallet" else line.hold) and text not in told:
                    raise Differs(f"the {kind} in line {number} is not what its transactions have made of it")

    def _first_difference(self) -> str:
        others = f"the tenant has {self.there - self.matched:,} decisions that are not in the file"
        if not self._waiting:
            return f"{others}; its wallets were used after the export, or it is another tenant"
        return f"{others}, and not {_named(self._waiting[0])}, which is: it is not a part of the same ledger"


def _proved(ready: Sequence[Transaction], standings: Mapping[str, Standing]) -> tuple[Proved, Mapping[str, Any]]:
    """A portion, proved, and its rows. Raises ``FormatError``."""
    proved = check.prove(ready, standings)
    try:
        return proved, check.rows_of(proved)
    except (LookupError, TypeError, ValueError) as error:
        raise FormatError(f"a value in the portion up to {_named(ready[-1])} is none: {error}") from error


def _out_of_turn(left: Sequence[Transaction]) -> str:
    return f"{_named(left[0])} does not follow from what comes before it"


def _named(transaction: Transaction) -> str:
    return f"transaction {transaction.id} (key {transaction.key!r})"
