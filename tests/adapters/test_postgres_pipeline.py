"""Statements that are sent one behind the other: what each of them wrote, what is raised, and what is left behind."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
import uvloop
from sqlalchemy import ARRAY, BigInteger, text

from adapters.postgres import engine as engine_module
from adapters.postgres import pipeline as pipeline_module
from adapters.postgres import session as session_module
from adapters.postgres.binary import encoder
from adapters.postgres.pipeline import BEGIN, Pipeline, Statement, Tags, encoded
from tests.adapters.test_postgres_tls import url
from tests.support.certificates import Authority
from tests.support.proxy.postgres import Point, PostgresDialogue, PostgresProxy
from tests.support.proxy.relay import Passage
from tests.support.proxy.rules import Stall
from tests.support.sessions import till
from tests.support.tls_front import tls_front
from wallet_core import BatchLedger, Command, OpenWallet, PlaceHold, Replayed, credit
from wallet_core.ports import Unavailable

INT8S: Final = encoder(ARRAY(BigInteger()))
KEEP: Final = "INSERT INTO kept SELECT * FROM unnest($1::bigint[])"
SAME_KEY: Final = """INSERT INTO transactions
    (tenant_id, id, created_at, idempotency_key, outcome, kind, intent, result)
    VALUES ($1, gen_random_uuid(), now(), $2, 'rejected', 'post', '{}', '{}')"""
DROP: Final = "DELETE FROM kept WHERE n = ANY ($1::bigint[])"

BARE: Final = encoded((), ())
"""The arguments of a statement that has none."""


def keep(*numbers: int) -> Statement:
    return KEEP, encoded(([*numbers],), (INT8S,))


def drop(*numbers: int) -> Statement:
    return DROP, encoded(([*numbers],), (INT8S,))


async def patiently(answer: Awaitable[Any]) -> Any:
    return await answer


@asynccontextmanager
async def connected(dsn: str, sends_ahead: bool = True) -> AsyncIterator[tuple[asyncpg.Connection, Pipeline]]:
    driver = await asyncpg.connect(dsn)
    await driver.execute("CREATE TEMP TABLE kept (n bigint PRIMARY KEY)")
    try:
        yield driver, Pipeline(driver, sends_ahead)
    finally:
        driver.terminate()


async def kept(driver: asyncpg.Connection) -> list[int]:
    return [row["n"] for row in await driver.fetch("SELECT n FROM kept ORDER BY n")]


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_socket_of_the_same_machine_has_room_for_a_large_batch(
    database: str, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """What it has no room for waits until this process comes by again, and the server waits with it."""

    async def room() -> tuple[socket.AddressFamily, int, int]:
        driver: Any = await asyncpg.connect(database)
        try:
            opened = driver._transport.get_extra_info("socket")
            before = opened.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
            Pipeline(driver, sends_ahead=True)
            return opened.family, before, opened.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        finally:
            driver.terminate()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        family, before, after = runner.run(room())
    if family == socket.AF_UNIX:
        most = int(Path("/proc/sys/net/core/wmem_max").read_text())
        assert after >= min(pipeline_module.SENT_BYTES, most) > before or before >= most
    else:
        assert after == before


@pytest.mark.parametrize("sends_ahead", [True, False])
async def test_each_statement_tells_how_many_rows_it_wrote(database: str, sends_ahead: bool) -> None:
    async with connected(database, sends_ahead) as (driver, pipeline):
        for _ in range(2):
            assert await pipeline.run([BEGIN, keep(1, 2, 3), drop(2, 7), keep(4), drop()], patiently) == [0, 3, 1, 1, 0]
            assert driver.is_in_transaction()
            assert await kept(driver) == [1, 3, 4]
            await driver.execute("ROLLBACK")
        assert await pipeline.run([keep(5)], patiently) == [1]
        assert await pipeline.run([], patiently) == []
        assert await kept(driver) == [5]


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("is_prepared", [True, False])
async def test_the_first_that_fails_is_raised_and_none_behind_it_is_carried_out(
    database: str, place: int, is_prepared: bool
) -> None:
    async with connected(database) as (driver, pipeline):
        await pipeline.run([keep(1)], patiently)
        if is_prepared:
            await pipeline.run([BEGIN, drop()], patiently)
            await driver.execute("ROLLBACK")
        statements = [keep(2), drop(7), keep(3), keep(4)]
        statements[place] = keep(1)
        statements.append(("DO $$ BEGIN PERFORM 1 / 0; END $$", BARE))
        with pytest.raises(asyncpg.UniqueViolationError):
            await pipeline.run([BEGIN, *statements], patiently)
        assert driver.is_in_transaction()
        await driver.execute("ROLLBACK")
        assert await pipeline.run([BEGIN, keep(2), keep(3)], patiently) == [0, 1, 1]
        await driver.execute("COMMIT")
        assert await kept(driver) == [1, 2, 3]


@pytest.mark.parametrize("step", [1, 2, 5, 7, 1000])
async def test_answers_may_come_in_any_pieces(database: str, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Tags.data_received

    def in_pieces(self: Tags, data: bytes) -> None:
        for start in range(0, len(data), step):
            whole(self, data[start : start + step])

    monkeypatch.setattr(Tags, "data_received", in_pieces)
    async with connected(database) as (driver, pipeline):
        for n in range(3):
            assert await pipeline.run([BEGIN, keep(n), drop(n), keep(n, n + 1), drop()], patiently) == [0, 1, 1, 2, 0]
            await driver.execute("ROLLBACK")


async def test_what_the_server_says_in_between_gets_to_the_driver(database: str) -> None:
    async with connected(database) as (driver, pipeline):
        notices: list[str] = []
        driver.add_log_listener(lambda _, message: notices.append(message.message))
        warn = "DO $$ BEGIN RAISE WARNING 'look out'; SET LOCAL application_name = 'other'; END $$"
        assert await pipeline.run([BEGIN, keep(1), (warn, BARE), keep(2), drop(1)], patiently) == [0, 1, 0, 1, 1]
        assert await pipeline.run([keep(3), (warn, BARE), drop(3)], patiently) == [1, 0, 1]
        assert notices == ["look out"] * 2


async def test_much_of_it_is_sent_and_answered(database: str) -> None:
    """More than fits into what a socket holds, in both directions."""
    async with connected(database) as (driver, pipeline):
        numbers = [*range(20_000)]
        for _ in range(2):
            statements = [BEGIN, keep(*numbers), drop(*numbers), *(drop(n) for n in range(2000)), keep(*numbers)]
            assert await pipeline.run(statements, patiently) == [0, 20_000, 20_000, *[0] * 2000, 20_000]
            await driver.execute("ROLLBACK")


async def test_a_bug_on_the_way_there_closes_a_connection_that_has_sent_a_part(database: str) -> None:
    async with connected(database) as (driver, pipeline):
        await pipeline.run([keep(1), drop(1)], patiently)
        with pytest.raises(ZeroDivisionError):
            await pipeline.run((keep(6 // n) for n in (2, 1, 0)), patiently)
        assert driver.is_closed()
    async with connected(database) as (driver, pipeline):
        with pytest.raises(asyncpg.UndefinedTableError):
            await pipeline.run([BEGIN, ("DELETE FROM nothing", BARE), keep(1)], patiently)
        # The server has answered for all of it.
        assert not driver.is_closed()


async def test_a_prepared_statement_that_is_gone_is_prepared_again(database: str) -> None:
    async with connected(database) as (driver, pipeline):
        await pipeline.run([keep(1), drop(1)], patiently)
        await driver.execute("DEALLOCATE ALL")
        with pytest.raises(asyncpg.InvalidSQLStatementNameError):
            await pipeline.run([keep(1), drop(1)], patiently)
        assert await pipeline.run([keep(1), drop(1)], patiently) == [1, 1]


async def test_an_answer_that_is_no_message_closes_the_connection(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(database) as (driver, pipeline):
        await pipeline.run([keep(1)], patiently)
        tags = pipeline._tags
        tags.are_due = True
        with pytest.raises(asyncpg.InternalClientError):
            tags.data_received(b"C\xff\xff\xff\xff")
        # What came before has no part in what comes next, and what lacks an answer is not told as if it had one.
        tags._unread, tags.are_due = b"", False
        monkeypatch.setattr(tags, "data_received", tags._hand_on)
        pipeline._transport.set_protocol(tags)
        with pytest.raises(asyncpg.InternalClientError):
            await pipeline.run([keep(2)], patiently)
        assert driver.is_closed()


async def test_a_connection_that_is_closed_takes_nothing(database: str) -> None:
    async with connected(database) as (driver, pipeline):
        await pipeline.run([keep(1), drop(1)], patiently)
        driver.terminate()
        with pytest.raises(asyncpg.InterfaceError):
            await pipeline.run([keep(1), drop(1)], patiently)


async def test_a_connection_that_is_lost_under_way_is_told_of(database: str) -> None:
    async with connected(database) as (driver, pipeline):
        end = "SELECT pg_terminate_backend(pg_backend_pid())"
        await pipeline.run([keep(1), drop(1)], patiently)
        with pytest.raises(asyncpg.ConnectionDoesNotExistError):
            await pipeline.run(
                [keep(1), (f"DO $$ BEGIN PERFORM 1 FROM ({end}) AS ended; END $$", BARE), keep(2)], patiently
            )
        assert driver.is_closed()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_it_goes_through_tls(database: str, tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    authority = Authority(tmp_path / "authority")

    async def write() -> None:
        context: ssl.SSLContext = authority.sign("127.0.0.1").server_context()
        async with tls_front(database, context) as front:
            async with connected(url(database, front.port, sslmode="require")) as (driver, pipeline):
                for n in range(3):
                    assert await pipeline.run([BEGIN, keep(*range(5000)), drop(n), keep(n)], patiently) == [
                        0,
                        5000,
                        1,
                        1,
                    ]
                    await driver.execute("ROLLBACK")
            assert (front.encrypted, front.plain) == (1, 0)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(write())


# ------------------------------------------------------------------ as a batch uses it


class _CountedDialogue(PostgresDialogue):
    answered = 0

    def from_server(self, data: bytes) -> Iterator[Passage]:
        for passage in super().from_server(data):
            if passage.data[:1] == b"Z":
                _CountedDialogue.answered += 1
            yield passage


class _Counting(PostgresProxy):
    """Counts how often the server says that it is ready for the next: so often somebody has waited for it."""

    def dialogue(self) -> PostgresDialogue:
        return _CountedDialogue(self.sqlstates)


async def test_a_batch_waits_for_the_server_three_times(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To be loaded, to be written whatever there is to write, and to be committed."""
    async with _Counting.before(database) as proxy, till(proxy.dsn, pool_size=1) as one:
        ledger = BatchLedger(one.store, one.ids)

        async def waits(suffix: str) -> int:
            commands: list[Command] = [
                OpenWallet(f"open-{suffix}", "EUR"),
                one.next_credit(),
                PlaceHold(f"hold-{suffix}", one.wallet_id, 1),
            ]
            before = _CountedDialogue.answered
            assert not any(isinstance(outcome, Replayed) for outcome in await ledger.execute(one.tenant, commands))
            return _CountedDialogue.answered - before

        await one.do(credit("first", one.wallet_id, 100))
        assert await waits("that-prepares") > 3
        assert await waits("prepared") == 3
        # Where the server has no limit on transactions, each statement is waited for: BEGIN, wallets twice, and so on.
        monkeypatch.setattr(engine_module, "can_bound_transactions", lambda _: False)
        one.cut_connections()
        await asyncio.sleep(0.05)
        await one.do(credit("second", one.wallet_id, 100))
        await waits("that-prepares-again")
        assert await waits("one-by-one") == 8


