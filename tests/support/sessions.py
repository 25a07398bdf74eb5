"""A ledger over few connections, and an owner's session beside it that gets in its way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import asyncpg
import attrs
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.ids import UuidV7
from adapters.postgres.engine import INDEX_ONLY_PLANS, create_engine
from adapters.postgres.schema import SERVICE_ROLE
from adapters.postgres.unit_of_work import PostgresStore, PostgresUnit
from tests.support.stores import new_tenants
from wallet_core import Applied, BatchLedger, Command, OpenWallet, Outcome, Post, credit, decide_batch
from wallet_core.ledger import names_of
from wallet_core.ports import Changes

WAIT_S_MAX: Final = 10.0
POLL_S: Final = 0.01


@attrs.define
class Till:
    """One tenant with one wallet. Each credit is of 1, under a key of its own."""

    engine: AsyncEngine
    owner: asyncpg.Connection
    tenant: UUID
    wallet_id: UUID
    ids: UuidV7
    _keys: int = 0
    _drivers: list[Any] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        event.listen(self.engine.sync_engine, "connect", self._note)

    def _note(self, pooled: Any, record: object) -> None:
        self._drivers.append(pooled.driver_connection)

    @property
    def store(self) -> PostgresStore:
        return PostgresStore(self.engine)

    def next_credit(self, wallet_id: UUID | None = None) -> Post:
        """A credit that was never sent before."""
        self._keys += 1
        return credit(f"credit-{self._keys}", wallet_id or self.wallet_id, 1)

    async def do(self, command: Command) -> Outcome:
        """Carry out one command as the service does."""
        (outcome,) = await BatchLedger(self.store, self.ids).execute(self.tenant, [command])
        return outcome

    async def load(self, unit: PostgresUnit, wallet_id: UUID | None = None) -> Changes:
        """Load what a new credit needs, and decide it."""
        command = self.next_credit(wallet_id)
        snapshot = await unit.load(names_of([command]))
        return decide_batch(snapshot, [command], self.ids(snapshot.now)).changes

    async def balance(self) -> int:
        """What is in the wallet: the number of credits that took effect."""
        found = await self.owner.fetchval("SELECT balance FROM wallets WHERE id = $1", self.wallet_id)
        return int(found)

    async def assert_works(self) -> None:
        """Require that a credit is carried out at the first attempt, as it is when the pool is healthy."""
        before = await self.balance()
        async with self.store.begin(self.tenant) as unit:
            await unit.append(await self.load(unit))
            await unit.commit()
        if await self.balance() != before + 1:
            raise AssertionError("the credit took no effect")

    async def lock_wallet(self) -> None:
        """Have the owner hold the wallet's row until it ends its transaction."""
        await self.owner.execute("BEGIN")
        await self.owner.execute("SELECT FROM wallets WHERE id = $1 FOR UPDATE", self.wallet_id)

    async def pids(self) -> list[int]:
        """The server's processes that serve the ledger's connections."""
        rows = await self.owner.fetch(
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'wallet-service'"
        )
        return [row["pid"] for row in rows]

    async def waiting_pid(self, wait_event: str) -> int:
        """The process of the ledger that waits for such an event, once one does."""
        deadline = asyncio.get_running_loop().time() + WAIT_S_MAX
        while asyncio.get_running_loop().time() < deadline:
            # In a transaction the owner would see what it saw the first time.
            await self.owner.execute("SELECT pg_stat_clear_snapshot()")
            found = await self.owner.fetchval(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'wallet-service' AND $1 IN (wait_event, wait_event_type) AND state = 'active'",
                wait_event,
            )
            if found is not None:
                return int(found)
            await asyncio.sleep(POLL_S)
        raise AssertionError(f"nobody waits for {wait_event}")

    def cut_connections(self) -> None:
        """Close the sockets of the ledger's connections at this end, as a network does that fails."""
        for driver in self._drivers:
            driver.terminate()

    async def terminate_all(self) -> None:
        """End every session of the ledger, and return when they are gone."""
        for pid in await self.pids():
            await self.owner.execute("SELECT pg_terminate_backend($1, 5000)", pid)


@asynccontextmanager
async def till(dsn: str, **engine_options: Any) -> AsyncIterator[Till]:
    """A till in a migrated database, over an engine with these options."""
    (tenant,) = await new_tenants(dsn, 1)
    owner = await asyncpg.connect(dsn)
    engine = create_engine(dsn, role=SERVICE_ROLE, planner=INDEX_ONLY_PLANS, **engine_options)
    try:
        made = Till(engine, owner, tenant, wallet_id=tenant, ids=UuidV7())
        opened = await made.do(OpenWallet("open", "EUR", id=made.wallet_id))
        if not isinstance(opened, Applied):
            raise AssertionError(f"not opened: {opened}")
        yield made
    finally:
        await engine.dispose()
        await owner.close()
