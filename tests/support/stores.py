"""Stores to run a test over: in memory, and on PostgreSQL at each isolation level; and time as a test wants it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import attrs
from sqlalchemy import insert

from adapters.ids import UuidV7
from adapters.memory import MemoryStore
from adapters.memory_events import MemoryEvents
from adapters.postgres.engine import Isolation, create_engine
from adapters.postgres.events import PostgresEvents
from adapters.postgres.reader import PostgresReader
from adapters.postgres.schema import SERVICE_ROLE, tenants
from adapters.postgres.unit_of_work import PostgresStore
from tests.support.time import NOON
from wallet_core import Applied, BatchLedger, Command, OpenWallet, Outcome, Transaction, credit
from wallet_core.events import EventReader, Events
from wallet_core.ports import Changes, Ids, Ledger, Names, Reader, ReplayCache, Snapshot, Store, UnitOfWork
from wallet_core.replays import CachedLedger

POOL_SIZE: Final = 8

MEMORY: Final = "memory"
ISOLATIONS: Final[dict[str, Isolation]] = {
    "postgres, read committed": "READ COMMITTED",
    "postgres, repeatable read": "REPEATABLE READ",
    "postgres, serializable": "SERIALIZABLE",
}


@attrs.define
class World:
    """A store, its reader, and two tenants who have nothing yet."""

    store: Store
    reader: Reader
    tenant: UUID
    other_tenant: UUID
    ids: Ids
    cache: ReplayCache | None = None
    events: EventReader | None = attrs.field(kw_only=True, default=None)

    def ledger(self, ids: Ids | None = None) -> Ledger:
        """A ledger over the store, with the cache in front of it if there is one."""
        plain = BatchLedger(self.store, ids or self.ids)
        return plain if self.cache is None else CachedLedger(plain, self.cache)

    @property
    def an_hour_ago(self) -> "World":
        """The same ledger at an earlier time, so that what is placed there to expire soon has expired here."""
        return attrs.evolve(self, store=ClockedStore(self.store, lambda now: now - timedelta(hours=1)))

    async def open(self, *ids: UUID, balance: int = 100) -> None:
        """Open wallets, an hour ago, with this much in each."""
        opened = [OpenWallet(f"open-{id}", "EUR", id=id) for id in ids]
        funded = [credit(f"fund-{id}", id, balance) for id in ids if balance]
        await self.an_hour_ago.do(*opened, *funded)

    async def do(self, *commands: Command, tenant: UUID | None = None) -> Sequence[Outcome]:
        """Carry out one batch."""
        return await self.ledger().execute(tenant or self.tenant, commands)

    async def apply(self, command: Command, tenant: UUID | None = None) -> Transaction:
        """Carry out one command, which must be applied."""
        (outcome,) = await self.do(command, tenant=tenant)
        if not isinstance(outcome, Applied):
            raise AssertionError(f"not applied: {outcome}")
        return outcome.transaction

    async def told(self, after: str | None = None, limit: int = 500, tenant: UUID | None = None) -> Events:
        """The events after a cursor, or from the beginning."""
        if self.events is None:
            raise TypeError("this world has no events")
        return await self.events.events(tenant or self.tenant, after=after, limit=limit)

    async def load(
        self,
        *,
        keys: Sequence[str] = (),
        wallets: Sequence[UUID] = (),
        holds: Sequence[UUID] = (),
        transactions: Sequence[UUID] = (),
        tenant: UUID | None = None,
    ) -> Snapshot:
        """What a unit of work that names this sees now."""
        async with self.store.begin(tenant or self.tenant) as unit:
            return await unit.load(Names(keys, wallets, holds, transactions))


@asynccontextmanager
async def memory_world(clock: Callable[[], datetime] | None = None) -> AsyncIterator[World]:
    """A world in memory; without a clock it has the system's."""
    store = MemoryStore() if clock is None else MemoryStore(clock)
    yield World(store, store, uuid4(), uuid4(), UuidV7(), events=MemoryEvents(store.committed))


@asynccontextmanager
async def postgres_world(
    dsn: str, isolation: Isolation, clock: Callable[[], datetime] | None = None
) -> AsyncIterator[World]:
    """A world in a migrated database, under the role that the service has there."""
    tenant, other_tenant = await new_tenants(dsn, 2)
    engine = create_engine(dsn, pool_size=POOL_SIZE, pool_timeout_ms=30_000, isolation=isolation, role=SERVICE_ROLE)
    try:
        store: Store = PostgresStore(engine)
        if clock is not None:
            store = ClockedStore(store, lambda _: clock())
        yield World(store, PostgresReader(engine), tenant, other_tenant, UuidV7(), events=PostgresEvents(engine))
    finally:
        await engine.dispose()


async def new_tenants(dsn: str, amount: int) -> list[UUID]:
    """Tenants of a database's owner's making: the service may not make any."""
    made = [uuid4() for _ in range(amount)]
    engine = create_engine(dsn, pool_size=1)
    try:
        async with engine.begin() as connection:
            rows = [{"id": id, "name": f"t{id.hex}", "created_at": NOON} for id in made]
            await connection.execute(insert(tenants), rows)
    finally:
        await engine.dispose()
    return made


@attrs.frozen
class ClockedStore:
    """A store whose snapshots tell another time than the database does, which must not be later.

    The database loads the holds that are due by its own clock, so by an earlier one it loads more than those; and which
    of them are due the core decides by the time that the snapshot tells. So an earlier time is as good as a real one,
    and a test may let it pass as fast as it likes.
    """

    store: Store
    time: Callable[[datetime], datetime]

    def begin(self, tenant: UUID) -> AbstractAsyncContextManager[UnitOfWork]:
        return self._begin(tenant)

    @asynccontextmanager
    async def _begin(self, tenant: UUID) -> AsyncIterator[UnitOfWork]:
        async with self.store.begin(tenant) as unit:
            yield _ClockedUnit(unit, self.time)


@attrs.frozen
class _ClockedUnit:
    unit: UnitOfWork
    time: Callable[[datetime], datetime]

    async def load(self, names: Names, *, lock: bool = False) -> Snapshot:
        snapshot = await self.unit.load(names, lock=lock)
        told = self.time(snapshot.now)
        if told > snapshot.now:
            raise ValueError(f"{told} is later than the database's {snapshot.now}")
        return attrs.evolve(snapshot, now=told)

    def prepare(self, changes: Changes) -> bool:
        return self.unit.prepare(changes)

    async def append(self, changes: Changes) -> None:
        await self.unit.append(changes)

    async def commit(self) -> None:
        await self.unit.commit()
