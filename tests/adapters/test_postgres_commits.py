"""A COMMIT whose answer is lost, or is not what it seems: neither kept nor lost until the same key has been asked.

PostgreSQL makes it easy to see: with a synchronous standby that does not exist every COMMIT waits, after it has been
written down and before it is acknowledged.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.postgres import silence
from adapters.postgres.migrate import upgrade
from tests.databases import execute, run
from tests.support.sessions import WAIT_S_MAX, Till, till
from wallet_core import Applied, Replayed, Unknown
from wallet_core.ports import CommitUnknown, StaleSnapshot

STANDBY_MISSING = ("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")

# A trigger that runs within COMMIT, before it is written down, and does what the table says.
AT_COMMIT = (
    "CREATE TABLE at_commit (act text)",
    "GRANT SELECT ON at_commit TO wallet_service",
    """CREATE FUNCTION act_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT FROM at_commit WHERE act = 'wait') THEN PERFORM pg_sleep(20); END IF;
        IF EXISTS (SELECT FROM at_commit WHERE act = 'fail') THEN
            RAISE EXCEPTION 'lost the race' USING ERRCODE = '40001';
        END IF;
        RETURN NULL;
    END $$""",
    """CREATE CONSTRAINT TRIGGER act_at_commit AFTER INSERT ON transactions DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION act_at_commit()""",
)


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    """A server of its own, whose COMMITs wait for a standby unless a session is told that it need not."""
    folder = Path(tempfile.mkdtemp(prefix="wallet-test-"))
    try:
        with EmbeddedPostgres(folder / "data") as server:
            run(upgrade(server.url()))
            run(execute(server.url(), *AT_COMMIT, *STANDBY_MISSING))
            run(_until_commits_wait(server.url()))
            yield f"{server.url()}&synchronous_commit=local"
    finally:
        shutil.rmtree(folder)


async def _until_commits_wait(dsn: str) -> None:
    """The server reads its settings again in its own time; until then commits go through."""
    probe, owner = await asyncpg.connect(dsn), await asyncpg.connect(dsn)

    async def write() -> None:
        while True:
            await probe.execute("SELECT pg_current_xact_id()")

    writing = asyncio.create_task(write())
    async with asyncio.timeout(WAIT_S_MAX):
        while not await owner.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"):
            pass
    await owner.fetchval("SELECT pg_terminate_backend($1, 5000)", probe.get_server_pid())
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await writing
    await owner.close()


@pytest.fixture
async def one(dsn: str) -> AsyncIterator[Till]:
    """A till over one connection, whose COMMITs do not wait for the standby yet."""
    async with till(dsn, pool_size=1) as made:
        yield made
        await made.owner.execute("DELETE FROM at_commit")


async def wait_for_the_standby(one: Till) -> None:
    """Have the till's connection wait at COMMIT from now on. One that takes its place does not."""
    async with one.engine.connect() as connection:
        pooled = await connection.get_raw_connection()
        assert pooled.driver_connection is not None
        await pooled.driver_connection.execute("SET synchronous_commit = on")


async def _terminate(one: Till) -> None:
    await one.owner.execute("SELECT pg_terminate_backend($1, 5000)", await one.waiting_pid("SyncRep"))


async def _cancel(one: Till) -> None:
    await one.owner.execute("SELECT pg_cancel_backend($1)", await one.waiting_pid("SyncRep"))


ENDS = pytest.mark.parametrize("end_wait", [_terminate, _cancel])


@ENDS
async def test_a_commit_whose_wait_for_a_standby_is_ended_is_unknown(
    one: Till, end_wait: Callable[[Till], Awaitable[None]]
) -> None:
    """The server then answers with success and a warning, or not at all, although it may never reach the standby."""
    await wait_for_the_standby(one)
    async with one.store.begin(one.tenant) as unit:
        await unit.append(await one.load(unit))
        commit = asyncio.create_task(unit.commit())
        await end_wait(one)
        with pytest.raises(CommitUnknown):
            await commit
    assert await one.balance() == 1


