"""The ledger that is measured: a tenant with ``WALLETS`` wallets, opened through the library as a client would."""

import asyncio
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.ids import UuidV7
from adapters.postgres.admin import Admin
from adapters.postgres.engine import INDEX_ONLY_PLANS, create_engine
from adapters.postgres.migrate import upgrade
from adapters.postgres.schema import SERVICE_ROLE
from adapters.postgres.unit_of_work import PostgresStore
from benchmarks.database import WALLETS, execute, fetch_value
from wallet_core import Applied, BatchLedger, OpenWallet

TENANT_NAME: Final = "default"
API_KEY: Final = "benchmark-key-of-24-characters-or-more"
BATCH: Final = 1000


def wallet_id(number: int) -> UUID:
    """The id of a wallet, from 1 up; the load generator's scripts make it in the same way."""
    return UUID(f"00000000-0000-7000-8000-{number:012x}")


def writing_engine(dsn: str) -> AsyncEngine:
    """The engine that the service writes through."""
    return create_engine(dsn, role=SERVICE_ROLE, planner=INDEX_ONLY_PLANS)


async def prepare_ledger(dsn: str) -> UUID:
    """Migrate, make the tenant and its key, and open the wallets. Returns the tenant."""
    await upgrade(dsn)
    owner = create_engine(dsn, pool_size=1)
    await Admin(owner).ensure_key(TENANT_NAME, "benchmark", API_KEY, ["read", "write"])
    tenant = await Admin(owner).ensure_tenant(TENANT_NAME)
    await owner.dispose()
    engine = writing_engine(dsn)
    ledger = BatchLedger(PostgresStore(engine), UuidV7())
    for start in range(1, WALLETS + 1, BATCH):
        commands = [OpenWallet(f"open-{n}", "EUR", wallet_id(n)) for n in range(start, start + BATCH)]
        outcomes = await ledger.execute(tenant, commands)
        if not all(isinstance(outcome, Applied) for outcome in outcomes):
            raise RuntimeError(f"wallets could not be opened: {outcomes[0]}")
    await engine.dispose()
    return tenant


def prepared_ledger(dsn: str) -> UUID:
    """The same, from synchronous code, with a checkpoint, so that no load pays for what was written before it."""
    tenant = asyncio.run(prepare_ledger(dsn))
    execute(dsn, "VACUUM ANALYZE", "CHECKPOINT")
    return tenant


def applied(dsn: str, prefix: str) -> int:
    """How many commands took effect, of those whose keys start with this."""
    query = "SELECT count(*) FROM transactions WHERE outcome = 'applied' AND starts_with(idempotency_key, $1)"
    return int(fetch_value(dsn, query, prefix))
