"""A server that is not heard any more: no wait for it lasts, and no COMMIT is cancelled to end one."""

import asyncio
import math
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, suppress
from itertools import count
from typing import Any, cast

import asyncpg
import pytest
import uvloop
from sqlalchemy import text

from adapters.postgres import session, silence
from adapters.postgres.admin import Admin
from adapters.postgres.api_keys import ApiKeys
from adapters.postgres.audit import PostgresAudit
from adapters.postgres.engine import create_engine
from adapters.postgres.reader import PostgresReader
from adapters.postgres.session import open_session
from adapters.postgres.unit_of_work import PostgresStore
from tests.databases import Databases
from tests.faults.desk import POOL_SIZE, Desk, desk
from tests.support.proxy.postgres import Point, PostgresProxy
from tests.support.proxy.rules import HalfOpen, Stall
from tests.support.waits import until
from wallet_core import Applied, Replayed, credit
from wallet_core.decide import decide_batch
from wallet_core.ports import Names, Unavailable

PROMPT_S = 0.3
ANSWER_S = 0.6
CONNECT_S = 0.5
# Much more than any of the limits, and much less than what nobody limits.
SOON_S = 5.0


@pytest.fixture(scope="module")
def dsn(databases: Databases) -> Iterator[str]:
    created = databases.create()
    yield created
    databases.drop(created)


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PROMPT_S_MAX", PROMPT_S)
    monkeypatch.setattr(silence, "LOAD_S_MAX", PROMPT_S)
    monkeypatch.setattr(silence, "ANSWER_MARGIN_S", ANSWER_S - 0.4)


def counter_at(dsn: str) -> Any:
    return desk(
        dsn,
        connect_timeout_ms=round(CONNECT_S * 1000),
        statement_timeout_ms=400,
        lock_timeout_ms=300,
        idle_in_transaction_timeout_ms=2000,
    )


@pytest.fixture
async def counter(dsn: str) -> AsyncIterator[Desk]:
    async with counter_at(dsn) as made:
        yield made


async def _ready(counter: Desk) -> None:
    await PostgresReader(counter.engine).ready()


async def _write(counter: Desk) -> None:
    async with PostgresStore(counter.engine).begin(counter.tenant) as unit:
        await unit.load(Names(["none"], [counter.first], [], []))


async def _roll_back(counter: Desk) -> None:
    async with PostgresStore(counter.engine).begin(counter.tenant) as unit:
        await unit.load(Names(["none"], [counter.first], [], []), lock=True)


async def _authenticate(counter: Desk) -> None:
    await ApiKeys(counter.engine).find("wk_nobody's")


async def _stream(counter: Desk) -> None:
    view = PostgresAudit(counter.engine).view(counter.tenant)
    async with view as snapshot, aclosing(snapshot.entries({str(counter.first): 1})) as portions:
        async for _ in portions:
            pass


