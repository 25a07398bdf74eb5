"""The ledger that is measured: a tenant with ``WALLETS`` wallets, opened through the library as a client would."""

import asyncio
import time
from typing import Any, Final
from uuid import UUID

import attrs
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.ids import UuidV7
from adapters.postgres.admin import Admin
from adapters.postgres.engine import INDEX_ONLY_PLANS, create_engine
from adapters.postgres.migrate import upgrade
from adapters.postgres.schema import SERVICE_ROLE
from adapters.postgres.unit_of_work import PostgresStore
from benchmarks.database import WALLETS, execute, fetch_row
from wallet_core import Applied, BatchLedger, Command, OpenWallet, Outcome, PlaceHold

TENANT_NAME: Final = "default"
API_KEY: Final = "benchmark-key-of-24-characters-or-more"
BATCH: Final = 1000
FLOOR: Final = -(10**12)
"""Wallets may be overdrawn, so that no debit is refused for want of money that nobody has paid in."""

SETTLE_S_MAX: Final = 30
SETTLED_S: Final = 0.2
"""Longer than a batch takes, and what is decoded and decided before it."""

STATE: Final = """
    SELECT (SELECT count(*) FROM transactions WHERE tenant_id = $1 AND id > $2 AND outcome = 'applied'),
        sum(version)::bigint, sum(balance)::bigint
    FROM wallets WHERE tenant_id = $1
"""


def wallet_id(number: int) -> UUID:
    """The id of a wallet, from 1 up; the load generator's scripts make it in the same way."""
    return UUID(f"00000000-0000-7000-8000-{number:012x}")


def writing_engine(dsn: str) -> AsyncEngine:
    """The engine that the service writes through."""
    return create_engine(dsn, role=SERVICE_ROLE, planner=INDEX_ONLY_PLANS)


@attrs.frozen
class State:
    """How many transactions were applied since some other one, and the sums of all wallets' versions and balances."""

    transactions: int
    versions: int
    balance: int

    def minus(self, before: "State") -> "State":
        """By how much it has grown."""
        return State(
            self.transactions - before.transactions, self.versions - before.versions, self.balance - before.balance
        )


@attrs.frozen
class Ledger:
    """A database with a tenant and its wallets."""

    dsn: str
    tenant: UUID
    wallets: int = WALLETS

    def settle(self) -> None:
        """Return when no batch is under way any more: requests are carried out although their client has gone."""
        deadline = time.monotonic() + SETTLE_S_MAX
        last: UUID | None = None
        while (found := self.last_id()) != last:
            if time.monotonic() > deadline:
                raise RuntimeError("the ledger is still being written, long after the load has ended")
            last = found
            time.sleep(SETTLED_S)

    def last_id(self) -> UUID:
        """The newest transaction. Later ones have greater ids."""
        query = "SELECT id FROM transactions WHERE tenant_id = $1 ORDER BY id DESC LIMIT 1"
        found: UUID = fetch_row(self.dsn, query, self.tenant)[0]
        return found

    def state(self, since: UUID) -> State:
        """What it has, at one instant."""
        transactions, versions, balance = fetch_row(self.dsn, STATE, self.tenant, since)
        return State(transactions, versions, balance)

    def place_holds(self, count: int) -> list[UUID]:
        """Place holds of 1, spread over the wallets."""
        commands = [PlaceHold(f"hold-{n}", wallet_id(n % self.wallets + 1), 1) for n in range(count)]
        return [transaction.id for transaction in asyncio.run(_carry_out(self.dsn, self.tenant, commands))]


def prepared_ledger(server: EmbeddedPostgres, name: str, wallets: int = WALLETS) -> Ledger:
    """A new database with the schema, the tenant, its key, and its wallets. Ends with a checkpoint, so that no load
    pays for what was written before it."""
    execute(server.url("postgres"), f"CREATE DATABASE {name}")
    ledger = asyncio.run(open_ledger(server.url(name), wallets))
    execute(ledger.dsn, "VACUUM ANALYZE", "CHECKPOINT")
    return ledger


async def open_ledger(dsn: str, wallets: int) -> Ledger:
    """The same in a database that is there."""
    await upgrade(dsn)
    owner = create_engine(dsn, pool_size=1)
    await Admin(owner).ensure_key(TENANT_NAME, "benchmark", API_KEY, ["read", "write"])
    tenant = await Admin(owner).ensure_tenant(TENANT_NAME)
    await owner.dispose()
    opened = [OpenWallet(f"open-{n}", "EUR", wallet_id(n), floor=FLOOR) for n in range(1, wallets + 1)]
    await _carry_out(dsn, tenant, opened)
    return Ledger(dsn, tenant, wallets)


async def _carry_out(dsn: str, tenant: UUID, commands: list[Any]) -> list[Any]:
    """Carry out commands all of which have to be applied, and return their transactions."""
    engine = writing_engine(dsn)
    ledger = BatchLedger(PostgresStore(engine), UuidV7())
    outcomes: list[Outcome] = []
    for start in range(0, len(commands), BATCH):
        batch: list[Command] = commands[start : start + BATCH]
        outcomes += await ledger.execute(tenant, batch)
    await engine.dispose()
    applied = [outcome.transaction for outcome in outcomes if isinstance(outcome, Applied)]
    if len(applied) != len(commands):
        refused = next(outcome for outcome in outcomes if not isinstance(outcome, Applied))
        raise RuntimeError(f"the ledger cannot be prepared: {refused}")
    return applied
