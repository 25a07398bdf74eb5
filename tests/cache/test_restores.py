"""A database that was restored, or taken over by a standby, is never contradicted by what Redis remembers."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres_processes import account_for, end_processes, give, run_tool
from adapters.postgres import history
from adapters.postgres.migrate import upgrade
from tests.cache.watching import SOON_S, value, watched
from tests.databases import Databases, execute, run
from tests.support.builders import A
from tests.support.cached import CachedWorld, Told, cached_world
from tests.support.redis import RedisServer
from tests.support.stores import new_tenants
from tests.support.waits import until
from wallet_core import Applied, Outcome, Replayed, credit

pytestmark = pytest.mark.usefixtures("often")


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
