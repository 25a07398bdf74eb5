"""The history of a database: equal for all who use it, another one when commits may be gone, and forgotten in time."""

import asyncio
import logging
from collections.abc import Iterator

import asyncpg
import pytest

from adapters.postgres import history
from adapters.postgres.schema import SERVICE_ROLE
from tests.cache.watching import SOON_S, told, value, watched
from tests.databases import Databases, execute
from tests.support.waits import until
from wallet_core.ports import History

pytestmark = pytest.mark.usefixtures("often")


@pytest.fixture
def own_dsn(databases: Databases) -> Iterator[str]:
    """A migrated database of this test's own, to do anything to."""
    created = databases.create()
    yield created
    databases.drop(created)


async def history_of(dsn: str) -> History:
    async with watched(dsn) as (watch, _):
        return await told(watch)


async def test_all_who_use_a_database_have_one_history_for_it(dsn: str) -> None:
    first = await history_of(dsn)
    assert await history_of(dsn) == first
    assert first.secret == await value(dsn, "SELECT secret FROM replay_secret")
    assert "secret" not in repr(first)


async def test_a_copy_of_a_database_has_another_one(own_dsn: str, databases: Databases) -> None:
    original = await history_of(own_dsn)
    copy = databases.copy(own_dsn)
    assert (await history_of(copy)).name != original.name
    databases.drop(copy)


async def test_a_table_that_was_emptied_or_loaded_anew_gives_another_one(own_dsn: str) -> None:
    async with watched(own_dsn) as (watch, _):
        before = await told(watch)
        await execute(own_dsn, "TRUNCATE transactions, entries, holds, wallets CASCADE")

        async def changed() -> bool:
            return watch.known is not None and watch.known.name != before.name

        await until(changed)


async def test_a_connection_that_is_lost_is_reason_to_forget(own_dsn: str) -> None:
    async with watched(own_dsn) as (watch, ledger):
        async with ledger.connect() as connection:
            pid = (await connection.exec_driver_sql("SELECT pg_backend_pid()")).scalar_one()
        before = await told(watch)
        forgotten = 0
        doubt = watch.doubt

        def counting() -> None:
            nonlocal forgotten
            doubt()
            forgotten += watch.known is None

        watch.doubt = counting  # type: ignore[method-assign] # to see a moment that lasts for microseconds
        await execute(own_dsn, f"SELECT pg_terminate_backend({pid})")

        async def noticed() -> bool:
            return forgotten > 0

        await until(noticed)
        # The database is what it was, and that is soon known again.
        assert await told(watch) == before


async def test_a_new_connection_of_the_ledger_is_one_too(own_dsn: str) -> None:
    """Nothing is committed in a new history before a connection to it is made: from then on the old one is not told."""
    async with watched(own_dsn) as (watch, ledger):
        await told(watch)
        async with ledger.connect():
            assert watch.known is None
            await told(watch)
            async with ledger.connect():
                assert watch.known is None
        await told(watch)
        async with ledger.connect():
            # From the pool: this is no news.
            assert watch.known is not None


async def test_a_database_that_does_not_answer_has_no_history_until_it_does(
    own_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "READ_S_MAX", SOON_S)
    async with watched(own_dsn) as (watch, _):
        before = await told(watch)
        owner = await asyncpg.connect(own_dsn)
        async with owner.transaction():
            await owner.execute("LOCK TABLE replay_secret IN ACCESS EXCLUSIVE MODE")

            async def unknown() -> bool:
                return watch.known is None

            await until(unknown)
        await owner.close()
        assert await told(watch) == before


@pytest.mark.parametrize(
    "statement",
    [
        f"REVOKE SELECT ON replay_secret FROM {SERVICE_ROLE}",
        "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC",
        "DELETE FROM replay_secret",
        "INSERT INTO pg_extension VALUES (1, 'citus', 10, 11, false, '13.0', NULL, NULL)",
        "DROP TABLE replay_secret",
    ],
)
async def test_a_database_that_does_not_tell_has_none_and_says_so_once(
    own_dsn: str, caplog: pytest.LogCaptureFixture, statement: str
) -> None:
    connection = await asyncpg.connect(own_dsn)
    await connection.execute(statement)
    await connection.close()
    async with watched(own_dsn) as (watch, ledger):

        async def said() -> bool:
            return bool(caplog.messages)

        await until(said)
        async with ledger.connect():
            await asyncio.sleep(3 * SOON_S)
        assert watch.known is None
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("wallet.cache", logging.WARNING)
    assert "the cache stays unused" in record.message


async def test_no_database_at_all_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    async with watched("postgresql://nobody@127.0.0.1:1/wallet") as (watch, _):
        await asyncio.sleep(3 * SOON_S)
        assert watch.known is None
    assert caplog.messages == []