async def test_25p04_a_client_that_stops_within_what_it_writes_keeps_no_lock(database: str) -> None:
    limits = {"statement_timeout_ms": 300, "idle_in_transaction_timeout_ms": 200}
    async with PostgresProxy.before(database) as proxy, till(proxy.dsn, pool_size=1, **limits) as one:
        await one.assert_works()
        stopped = proxy.arm(Point.STATEMENT_SENT, Stall(), text="UPDATE wallets")
        async with one.store.begin(one.tenant) as unit:
            writing = asyncio.create_task(unit.append(await one.load(unit)))
            await stopped.fired()
            # Waits for the row until the server ends the transaction that has it.
            async with asyncio.timeout(5):
                await one.lock_wallet()
            await one.owner.execute("ROLLBACK")
            assert not writing.done()
            stopped.release()
            await asyncio.wait([writing])
        assert proxy.sqlstates["25P04"] == 1
        await one.assert_works()


async def test_what_was_given_up_is_not_taken_for_the_answer_to_what_is_written_next(database: str) -> None:
    """The driver asks the server to cancel it, which may be lost on its way."""
    async with PostgresProxy.before(database) as proxy, till(proxy.dsn, pool_size=1) as one:
        await one.assert_works()
        proxy.arm(Point.CANCEL_REQUEST, times=None)
        async with one.store.begin(one.tenant) as unit:
            changes = await one.load(unit)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await unit._session.fetch(text("SELECT pg_sleep(0.4)"), {})
            with pytest.raises(Unavailable):
                await unit.append(changes)
            assert unit._session._driver.is_closed()
        await one.assert_works()