def _wait_for_ever(counter: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the bounds away."""
    monkeypatch.setattr(session, "PROMPT_S_MAX", math.inf)
    monkeypatch.setattr(silence, "LOAD_S_MAX", math.inf)
    patience = counter.engine.sync_engine.get_execution_options()[session.PATIENCE]
    monkeypatch.setattr(patience, "answer_s", math.inf)


USES = pytest.mark.parametrize("use", [_ready, _write, _authenticate, _stream])


@USES
async def test_an_answer_that_does_not_come_is_not_waited_for(
    counter: Desk, use: Callable[[Desk], Awaitable[None]]
) -> None:
    rule = counter.arm(Point.STATEMENT_SENT, HalfOpen())
    async with asyncio.timeout(SOON_S):
        with pytest.raises(Unavailable):
            await use(counter)
    await rule.fired()
    await use(counter)


@USES
async def test_a_new_connection_that_does_not_answer_is_not_waited_for(
    counter: Desk, use: Callable[[Desk], Awaitable[None]]
) -> None:
    await counter.engine.dispose()
    rule = counter.arm(Point.START_UP, Stall())
    async with asyncio.timeout(SOON_S):
        with pytest.raises(Unavailable):
            await use(counter)
    await rule.fired()
    await use(counter)


async def test_a_connection_that_falls_silent_while_it_is_set_up_is_not_waited_for(dsn: str) -> None:
    """At each of the statements with which the driver and SQLAlchemy begin, and at the first of its user."""
    async with PostgresProxy.before(dsn) as proxy:
        for skip in count():
            rule = proxy.arm(Point.STATEMENT_SENT, HalfOpen(), skip=skip)
            engine = create_engine(proxy.dsn, pool_size=1, connect_timeout_ms=500, statement_timeout_ms=400)
            async with asyncio.timeout(SOON_S):
                with suppress(Unavailable):
                    await PostgresReader(engine).ready()
                silent = rule.count
                proxy.disarm()
                await PostgresReader(engine).ready()
                await engine.dispose()
            if not silent:
                break
    assert skip > 2


async def test_without_its_bound_a_wait_would_last(counter: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's own limits do not help where nothing is heard of it."""
    _wait_for_ever(counter, monkeypatch)
    rule = counter.arm(Point.STATEMENT_SENT, HalfOpen())
    waiting = asyncio.create_task(_write(counter))
    await rule.fired()
    done, _ = await asyncio.wait([waiting], timeout=4 * ANSWER_S)
    assert not done
    counter.proxy.cut_all()
    with pytest.raises(Unavailable):
        await waiting


async def test_when_one_connection_is_silent_those_at_rest_are_replaced_without_waiting_for_each(
    counter: Desk,
) -> None:
    await counter.require_healthy()
    assert counter.proxy.silence_all() == POOL_SIZE
    started = time.monotonic()
    (told,) = await counter.do(counter.commands("credit"))
    assert isinstance(told, Applied)
    await counter.require_healthy()
    assert time.monotonic() - started < PROMPT_S * POOL_SIZE
    await counter.prove()


async def test_a_rollback_that_is_not_answered_is_not_waited_for(counter: Desk) -> None:
    rule = counter.arm(Point.STATEMENT_SENT, HalfOpen(server_closed=True), "ROLLBACK")
    async with asyncio.timeout(SOON_S):
        await _roll_back(counter)
        await rule.fired()
    await counter.require_healthy()


async def test_a_load_is_waited_for_no_longer_than_leaves_time_for_another_connection(
    counter: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the first that a batch asks, and waits for no lock, so it need not have the time of a statement."""
    patience = counter.engine.sync_engine.get_execution_options()[session.PATIENCE]
    monkeypatch.setattr(patience, "answer_s", math.inf)
    counter.arm(Point.STATEMENT_SENT, HalfOpen(), "WITH w AS")
    async with asyncio.timeout(SOON_S):
        (told,) = await counter.do(counter.commands("credit"))
    assert isinstance(told, Applied)


async def test_a_batch_that_locks_waits_for_no_silent_connection(
    counter: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BEGIN is the first that it asks, and waits for no lock."""
    patience = counter.engine.sync_engine.get_execution_options()[session.PATIENCE]
    monkeypatch.setattr(patience, "answer_s", math.inf)
    rule = counter.arm(Point.STATEMENT_SENT, HalfOpen(), "BEGIN")
    async with asyncio.timeout(SOON_S):
        with pytest.raises(Unavailable):
            await _roll_back(counter)
    assert rule.count == 1


async def test_a_cancelled_wait_for_what_is_written_leaves_no_transaction_behind(dsn: str) -> None:
    """Nobody could tell whose answer comes next on that connection."""
    async with PostgresProxy.before(dsn) as proxy:
        engine = create_engine(proxy.dsn, pool_size=1)
        async with open_session(engine) as opened:
            begun = proxy.arm(Point.STATEMENT_SENT, Stall(0.2), text="BEGIN")
            waiting = asyncio.create_task(opened.write_all([]))
            await begun.fired()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert cast(Any, opened)._driver.is_closed()
        async with open_session(engine) as again:
            await again.fetch(text("SELECT 1"), {})
            assert not again.is_in_transaction()
        await engine.dispose()


async def test_a_batch_of_replays_begins_no_transaction(counter: Desk) -> None:
    commands = counter.commands("credit")
    await counter.do(commands)
    began = counter.arm(Point.STATEMENT_SENT, Stall(0), "BEGIN", times=None)
    (told,) = await counter.do(commands)
    assert isinstance(told, Replayed)
    assert began.count == 0
    await counter.do(counter.commands("debit"))
    assert began.count == 1


async def test_the_end_of_the_pool_waits_for_no_silent_connection(counter: Desk) -> None:
    await counter.require_healthy()
    counter.proxy.silence_all()
    async with asyncio.timeout(SOON_S):
        await counter.engine.dispose()


async def test_a_reader_who_gives_up_on_a_silent_connection_leaves_none_behind(
    counter: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is given up before the limit of a statement must not come back to the pool unanswered."""
    rule = counter.arm(Point.STATEMENT_SENT, HalfOpen())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(ANSWER_S / 4):
            await _ready(counter)
    await rule.fired()
    _wait_for_ever(counter, monkeypatch)
    async with asyncio.timeout(SOON_S):
        await counter.require_healthy()


async def test_a_reader_who_gives_up_on_a_slow_statement_keeps_the_connection(counter: Desk) -> None:
    """The statement is cancelled on the server, and its session serves the next one."""
    async with open_session(counter.engine) as first:
        driver = cast(Any, first)._driver
        waiting = asyncio.create_task(first._answer(driver.execute("SELECT pg_sleep(20)"), 30))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait([waiting])
        await first.end()
        assert not driver.is_closed()
        assert await driver.fetchval("SELECT 1") == 1


@pytest.mark.parametrize("point", [Point.BEFORE_COMMIT, Point.AFTER_COMMIT])
async def test_a_commit_is_never_cancelled_whoever_cancels_its_caller(counter: Desk, point: Point) -> None:
    cancelled = counter.proxy.arm(Point.CANCEL_REQUEST, Stall(0), times=None)
    commit = counter.arm(point, Stall())
    async with PostgresStore(counter.engine).begin(counter.tenant) as unit:
        snapshot = await unit.load(Names(["none"], [counter.first], [], []))
        await unit.append(decide_batch(snapshot, [credit("none", counter.first, 5)], counter.ids(snapshot.now)).changes)
        committing = asyncio.create_task(unit.commit())
        await commit.fired()
        committing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await committing
    commit.release()
    await counter.require_healthy()
    assert cancelled.count == 0


async def test_a_statement_of_a_cancelled_caller_is_cancelled(counter: Desk) -> None:
    """The point that the test above waits for in vain is one that is reached otherwise."""
    cancelled = counter.proxy.arm(Point.CANCEL_REQUEST, Stall(0), times=None)
    sent = counter.arm(Point.STATEMENT_SENT, Stall(), "WITH w AS")
    writing = asyncio.create_task(_write(counter))
    await sent.fired()
    writing.cancel()
    await cancelled.fired()
    sent.release()
    await asyncio.wait([writing])
    await counter.require_healthy()


async def test_when_the_cancel_request_is_dropped_the_caller_is_let_go_all_the_same(counter: Desk) -> None:
    dropped = counter.proxy.arm(Point.CANCEL_REQUEST, times=None)
    await counter.owner.execute("BEGIN")
    await counter.owner.execute("LOCK TABLE wallets")
    writing = asyncio.create_task(_write(counter))
    await until(counter.waits_for_lock)
    writing.cancel()
    async with asyncio.timeout(SOON_S):
        await asyncio.wait([writing])
    await dropped.fired()
    await counter.owner.execute("ROLLBACK")
    await counter.require_healthy()


async def test_a_process_that_was_held_up_does_not_take_the_server_for_silent(
    counter: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The machine may be held up as well.
    monkeypatch.setattr(silence, "SECOND_LOOK_S", 5.0)
    async with open_session(counter.engine) as held_up:
        beginning = asyncio.create_task(held_up.begin())
        await asyncio.sleep(0)
        time.sleep(2 * PROMPT_S)  # noqa: ASYNC251 - it is to block the event loop
        await beginning
        assert not cast(Any, held_up)._driver.is_closed()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_the_operating_system_is_told_to_notice_dead_peers(
    dsn: str, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def options() -> list[int]:
        async with PostgresProxy.before(dsn) as proxy:
            engine = create_engine(proxy.dsn, statement_timeout_ms=3000)
            async with open_session(engine) as opened:
                connected = cast(Any, opened)._driver._transport.get_extra_info("socket")
                found = [connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
                if hasattr(socket, "TCP_USER_TIMEOUT"):
                    found.append(connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
            await engine.dispose()
            return found

    with asyncio.Runner(loop_factory=new_loop) as runner:
        keepalive, *unacknowledged_ms = runner.run(options())
    assert keepalive != 0
    assert unacknowledged_ms in ([], [round((3 + silence.ANSWER_MARGIN_S) * 1000)])


async def test_an_administrator_who_makes_a_key_is_not_kept_by_the_end_of_a_connection(dsn: str) -> None:
    async with PostgresProxy.before(dsn) as proxy:
        engine = create_engine(proxy.dsn, pool_size=1)
        await Admin(engine).ensure_tenant("acme")
        proxy.silence_all()
        async with asyncio.timeout(SOON_S):
            await engine.dispose()


async def test_the_driver_is_not_left_with_a_timer_after_its_session(counter: Desk) -> None:
    driver: asyncpg.Connection
    async with open_session(counter.engine) as opened:
        await opened.begin()
        await opened.commit()
        driver = cast(Any, opened)._driver
    await asyncio.sleep(2 * ANSWER_S)
    assert not driver.is_closed()
