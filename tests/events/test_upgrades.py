"""Events around the upgrade that brought them: what was there comes first, and writers of the release before go on."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from adapters.postgres.engine import create_engine
from adapters.postgres.events import PostgresEvents
from adapters.postgres.migrate import migrations_folder, upgrade
from adapters.postgres.schema import SERVICE_ROLE
from tests.databases import Databases
from tests.support.ids import id_number

BEFORE = "0003"
RESULT = '{"entries":[],"postings":[]}'
# As the release before writes, which knows of no place.
INSERT = f"""
    INSERT INTO transactions (tenant_id, id, created_at, idempotency_key, outcome, kind, intent, result)
    SELECT $1, x.id, now(), x.key, 'applied', 'post', '{{}}', '{RESULT}'
    FROM unnest($2::uuid[], $3::text[]) AS x (id, key)
"""
WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE '%transactions_events_idx%' AND wait_event = 'virtualxid'
"""


@pytest.fixture
async def before(databases: Databases) -> AsyncIterator[str]:
    """A database of the release before."""
    dsn = databases.create_empty()
    engine = create_engine(dsn, pool_size=1, statement_timeout_ms=0, json_as_text=False)

    def bring(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, BEFORE)

    try:
        async with engine.connect() as connection:
            await connection.run_sync(bring)
    finally:
        await engine.dispose()
    yield dsn
    databases.drop(dsn)


async def keys(dsn: str, tenant: UUID) -> list[str]:
    engine = create_engine(dsn, pool_size=1, role=SERVICE_ROLE)
    try:
        page = await PostgresEvents(engine).events(tenant, after=None, limit=500)
    finally:
        await engine.dispose()
    return [event.transaction.key for event in page.items]


async def test_what_was_there_comes_first_by_id_and_older_writers_are_told_as_others(before: str) -> None:
    tenant = uuid4()
    old, other = [await asyncpg.connect(before) for _ in range(2)]
    try:
        await old.execute("INSERT INTO tenants (id, name, created_at) VALUES ($1, 'acme', now())", tenant)
        await old.execute(INSERT, tenant, [id_number(2), id_number(1)], ["b", "a"])
        await upgrade(before)
        assert await keys(before, tenant) == ["a", "b"]
        # One that began before, and ends after.
        late, soon = old.transaction(), other.transaction()
        await late.start()
        await old.execute(INSERT, tenant, [id_number(4), id_number(3)], ["d", "c"])
        await soon.start()
        await other.execute(INSERT, tenant, [id_number(5)], ["e"])
        await soon.commit()
        assert await keys(before, tenant) == ["a", "b"]
        await late.commit()
        assert await keys(before, tenant) == ["a", "b", "c", "d", "e"]
    finally:
        await asyncio.gather(old.close(), other.close())


async def test_the_index_is_made_while_others_write(before: str) -> None:
    tenant = uuid4()
    writer = await asyncpg.connect(before)
    watcher = await asyncpg.connect(before)
    try:
        await writer.execute("INSERT INTO tenants (id, name, created_at) VALUES ($1, 'acme', now())", tenant)
        await writer.execute(INSERT, tenant, [id_number(1)], ["a"])
        # A reader that stays in its transaction is what an index that is made concurrently waits for.
        reading = watcher.transaction(isolation="repeatable_read")
        await reading.start()
        await watcher.fetchval("SELECT count(*) FROM tenants")
        upgrading = asyncio.create_task(upgrade(before))
        async with asyncio.timeout(10):
            while not await writer.fetchval(WAITING):  # noqa: ASYNC110 - a lock of the server's is no event here
                await asyncio.sleep(0.01)
        await writer.execute(INSERT, tenant, [id_number(2)], ["b"], timeout=2)
        assert not upgrading.done()
        await reading.rollback()
        await upgrading
        assert await keys(before, tenant) == ["a", "b"]
    finally:
        await asyncio.gather(writer.close(), watcher.close())