async def test_locks_that_are_waited_for_one_after_the_other_cost_no_connection(database: str) -> None:
    """Each wait is within the server's own limit, and both take longer than one statement may go unanswered."""
    limits = {"statement_timeout_ms": 1200, "lock_timeout_ms": 1100, "idle_in_transaction_timeout_ms": 5000}
    async with till(database, pool_size=1, **limits) as one:
        await one.assert_works()
        patience = one.engine.sync_engine.get_execution_options()[session_module.PATIENCE]
        patience.answer_s = 1.4
        other = await asyncpg.connect(database)
        await one.lock_wallet()
        async with one.store.begin(one.tenant) as unit:
            changes = await one.load(unit)
            await other.execute("BEGIN")
            await other.execute(SAME_KEY, one.tenant, changes.decisions[0].key)
            writing = asyncio.create_task(unit.append(changes))
            for blocker in (one.owner, other):
                await one.waiting_pid("Lock")
                await asyncio.sleep(0.9)
                assert not writing.done()
                await blocker.execute("ROLLBACK")
            await writing
            await unit.commit()
        await other.close()


@pytest.mark.parametrize(("version", "can"), [((16, 9), False), ((17, 0), True), ((18, 4), True)])
def test_only_a_server_that_bounds_transactions_is_sent_statements_ahead(version: tuple[int, int], can: bool) -> None:
    class Driver:
        def get_server_version(self) -> tuple[int, int]:
            return version

    driver: Any = Driver()
    assert pipeline_module.can_bound_transactions(driver) is can
