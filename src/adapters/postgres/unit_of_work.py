"""The unit of work on PostgreSQL: optimistic, at read committed, without a lock taken before the write."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from itertools import chain
from types import TracebackType
from typing import Any
from uuid import UUID

from sqlalchemy import CompoundSelect, Select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres import silence, statements
from adapters.postgres.errors import translating
from adapters.postgres.records import DecisionRecord, fetch_entries, hold_of, wallet_of
from adapters.postgres.session import Columns, Session, Writable, open_session
from adapters.postgres.writes import Write, writes_of
from wallet_core.model import Hold, Transaction, Wallet
from wallet_core.ports import Changes, Names, Snapshot, StaleSnapshot


class PostgresStore:
    """A ``Store`` over a pool of connections. See ``ports.Store``."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    def begin(self, tenant: UUID) -> AbstractAsyncContextManager["PostgresUnit"]:
        """A new unit of work, on a connection of its own from the pool."""
        return self._begin(tenant)

    def _begin(self, tenant: UUID) -> AbstractAsyncContextManager["PostgresUnit"]:
        return _Beginning(self._engine, tenant)


class _Beginning(AbstractAsyncContextManager["PostgresUnit"]):
    def __init__(self, engine: AsyncEngine, tenant: UUID) -> None:
        self._session = open_session(engine)
        self._tenant = tenant

    async def __aenter__(self) -> "PostgresUnit":
        with translating():
            return PostgresUnit(await self._session.__aenter__(), self._tenant)

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.__aexit__(exc_type, exc, traceback)


class PostgresUnit:
    """One transaction, which begins when there is something to lock or to write: what is loaded before that is guarded
    by versions and unique values, and by nothing else. See ``ports.UnitOfWork``."""

    def __init__(self, session: Session, tenant: UUID) -> None:
        self._session = session
        self._tenant = tenant
        # Not asked of the session: one that has lost its transaction must not pass for one with nothing to commit.
        self._has_written = False
        self._prepared: list[tuple[Writable, int]] = []
        self._preparing: Iterator[tuple[Writable, int]] | None = None

    async def load(self, names: Names, *, lock: bool = False) -> Snapshot:
        with translating():
            return await self._load(names, lock)

    def prepare(self, changes: Changes) -> bool:
        # One statement at a time: with a thousand rows each takes a millisecond or two.
        self._preparing = self._preparing or self._encoded(changes)
        for write in self._preparing:
            self._prepared.append(write)
            return True
        return False

    async def append(self, changes: Changes) -> None:
        with translating():
            await self._append(changes)

    async def commit(self) -> None:
        if self._has_written:
            with translating(committing=True):
                await self._session.commit()

    async def _load(self, names: Names, lock: bool) -> Snapshot:
        holds_there: list[UUID] = []
        records: list[DecisionRecord] = []
        wallet_ids = dict.fromkeys(names.wallets)
        if names.holds:
            for row in await self._rows(statements.LOAD_HOLD_WALLETS, id=names.holds):
                holds_there.append(row["id"])
                wallet_ids.update(dict.fromkeys(id for id in (row["wallet_id"], row["destination"]) if id is not None))
        if names.transactions:
            rows = await self._rows(statements.LOAD_TRANSACTIONS, id=names.transactions)
            records = [DecisionRecord(row) for row in rows]
            wallet_ids.update((wallet_id, None) for record in records for wallet_id, _ in record.entry_ids)
        if lock and wallet_ids:
            # On its own, so that a silent connection is found soon. It is the first that is asked.
            await self._session.begin()
            await self._session.write(
                statements.LOCK_WALLETS, statements.parameters(self._tenant, {"id": sorted(wallet_ids)})
            )
        now, wallets, holds, known = await self._load_batch(list(wallet_ids), holds_there, names.keys)
        # After the wallets, so that what is not reversed here was not when the wallets were seen either.
        reversed_ids: set[UUID] = set()
        if records:
            rows = await self._rows(statements.LOAD_REVERSED, id=[record.id for record in records])
            reversed_ids = {row["reverses"] for row in rows}
        entries = await fetch_entries(self._session, self._tenant, [*records, *known])
        transactions = {record.id: record.decision(entries) for record in records}
        return Snapshot(
            now,
            wallets,
            holds,
            {id: transaction for id, transaction in transactions.items() if isinstance(transaction, Transaction)},
            reversed_ids,
            {record.key: record.decision(entries) for record in known},
        )

    async def _load_batch(
        self, wallet_ids: Sequence[UUID], hold_ids: Sequence[UUID], keys: Sequence[str]
    ) -> tuple[datetime, dict[UUID, Wallet], dict[UUID, Hold], list[DecisionRecord]]:
        wallets: dict[UUID, Wallet] = {}
        holds: dict[UUID, Hold] = {}
        known: list[DecisionRecord] = []
        times: list[datetime] = []
        for row in await self._rows(
            statements.LOAD_BATCH,
            wallet_id=wallet_ids,
            hold_id=hold_ids,
            key=keys,
        ):
            if (id := row["id"]) is not None:
                wallets[id] = wallet_of(row)
            elif (hold_id := row["hold_id"]) is not None:
                holds[hold_id] = hold_of(row, prefix=statements.HOLD)
            elif row["decision_id"] is not None:
                known.append(DecisionRecord(row, statements.DECISION))
            else:
                times.append(row["now"])
        return times[0], wallets, holds, known

    async def _append(self, changes: Changes) -> None:
        expected: list[int] = []

        def writes() -> Iterator[Writable]:
            for write, rows in chain(self._prepared, self._preparing or self._encoded(changes)):
                expected.append(rows)
                yield write

        self._has_written = True
        # A row that was not written means that a guard did not hold.
        if await self._session.write_all(writes()) != expected:
            raise StaleSnapshot

    def _encoded(self, changes: Changes) -> Iterator[tuple[Writable, int]]:
        """What is to be sent, and how many rows it has to write; each put together when it is asked for."""
        for statement, rows, columns in self._writes(changes):
            yield self._session.encoded(statement, statements.parameters(self._tenant, columns)), rows

    def _writes(self, changes: Changes) -> Iterator[Write]:
        return writes_of(changes)

    async def _rows(self, statement: Select[Any] | CompoundSelect[Any], **columns: Sequence[Any]) -> Sequence[Columns]:
        parameters = statements.parameters(self._tenant, columns)
        return await self._session.fetch(statement, parameters, silence.LOAD_S_MAX)
