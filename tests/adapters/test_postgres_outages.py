"""States that a server sends in distress, each brought about by it: as what they are heard, and that it ends.

A proxy notes what the server says: where it ends a session that is at rest, nobody listens.
"""

import asyncio
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from sqlalchemy.exc import DBAPIError

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres_processes import account_for, give, postmaster_of
from adapters.postgres.errors import sqlstate_of
from adapters.postgres.migrate import upgrade
from tests.databases import run
from tests.support.embedded import own_server
from tests.support.proxy.postgres import Point, PostgresProxy
from tests.support.proxy.rules import Stall
from tests.support.sessions import Till, till
from tests.support.waits import until
from wallet_core import DatabaseUnavailable
from wallet_core.ports import CommitUnknown, Unavailable

SMALL_MIB = 4


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with own_server() as server:
        run(upgrade(server.url()))
        yield server


@asynccontextmanager
async def overheard(server: EmbeddedPostgres, **engine_options: Any) -> AsyncIterator[tuple[Till, PostgresProxy]]:
    """A till over one connection, and the proxy on its way."""
    options = {"pool_size": 1, "pool_timeout_ms": 1000, "connect_timeout_ms": 2000, **engine_options}
    async with PostgresProxy.before(server.url()) as proxy, till(proxy.dsn, **options) as one:
        yield one, proxy


def _states_in(caught: pytest.ExceptionInfo[Unavailable]) -> set[str]:
    """The driver reports a lost connection, and what the server had to say to it as the cause of that."""
    states: set[str] = set()
    error: BaseException | None = caught.value
    while error is not None:
        state = sqlstate_of(error)
        states |= set() if state is None else {state}
        error = error.orig if isinstance(error, DBAPIError) else error.__cause__
    return states


def _postmaster(server: EmbeddedPostgres) -> psutil.Process:
    postmaster = postmaster_of(server.cluster)
    assert postmaster is not None
    return postmaster


async def test_25p03_a_transaction_that_stands_still_is_ended(server: EmbeddedPostgres) -> None:
    async with overheard(server, idle_in_transaction_timeout_ms=100) as (one, proxy):
        async with one.store.begin(one.tenant) as unit:
            await unit.append(await one.load(unit))
            await until(lambda: _said(proxy, "25P03"))
            # Whoever has sent a COMMIT cannot know what came before it.
            with pytest.raises(CommitUnknown):
                await unit.commit()
        await one.assert_works()


async def test_25p03_a_session_that_is_ended_and_not_closed_yet_is_no_bug(server: EmbeddedPostgres) -> None:
    """The driver has read that the session ends, and not that the connection does. It refuses whatever comes then."""
    async with overheard(server, idle_in_transaction_timeout_ms=100) as (one, proxy):
        said = proxy.arm(Point.ERROR, Stall(), text="25P03")
        async with one.store.begin(one.tenant) as unit:
            await unit.append(await one.load(unit))
            await said.fired()
            # Nothing tells that the driver has read it.
            await asyncio.sleep(0.1)
            assert not unit._session._driver.is_closed()
        said.release()
        await one.assert_works()


async def test_57p05_a_session_that_is_idle_is_ended(server: EmbeddedPostgres) -> None:
    async with overheard(server) as (one, proxy):
        async with one.store.begin(one.tenant) as unit:
            await unit._session._driver.execute("SET idle_session_timeout = '100ms'")
            await unit.commit()
        await until(lambda: _said(proxy, "57P05"))
        await one.assert_works()


async def test_57p01_a_session_that_is_ended_while_it_waits(server: EmbeddedPostgres) -> None:
    async with overheard(server) as (one, _):
        await one.lock_wallet()
        async with one.store.begin(one.tenant) as unit:
            append = asyncio.create_task(unit.append(await one.load(unit)))
            await one.owner.execute("SELECT pg_terminate_backend($1, 5000)", await one.waiting_pid("Lock"))
            with pytest.raises(Unavailable) as caught:
                await append
        assert "57P01" in _states_in(caught)
        await one.owner.execute("ROLLBACK")
        await one.assert_works()


async def test_57p02_a_session_that_ends_with_the_crash_of_another(server: EmbeddedPostgres) -> None:
    """It comes as a warning, and then the connection breaks."""
    victim = await asyncpg.connect(server.url())
    async with overheard(server) as (one, proxy):
        await one.lock_wallet()
        async with one.store.begin(one.tenant) as unit:
            append = asyncio.create_task(unit.append(await one.load(unit)))
            await one.waiting_pid("Lock")
            psutil.Process(victim.get_server_pid()).kill()
            with pytest.raises(Unavailable):
                await append
        # The server recovers by itself, and says meanwhile that it does.
        await until(lambda: _answers(server))
        assert proxy.sqlstates["57P02"] > 0
        one.owner = await asyncpg.connect(server.url())
        await one.assert_works()
    victim.terminate()