@ENDS
async def test_the_ledger_finds_out_what_became_of_such_a_commit(
    one: Till, end_wait: Callable[[Till], Awaitable[None]]
) -> None:
    command = one.next_credit()
    await wait_for_the_standby(one)
    doing = asyncio.create_task(one.do(command))
    await end_wait(one)
    outcome = await doing
    assert isinstance(outcome, Applied)
    assert await one.balance() == 1
    assert await one.do(command) == Replayed(outcome.transaction)


async def test_the_warning_is_heard_whatever_the_server_is_told_to_keep_from_clients(dsn: str) -> None:
    await execute(dsn, "ALTER DATABASE wallet SET client_min_messages = 'error'")
    try:
        async with till(dsn, pool_size=1) as one:
            await wait_for_the_standby(one)
            async with one.store.begin(one.tenant) as unit:
                await unit.append(await one.load(unit))
                commit = asyncio.create_task(unit.commit())
                await _cancel(one)
                with pytest.raises(CommitUnknown):
                    await commit
    finally:
        await execute(dsn, "ALTER DATABASE wallet RESET client_min_messages")


async def test_a_commit_whose_socket_is_closed_stays_unknown_until_the_server_has_ended_it(dsn: str) -> None:
    """As when the network fails: the server goes on with the COMMIT, and keeps its locks for as long as that takes."""
    async with till(dsn, pool_size=1, lock_timeout_ms=50) as one:
        command = one.next_credit()
        await wait_for_the_standby(one)
        doing = asyncio.create_task(one.do(command))
        pid = await one.waiting_pid("SyncRep")
        one.cut_connections()
        assert await doing == Unknown()
        assert await one.balance() == 0
        await one.owner.execute("SELECT pg_terminate_backend($1, 5000)", pid)
        assert isinstance(await one.do(command), Replayed)
        assert await one.balance() == 1


async def test_a_commit_that_waits_for_a_standby_for_too_long_is_unknown_and_is_not_cancelled(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has no limit for it, and a COMMIT that is cancelled may be lost although others see it."""
    monkeypatch.setattr(silence, "ANSWER_MARGIN_S", 0.1)
    async with till(dsn, pool_size=1, statement_timeout_ms=300, lock_timeout_ms=200) as one:
        command = one.next_credit()
        await wait_for_the_standby(one)
        async with asyncio.timeout(WAIT_S_MAX):
            assert await one.do(command) == Unknown()
        pid = await one.waiting_pid("SyncRep")
        assert await one.balance() == 0
        await one.owner.execute("SELECT pg_terminate_backend($1, 5000)", pid)
        assert isinstance(await one.do(command), Replayed)
        assert await one.balance() == 1


async def test_a_session_that_is_ended_before_the_commit_was_written_down_is_decided_anew(one: Till) -> None:
    await one.owner.execute("INSERT INTO at_commit VALUES ('wait')")
    async with one.store.begin(one.tenant) as unit:
        await unit.append(await one.load(unit))
        commit = asyncio.create_task(unit.commit())
        await one.owner.execute("SELECT pg_terminate_backend($1, 5000)", await one.waiting_pid("PgSleep"))
        with pytest.raises(CommitUnknown):
            await commit
    assert await one.balance() == 0
    doing = asyncio.create_task(one.do(one.next_credit()))
    pid = await one.waiting_pid("PgSleep")
    await one.owner.execute("DELETE FROM at_commit")
    await one.owner.execute("SELECT pg_terminate_backend($1, 5000)", pid)
    assert isinstance(await doing, Applied)
    assert await one.balance() == 1


async def test_an_error_of_the_commit_itself_is_definite(one: Till) -> None:
    await one.owner.execute("INSERT INTO at_commit VALUES ('fail')")
    async with one.store.begin(one.tenant) as unit:
        await unit.append(await one.load(unit))
        with pytest.raises(StaleSnapshot):
            await unit.commit()
    assert await one.balance() == 0


async def test_a_commit_that_the_server_turns_into_a_rollback_is_no_success(one: Till) -> None:
    """It does so, without an error, where a statement before it failed: going on after that is a bug."""
    async with one.store.begin(one.tenant) as unit:
        await unit.append(await one.load(unit))
        with pytest.raises(asyncpg.PostgresError):
            await unit._session._driver.execute("SELECT 1 / 0")
        with pytest.raises(RuntimeError):
            await unit.commit()
    assert await one.balance() == 0
