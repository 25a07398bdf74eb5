"""PostgreSQL goes away under load, and comes back or is replaced by its standby: the service goes on by itself, and
what it acknowledged is there once (G2, G10)."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import psutil
import pytest

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres_processes import postmaster_of, processes_of
from tests.concurrency.violations import AcknowledgedLost
from tests.faults.served import TENANT, Customers, served, sessions_in
from tests.http.process import Running
from tests.support.embedded import own_server
from tests.support.standby import Standby, require_standby
from tests.support.waits import until

BEFORE = 60
AFTER = 120
RECOVERY_S_MAX = 40.0
SETTINGS = {"WALLET_AUTO_MIGRATE": "on", "WALLET_REQUEST_TIMEOUT_MS": "2000"}
CONNECTIONS_MAX = 16
"""More than a process of the service has, and less than twice as many."""


@pytest.fixture
def primary() -> Iterator[EmbeddedPostgres]:
    with own_server() as server:
        yield server


@pytest.fixture
def standby(primary: EmbeddedPostgres) -> Iterator[Standby]:
    made = Standby(primary)
    try:
        made.make()
        yield made
    finally:
        made.end()


@asynccontextmanager
async def customers_of(url: str) -> AsyncIterator[tuple[Running, Customers]]:
    async with served(url, **SETTINGS) as service, service.async_client() as client:
        yield service, await Customers.enter(client)


def _kill_all(server: EmbeddedPostgres) -> None:
    """As the loss of its machine does: none of its processes acts on the death of another."""
    processes = processes_of(server.cluster)
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def _restart_fast(server: EmbeddedPostgres) -> None:
    server.revive()


def _restart_immediately(server: EmbeddedPostgres) -> None:
    postmaster = postmaster_of(server.cluster)
    assert postmaster is not None
    postmaster.send_signal(signal.SIGQUIT)
    server.revive()


def _restart_after_a_kill(server: EmbeddedPostgres) -> None:
    _kill_all(server)
    server.revive()


async def _require_recovered(customers: Customers, url: str) -> None:
    assert (await customers.client.get("/health/ready")).status_code == 200
    assert not {*customers.answers} - {201, 503, 504}, customers.answers
    await customers.require_true(url, TENANT)

    async def is_calm() -> bool:
        return await sessions_in(url, ("idle in transaction", "idle in transaction (aborted)", "active")) == 0

    await until(is_calm)
    assert await sessions_in(url, ("idle",)) <= CONNECTIONS_MAX


async def test_restarts_of_the_database_under_load_lose_nothing_and_need_no_restart_of_the_service(
    primary: EmbeddedPostgres,
) -> None:
    async with customers_of(primary.url()) as (service, customers):
        for restart in (_restart_fast, _restart_immediately, _restart_after_a_kill):
            async with customers.shopping():
                await customers.told.reach(customers.told.count + BEFORE)
                await asyncio.to_thread(restart, primary)
                await customers.told.reach(customers.told.count + AFTER, RECOVERY_S_MAX)
            await _require_recovered(customers, primary.url())
        assert _refused(customers) > 0, "nobody noticed"
        assert service.process.poll() is None


async def test_a_database_that_hangs_is_told_in_time_and_goes_on_where_it_stood(primary: EmbeddedPostgres) -> None:
    """Its sockets are open, and the system behind them acknowledges all that they are sent."""
    async with customers_of(primary.url()) as (service, customers):
        async with customers.shopping():
            await customers.told.reach(BEFORE)
            frozen = processes_of(primary.cluster)
            for process in frozen:
                process.suspend()
            try:
                await until(lambda: _noticed(customers))
            finally:
                for process in frozen:
                    process.resume()
            await customers.told.reach(customers.told.count + AFTER, RECOVERY_S_MAX)
        await _require_recovered(customers, primary.url())
        assert service.process.poll() is None


def _refused(customers: Customers) -> int:
    return customers.answers[503] + customers.answers[504]


async def _noticed(customers: Customers) -> bool:
    return _refused(customers) > 0


async def _fail_over(primary: EmbeddedPostgres, standby: Standby, *, cut_off: bool = False) -> None:
    """Under load the primary is lost, and the standby takes its place."""
    async with customers_of(standby.both_urls) as (service, customers):
        async with customers.shopping():
            await customers.told.reach(BEFORE)
            if cut_off:
                await standby.cut_off()
            await customers.told.reach(customers.told.count + BEFORE)
            await asyncio.to_thread(_kill_all, primary)
            await standby.promote()
            await customers.told.reach(customers.told.count + AFTER, RECOVERY_S_MAX)
        assert service.process.poll() is None
        await _require_recovered(customers, standby.url)


async def test_with_a_synchronous_standby_nothing_that_was_acknowledged_is_lost(
    primary: EmbeddedPostgres, standby: Standby
) -> None:
    await require_standby(primary, synchronous=True)
    await _fail_over(primary, standby)


async def test_without_one_what_was_acknowledged_may_be_lost_and_is_missed(
    primary: EmbeddedPostgres, standby: Standby
) -> None:
    """The standby is behind when the primary dies: nothing waited for it."""
    await require_standby(primary, synchronous=False)
    with pytest.raises(AcknowledgedLost):
        await _fail_over(primary, standby, cut_off=True)


async def test_a_primary_that_takes_no_more_writes_is_left_for_one_that_does(
    primary: EmbeddedPostgres, standby: Standby
) -> None:
    """Its sessions stay, and would refuse every write for ever."""
    await require_standby(primary, synchronous=True)
    async with customers_of(standby.both_urls) as (service, customers):
        async with customers.shopping():
            await customers.told.reach(BEFORE)
            owner = await asyncpg.connect(primary.url())
            await owner.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            await owner.execute("SELECT pg_reload_conf()")
            await until(lambda: _is_read_only(primary.url()))
            # Whoever was already writing is let finish, and is followed to the last.
            await until(lambda: _has_caught_up(owner))
            await owner.close()
            await standby.promote()
            await customers.told.reach(customers.told.count + AFTER, RECOVERY_S_MAX)
        assert service.process.poll() is None
        await _require_recovered(customers, standby.url)
    assert await sessions_in(primary.url(), ("active", "idle in transaction")) == 0


async def _is_read_only(url: str) -> bool:
    new = await asyncpg.connect(url)
    try:
        return bool(await new.fetchval("SELECT current_setting('default_transaction_read_only')::bool"))
    finally:
        await new.close()


async def _has_caught_up(owner: asyncpg.Connection) -> bool:
    found = await owner.fetchval(
        "SELECT (SELECT bool_and(replay_lsn >= pg_current_wal_flush_lsn()) FROM pg_stat_replication)"
        " AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'wallet-service'"
        " AND state IN ('active', 'idle in transaction'))"
    )
    return bool(found)
