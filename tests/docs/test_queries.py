"""The SQL in the documents runs on the schema, and answers what the pages say that it answers."""

import asyncpg
import pytest

from adapters.ids import UuidV7
from adapters.postgres.admin import Admin
from adapters.postgres.engine import create_engine
from adapters.postgres.unit_of_work import PostgresStore
from tests.docs.pages import ROOT, blocks
from wallet_core import BatchLedger, OpenWallet, credit, debit

QUERIES = [block.code for block in blocks(ROOT / "docs/reference/database.md") if block.language == "sql"]
FAR_AWAY = "2999-01-31 23:59:59+00"


@pytest.fixture
async def connection(database: str) -> asyncpg.Connection:
    engine = create_engine(database, pool_size=1)
    tenant = await Admin(engine).ensure_tenant("acme")
    ledger = BatchLedger(PostgresStore(engine), UuidV7())
    [opened] = await ledger.execute(tenant, [OpenWallet("open", "EUR")])
    wallet_id = opened.transaction.entries[0].wallet_id  # type: ignore[union-attr] # it is new
    await ledger.execute(
        tenant, [credit("in", wallet_id, 500), debit("out", wallet_id, 120), debit("no", wallet_id, 999)]
    )
    await engine.dispose()
    return await asyncpg.connect(database)


async def test_the_queries_answer_what_the_page_says(connection: asyncpg.Connection) -> None:
    balances, flows = QUERIES
    [balance] = await connection.fetch(balances.replace("2026-01-31 23:59:59.999999+00", FAR_AWAY))
    assert (balance["version"], balance["balance_after"]) == (3, 380)
    [flow] = await connection.fetch(flows)
    assert (flow["currency"], flow["entered"], flow["gone"]) == ("EUR", 500, 120)
    await connection.close()