async def test_57p03_a_server_that_is_shutting_down_or_starting_up(server: EmbeddedPostgres) -> None:
    async with overheard(server) as (one, proxy):
        # A smart shutdown waits for those who are connected, and lets nobody in.
        _postmaster(server).send_signal(signal.SIGTERM)
        await until(lambda: _is_refusing(server))
        proxy.sqlstates.clear()
        await one.engine.dispose()
        with pytest.raises(Unavailable) as caught:
            async with one.store.begin(one.tenant):
                pass
        assert "57P03" in _states_in(caught)
        assert await one.do(one.next_credit()) == DatabaseUnavailable()
        assert set(proxy.sqlstates) == {"57P03"}
        await one.owner.close()
        await asyncio.to_thread(server.revive)
        one.owner = await asyncpg.connect(server.url())
        await one.assert_works()


# The driver leaves it to the collector to close what it was refused.
@pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")
async def test_53300_a_server_that_is_full(server: EmbeddedPostgres) -> None:
    async with overheard(server) as (one, _):
        await one.engine.dispose()
        crowd: list[asyncpg.Connection] = []
        try:
            with pytest.raises(asyncpg.TooManyConnectionsError):
                await _crowd(server, crowd)
            with pytest.raises(Unavailable) as caught:
                async with one.store.begin(one.tenant):
                    pass
            assert "53300" in _states_in(caught)
        finally:
            for connection in crowd:
                await connection.close()
        await until(lambda: _answers(server))
        await one.assert_works()


@pytest.fixture
def small_disk(server: EmbeddedPostgres) -> Iterator[Path]:
    """A folder that holds a few MiB. Only root may make one."""
    folder = Path(tempfile.mkdtemp(prefix="wallet-test-"))
    mounting = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_MIB}m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounting.returncode != 0:
        folder.rmdir()
        pytest.skip(f"no small disk can be made: {mounting.stderr.strip()}")
    try:
        folder.chmod(0o755)
        give(folder, account_for(server.cluster))
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


async def test_53100_a_disk_that_is_full(server: EmbeddedPostgres, small_disk: Path) -> None:
    """Nothing of the batch is kept, and with room it goes on."""
    async with overheard(server) as (one, _):
        await one.owner.execute(f"CREATE TABLESPACE small LOCATION '{small_disk}'")
        await one.owner.execute("ALTER TABLE entries SET TABLESPACE small")
        fill = (
            f"CREATE TABLE filler TABLESPACE small AS SELECT repeat('x', 1000) FROM generate_series(1, {SMALL_MIB}000)"
        )
        with pytest.raises(asyncpg.DiskFullError):
            await one.owner.execute(fill)
        left = "CREATE TABLE filler (byte text) TABLESPACE small"
        await one.owner.execute(left)
        with pytest.raises(asyncpg.DiskFullError):
            await _fill(one)
        before = await one.balance()
        with pytest.raises(Unavailable) as caught:
            await _credit_for_ever(one)
        assert "53100" in _states_in(caught)
        assert await one.do(one.next_credit()) == DatabaseUnavailable()
        assert await one.balance() >= before
        await one.owner.execute("DROP TABLE filler")
        await one.assert_works()
        await one.owner.execute("ALTER TABLE entries SET TABLESPACE pg_default")
        await one.owner.execute("DROP TABLESPACE small")


async def _crowd(server: EmbeddedPostgres, crowd: list[asyncpg.Connection]) -> None:
    while True:
        crowd.append(await asyncpg.connect(server.url()))


async def _fill(one: Till) -> None:
    while True:
        await one.owner.execute("INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, 7)")


async def _credit_for_ever(one: Till) -> None:
    while True:
        async with one.store.begin(one.tenant) as unit:
            await unit.append(await one.load(unit))
            await unit.commit()


async def _said(proxy: PostgresProxy, state: str) -> bool:
    return proxy.sqlstates[state] > 0


async def _answers(server: EmbeddedPostgres) -> bool:
    try:
        await (await asyncpg.connect(server.url())).close()
    except (asyncpg.PostgresError, OSError):
        return False
    return True


async def _is_refusing(server: EmbeddedPostgres) -> bool:
    return not await _answers(server)
