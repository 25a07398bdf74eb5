"""The history of a database: equal for all who use it, another one when commits may be gone, and forgotten in time."""

import asyncio
import logging
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres_processes import account_for, end_processes, give, run_tool
from adapters.postgres import history
from adapters.postgres.engine import create_engine
from adapters.postgres.history import HistoryWatch
from adapters.postgres.migrate import upgrade
from adapters.postgres.schema import SERVICE_ROLE
from tests.databases import Databases, execute, run
from tests.support.builders import A
from tests.support.cached import CachedWorld, Told, cached_world
from tests.support.redis import RedisServer
from tests.support.stores import new_tenants
from tests.support.waits import until
from wallet_core import Applied, Outcome, Replayed, credit
from wallet_core.ports import History

SOON_S = 0.05


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at every few seconds is looked at all the time."""
    monkeypatch.setattr(history, "CONFIRM_S", SOON_S)
    monkeypatch.setattr(history, "RETRY_S", SOON_S)


@pytest.fixture
def own_dsn(databases: Databases) -> Iterator[str]:
    """A migrated database of this test's own, to do anything to."""
    created = databases.create()
    yield created
    databases.drop(created)


@asynccontextmanager
async def watched(dsn: str) -> AsyncIterator[tuple[HistoryWatch, AsyncEngine]]:
    """A watch, and the engine of a ledger whose connections it watches."""
    ledger = create_engine(dsn, pool_size=2, role=SERVICE_ROLE)
    watch = HistoryWatch(create_engine(dsn, pool_size=1, role=SERVICE_ROLE), [ledger])
    watch.start()
    try:
        yield watch, ledger
    finally:
        await watch.close()
        await ledger.dispose()


async def told(watch: HistoryWatch) -> History:
    """The history, once it is known."""

    async def known() -> bool:
        return watch.known is not None

    await until(known)
    assert watch.known is not None
    return watch.known


async def history_of(dsn: str) -> History:
    async with watched(dsn) as (watch, _):
        return await told(watch)


async def value(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


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


async def ask(world: CachedWorld) -> Outcome:
    """Send the same key, until the database is back."""
    outcome: Outcome | None = None

    async def answered() -> bool:
        nonlocal outcome
        (outcome,) = await world.do(credit("k", A, 5))
        return isinstance(outcome, Applied | Replayed)

    await until(answered)
    assert outcome is not None
    return outcome


async def is_in_the_ledger(world: CachedWorld, outcome: Outcome) -> bool:
    """Whether what was answered is in the database that there is now."""
    transaction = outcome.transaction if isinstance(outcome, Applied) else None
    if isinstance(outcome, Replayed):
        transaction = outcome.decision  # type: ignore[assignment] # a rejection is in no ledger either
    return transaction is not None and await world.reader.transaction(world.tenant, transaction.id) == transaction


def stop_watching(world: CachedWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the mechanism out: the history stays what it is now."""
    monkeypatch.setattr(world.redis, "_histories", Told(world.redis.history()))


@pytest.mark.parametrize("trusting", [False, True], ids=["as it is", "without watching the history"])
async def test_a_restored_database_is_never_contradicted(
    databases: Databases, redis: RedisServer, trusting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same Redis, an older copy of the database in the old one's place: the key is decided anew, once.

    With the mechanism taken out, a credit is reported that the database has never seen.
    """
    dsn = databases.create()
    tenants = await new_tenants(dsn, 2)
    async with cached_world(dsn, redis.url, tenants=tenants) as earlier:
        await earlier.open(A)
    older = databases.copy(dsn)
    async with cached_world(dsn, redis.url, tenants=tenants) as world:
        if trusting:
            stop_watching(world, monkeypatch)
        await ask_until_cached(world)
        await asyncio.to_thread(put_in_place, databases, older, dsn)
        after = await ask(world)
        assert await is_in_the_ledger(world, after) is not trusting
        assert isinstance(after, Replayed if trusting else Applied)
    databases.drop(dsn)


def put_in_place(databases: Databases, older: str, dsn: str) -> None:
    databases.drop(dsn)
    run(execute(databases.admin_dsn, f'ALTER DATABASE "{name_of(older)}" RENAME TO "{name_of(dsn)}"'))


def name_of(dsn: str) -> str:
    return urlsplit(dsn).path[1:]


async def ask_until_cached(world: CachedWorld) -> None:
    await world.settled()
    assert isinstance(await ask(world), Applied)

    async def cached() -> bool:
        await world.settled()
        await ask(world)
        return world.redis.state.hits > 0

    await until(cached)


@pytest.fixture
def servers() -> Iterator[tuple[EmbeddedPostgres, EmbeddedPostgres]]:
    """A primary that runs, with the schema, and the place of a standby, with nothing in it."""
    # Not below pytest's own temporary folder, which the next run of pytest closes again to the server's account.
    folder = Path(tempfile.mkdtemp(prefix="wallet-test-"))
    primary, standby = EmbeddedPostgres(folder / "a"), EmbeddedPostgres(folder / "b")
    try:
        primary.start()
        run(upgrade(primary.url()))
        yield primary, standby
    finally:
        standby.stop()
        primary.stop()
        shutil.rmtree(folder)


def start_standby(primary: EmbeddedPostgres, standby: EmbeddedPostgres) -> None:
    """From a backup of the primary as it is now. It does not follow the primary: what comes later, it lacks."""
    account = account_for(primary.cluster)
    standby.cluster.mkdir(parents=True)
    give(standby.cluster, account)
    socket, _, port = primary.url().partition("host=")[2].partition("&port=")
    source = ("--host", unquote(socket), "--port", port, "--username", "postgres")
    run_tool("pg_basebackup", *source, "--pgdata", str(standby.cluster), "--checkpoint=fast", account=account)
    (standby.cluster / "standby.signal").touch()
    standby.start()


def url_of_both(primary: EmbeddedPostgres, standby: EmbeddedPostgres) -> str:
    hosts = ",".join(quote(str(server.data_dir / "socket")) for server in (primary, standby))
    return f"postgresql://postgres@/wallet?host={hosts}&port=5432"


async def test_a_promoted_standby_has_another_history_at_once(
    servers: tuple[EmbeddedPostgres, EmbeddedPostgres], redis: RedisServer
) -> None:
    """What the primary acknowledged and the standby never got is decided anew, though Redis remembers it."""
    primary, standby = servers
    async with cached_world(url_of_both(primary, standby), redis.url) as world:
        await world.open(A)
        await asyncio.to_thread(start_standby, primary, standby)
        await ask_until_cached(world)
        before = world.redis.history()
        # A server that takes no writes has no history to go by, even for somebody who insists on asking it.
        assert await value(standby.url(), "SELECT pg_is_in_recovery()")
        async with watched(f"{standby.url()}&target_session_attrs=any") as (watch, _):
            await asyncio.sleep(3 * SOON_S)
            assert watch.known is None
        await asyncio.to_thread(end_processes, primary.cluster)
        # Without a checkpoint, which tells the new timeline to others later than it begins.
        assert await value(standby.url(), "SELECT pg_promote()")
        after = await ask(world)
        assert isinstance(after, Applied)
        assert await is_in_the_ledger(world, after)
        await world.settled()
        now = world.redis.history()
        assert now is not None
        assert before is not None
        assert (now.name == before.name, now.secret == before.secret) == (False, True)
        past = await value(standby.url(), str(history.READ))
        assert str(past).split()[1] == "00000002"
