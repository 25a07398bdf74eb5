"""Writing a tenant's ledger down, as it is at one instant.

Applied transactions come in the order of events. That order never changes, and what is added comes behind what has
ended. So an export that was cut short goes on at its last mark, with what is in the ledger by then: what it has
written is the beginning of that too. Where that is not so, since something that had not ended then came in between, it
is told by the number of transactions, and the export begins anew.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Final, Protocol
from uuid import UUID

import attrs

from entrypoints.transfer_format import (
    LINE_BYTES_MAX,
    PORTION,
    FormatError,
    Mark,
    end_line,
    entries_named,
    header_line,
    hold_line,
    mark_line,
    read_line,
    transaction_line,
    wallet_line,
)
from wallet_core.canonical import time_text
from wallet_core.verify import TenantProof, verify_tenant

PAGE: Final = 1_000
STEP: Final = 200
"""How many lines are made in one go. Between them the database is heard."""
NO_ID: Final = UUID(int=0)

_TRANSACTION: Final = b'{"transaction":'

Place = tuple[int, int, UUID]
FIRST: Final[Place] = (-1, -1, NO_ID)
Progress = Callable[[int, int], None]


class NotProved(Exception):
    """The ledger does not hold, and a copy would not either. The message is for whoever wants it moved."""


class NotWritten(Exception):
    """The file cannot be written. The message says why."""


class Reading(Protocol):
    """A tenant at one instant. See ``adapters.postgres.transfer.Reading``."""

    @property
    def view(self) -> Any:
        """For its proof."""
        ...

    async def counts(self) -> Any: ...
    async def transactions(self, after: Place, limit: int) -> Sequence[Any]: ...
    async def entries(self, wallet_ids: Sequence[Any], versions: Sequence[int]) -> Sequence[Any]: ...
    async def decisions(self, after: UUID, limit: int) -> Sequence[Any]: ...
    async def wallets(self, after: UUID | None, limit: int) -> Sequence[Any]: ...
    async def holds(self, after: UUID | None, limit: int) -> Sequence[Any]: ...
    async def place(self, transaction: UUID) -> Place | None: ...
    async def so_far(self, place: Place) -> int: ...


@attrs.define
class Kept:
    """What an export that was cut short has written up to its last whole mark."""

    size: int
    sha256: Any
    transactions: int
    entries: int
    last: UUID


class Writer:
    """Writes lines, and knows what they come to."""

    def __init__(self, file: IO[bytes], kept: Kept | None = None) -> None:
        self._file = file
        self.sha256 = hashlib.sha256() if kept is None else kept.sha256
        self.transactions = 0 if kept is None else kept.transactions
        self.entries = 0 if kept is None else kept.entries

    def write(self, lines: bytes) -> None:
        """Write whole lines."""
        self._put(lines)
        self.sha256.update(lines)

    def end(self, counts: dict[str, int], at: str) -> None:
        """Write the last line."""
        self._put(end_line(counts, at, self.sha256.hexdigest()), last=True)

    def _put(self, text: bytes, *, last: bool = False) -> None:
        try:
            self._file.write(text)
            if last:
                self._file.flush()
        except OSError as error:
            # Not to be taken for a failure of the database, whose connections raise the same.
            raise NotWritten(f"the export cannot be written: {error.strerror or error}") from error


async def prove(reading: Reading, progress: Progress) -> TenantProof:
    """Prove the ledger that is about to be moved. Raises ``NotProved``."""
    proof = await verify_tenant(reading.view, progress=progress)
    if not proof.ok:
        first = proof.findings.kept[0]
        raise NotProved(
            f"the ledger does not hold ({first.check.value}: {first}), and was not exported; wallet verify tells all"
        )
    return proof


async def write_ledger(
    reading: Reading, tenant: UUID, name: str, file: IO[bytes], kept: Kept | None, progress: Progress
) -> Writer:
    """Write the ledger, or what comes behind ``kept``."""
    counts = await reading.counts()
    total: int = counts["decisions"]
    writer = Writer(file, kept)
    after = FIRST
    if kept is None:
        writer.write(header_line(tenant, name))
    else:
        after = await reading.place(kept.last) or FIRST
    following = asyncio.ensure_future(_page(reading, after))
    try:
        while rows := (page := await following)[0]:
            last = rows[-1]
            following = asyncio.ensure_future(_page(reading, (last["position"], last["lsn"], last["id"])))
            await _write_page(writer, *page)
            writer.write(mark_line(writer.transactions, writer.entries, writer.sha256.hexdigest()))
            progress(writer.transactions, total)
    finally:
        following.cancel()
    decisions = await _write_decisions(reading, writer, lambda done: progress(writer.transactions + done, total))
    wallets = await _write_list(reading.wallets, wallet_line, writer)
    holds = await _write_list(reading.holds, hold_line, writer)
    written = {
        "transactions": writer.transactions,
        "decisions": decisions,
        "entries": writer.entries,
        "wallets": wallets,
        "holds": holds,
    }
    expected = {**{key: counts[key] for key in written}, "decisions": total - counts["transactions"]}
    if written != expected:
        raise RuntimeError(f"{written} was read, and {expected} is there")
    writer.end(written, time_text(counts["at"]))
    return writer


async def _page(reading: Reading, after: Place) -> tuple[Sequence[Any], list[list[tuple[str, int]]], Sequence[Any]]:
    """Transactions, the entries that each of them names, and these entries."""
    rows = await reading.transactions(after, PORTION)
    named = entries_named([row["result"] for row in rows])
    flat = [entry for entries in named for entry in entries]
    if not flat:
        return rows, named, []
    return rows, named, await reading.entries([id for id, _ in flat], [version for _, version in flat])


async def _write_page(
    writer: Writer, rows: Sequence[Any], named: list[list[tuple[str, int]]], entries: Sequence[Any]
) -> None:
    following = iter(zip(entries, (version for names in named for _, version in names), strict=True))
    for start in range(0, len(rows), STEP):
        await asyncio.sleep(0)
        lines = [
            transaction_line(row, [_in_place(*next(following)) for _ in names])
            for row, names in zip(rows[start : start + STEP], named[start : start + STEP], strict=True)
        ]
        writer.write("".join(lines).encode())
    writer.transactions += len(rows)
    writer.entries += len(entries)


def _in_place(entry: Any, version: int) -> Any:
    # They come as they were asked for, and a ledger that was proved lacks none.
    if entry["version"] != version:
        raise RuntimeError(f"version {version} was asked for, and {entry['version']} came")
    return entry


async def _write_decisions(reading: Reading, writer: Writer, progress: Callable[[int], None]) -> int:
    after, written = NO_ID, 0
    while rows := await reading.decisions(after, PAGE):
        writer.write("".join([transaction_line(row, ()) for row in rows]).encode())
        writer.write(mark_line(writer.transactions, writer.entries, writer.sha256.hexdigest()))
        after, written = rows[-1]["id"], written + len(rows)
        progress(written)
    return written


async def _write_list(page: Callable[[UUID | None, int], Any], line: Callable[[Any], str], writer: Writer) -> int:
    after: UUID | None = None
    written = 0
    while rows := await page(after, PAGE):
        writer.write("".join([line(row) for row in rows]).encode())
        after, written = rows[-1]["id"], written + len(rows)
    return written


def what_is_kept(path: Path, header: bytes) -> Kept | None:
    """What of an unfinished file is whole, up to its last mark behind whole portions; None if there is nothing.

    Raises ``FormatError`` where the file is another tenant's, or no export.
    """
    kept: Kept | None = None
    sha256, last = hashlib.sha256(), b""
    with path.open("rb") as file:
        first = file.readline(LINE_BYTES_MAX)
        if not header.startswith(first):
            raise FormatError(
                f"{path} is not the beginning of an export of this tenant: remove it, or name another file"
            )
        sha256.update(first)
        while (line := file.readline(LINE_BYTES_MAX)).endswith(b"\n"):
            if line.startswith(_TRANSACTION):
                sha256.update(line)
                last = line
                continue
            mark = _mark(line)
            if mark is None or mark.sha256 != sha256.hexdigest():
                break
            sha256.update(line)
            # The last portion of an export may be short, and is longer by the time it goes on.
            if mark.transactions % PORTION == 0:
                id = _applied(last)
                if id is None:
                    break
                kept = Kept(file.tell(), sha256.copy(), mark.transactions, mark.entries, id)
    return kept


def _mark(line: bytes) -> Mark | None:
    try:
        return read_line(line, 0).mark
    except FormatError:
        return None


def _applied(line: bytes) -> UUID | None:
    """The id of the transaction in a line, if it is applied."""
    try:
        transaction = read_line(line, 0).transaction
        return UUID(transaction.id) if transaction is not None and transaction.outcome == "applied" else None
    except (FormatError, ValueError):
        return None


async def still_the_beginning(reading: Reading, kept: Kept) -> bool:
    """Whether what is kept is what the ledger begins with now."""
    place = await reading.place(kept.last)
    return place is not None and await reading.so_far(place) == kept.transactions


def settle(file: IO[bytes], part: Path, path: Path) -> None:
    """Have the whole file on disk under its name, or not at all."""
    file.flush()
    os.fsync(file.fileno())
    part.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
