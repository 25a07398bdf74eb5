"""The proxy in front of PostgreSQL: it changes nothing unless it is told to, and what it is told to do happens."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ids import UuidV7
from adapters.postgres.engine import create_engine
from adapters.postgres.reader import PostgresReader
from adapters.postgres.unit_of_work import PostgresStore
from tests.support.proxy.postgres import Point, PostgresDialogue, PostgresProxy
from tests.support.proxy.postgres_frames import VERSION_3, Frame, Frames
from tests.support.proxy.relay import ProtocolError, Shape
from tests.support.proxy.rules import Cut, HalfOpen, Moment, Stall, Truncate
from tests.support.stores import World, new_tenants
from tests.support.waits import until
from wallet_core import Applied, CaptureHold, OpenWallet, PlaceHold, Replayed, credit, transfer


@pytest.fixture
async def proxy(database: str) -> AsyncIterator[PostgresProxy]:
    async with PostgresProxy.before(database) as made:
        yield made
        assert made.errors == []


@pytest.fixture
async def client(proxy: PostgresProxy) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(proxy.dsn, timeout=5)
    yield connection
    connection.terminate()


@pytest.mark.parametrize("shape", [Shape(), Shape(piece_bytes_max=1), Shape(delay_ms=1, piece_bytes_max=700)])
async def test_a_ledger_works_through_it_as_without(database: str, shape: Shape) -> None:
    tenant, other = await new_tenants(database, 2)
    async with PostgresProxy.before(database, shape=shape) as proxy:
        engine = create_engine(proxy.dsn, pool_size=2)
        try:
            world = World(PostgresStore(engine), PostgresReader(engine), tenant, other, UuidV7())
            first, second = uuid4(), uuid4()
            await world.do(OpenWallet("a", "EUR", id=first), OpenWallet("b", "EUR", id=second))
            crowd = await world.do(*(credit(f"credit-{n}", first, 2) for n in range(100)))
            assert all(isinstance(outcome, Applied) for outcome in crowd)
            placed = await world.apply(PlaceHold("hold", first, 50, second))
            assert placed.hold is not None
            await world.apply(CaptureHold("capture", placed.hold.id, 30))
            (moved, again) = await world.do(transfer("move", first, second, 20), transfer("move", first, second, 20))
            assert isinstance(moved, Applied)
            assert isinstance(again, Replayed)
            wallets = [await world.reader.wallet(tenant, id) for id in (first, second)]
            assert [wallet.balance for wallet in wallets if wallet] == [150, 50]
        finally:
            await engine.dispose()
        assert proxy.errors == []
        assert proxy.fired_counts == {}


async def test_a_statement_can_be_cancelled_through_it(client: asyncpg.Connection) -> None:
    with pytest.raises(TimeoutError):
        await client.execute("SELECT pg_sleep(30)", timeout=0.1)
    assert await client.fetchval("SELECT 1") == 1


async def test_a_dropped_cancel_request_leaves_the_statement_running(
    proxy: PostgresProxy, client: asyncpg.Connection
) -> None:
    rule = proxy.arm(Point.CANCEL_REQUEST)
    with pytest.raises(TimeoutError):
        await client.execute("SELECT pg_sleep(0.5)", timeout=0.1)
    await rule.fired()
    async with asyncio.timeout(5):
        assert await client.fetchval("SELECT 1") == 1


async def test_at_start_up_it_cuts(proxy: PostgresProxy) -> None:
    rule = proxy.arm(Point.START_UP, Cut())
    with pytest.raises((OSError, asyncpg.PostgresConnectionError)):
        await asyncpg.connect(proxy.dsn, timeout=5)
    await rule.fired()
    await (await asyncpg.connect(proxy.dsn)).close()


async def test_at_start_up_it_stalls_until_it_is_released(proxy: PostgresProxy) -> None:
    rule = proxy.arm(Point.START_UP, Stall())
    connecting = asyncio.create_task(asyncpg.connect(proxy.dsn))
    await rule.fired()
    assert not connecting.done()
    rule.release()
    await (await connecting).close()


async def test_a_statement_is_with_the_server_when_its_answer_is_cut(
    proxy: PostgresProxy, client: asyncpg.Connection, database: str
) -> None:
    rule = proxy.arm(Point.STATEMENT_SENT, text="CREATE TABLE kept")
    with pytest.raises((OSError, asyncpg.PostgresConnectionError)):
        await client.execute("CREATE TABLE kept ()")
    await rule.fired()
    owner = await asyncpg.connect(database)
    await until(lambda: owner.fetchval("SELECT count(*) FROM pg_class WHERE relname = 'kept'"))
    await owner.close()


@pytest.mark.parametrize(
    ("point", "kept"), [(Point.BEFORE_COMMIT, False), (Point.AFTER_COMMIT, True)], ids=["before", "after"]
)
async def test_a_cut_at_commit_is_before_or_after_it(
    proxy: PostgresProxy, client: asyncpg.Connection, database: str, point: Point, kept: bool
) -> None:
    rule = proxy.arm(point)
    await client.execute("BEGIN")
    await client.execute("CREATE TABLE kept ()")
    pid = client.get_server_pid()
    with pytest.raises((OSError, asyncpg.PostgresConnectionError)):
        await client.execute("COMMIT")
    await rule.fired()
    owner = await asyncpg.connect(database)
    await until(lambda: owner.fetchval("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $1", pid))
    assert await owner.fetchval("SELECT count(*) FROM pg_class WHERE relname = 'kept'") == kept
    await owner.close()


async def test_a_prepared_commit_is_one_too(proxy: PostgresProxy, client: asyncpg.Connection) -> None:
    rules = [proxy.arm(point, Stall(0.01)) for point in (Point.BEFORE_COMMIT, Point.COMMIT_SENT, Point.AFTER_COMMIT)]
    commit = await client.prepare("COMMIT")
    await client.execute("BEGIN")
    await commit.fetch()
    for rule in rules:
        await rule.fired()


async def test_a_stall_ends_after_its_time_and_nothing_is_lost(
    proxy: PostgresProxy, client: asyncpg.Connection
) -> None:
    rules = [proxy.arm(Point.STATEMENT_SENT, Stall(0.05), text="SELECT"), proxy.arm(Point.AFTER_COMMIT, Stall(0.05))]
    async with client.transaction():
        assert await client.fetchval("SELECT 1") == 1
    for rule in rules:
        await rule.fired()


@pytest.mark.parametrize("server_closed", [False, True])
async def test_on_a_half_open_connection_nothing_is_ever_heard(
    proxy: PostgresProxy, client: asyncpg.Connection, database: str, server_closed: bool
) -> None:
    rule = proxy.arm(Point.STATEMENT_SENT, HalfOpen(server_closed))
    pid = client.get_server_pid()
    asking = asyncio.create_task(client.fetchval("SELECT 1"))
    await rule.fired()
    done, _ = await asyncio.wait([asking], timeout=0.2)
    assert not done
    owner = await asyncpg.connect(database)
    sessions = 0 if server_closed else 1
    await until(lambda: owner.fetchval("SELECT count(*) = $2 FROM pg_stat_activity WHERE pid = $1", pid, sessions))
    await owner.close()
    client.terminate()
    with pytest.raises(asyncpg.PostgresConnectionError):
        await asking


async def test_all_connections_can_be_cut_or_silenced_at_once(proxy: PostgresProxy) -> None:
    connections = [await asyncpg.connect(proxy.dsn) for _ in range(3)]
    assert proxy.silence_all() == 3
    proxy.cut_all()
    for connection in connections:
        with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)):
            await connection.execute("SELECT 1")


async def test_a_refused_connection_is_refused_until_it_listens_again(proxy: PostgresProxy) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await asyncpg.connect(proxy.dsn)
    await proxy.listen()
    await (await asyncpg.connect(proxy.dsn)).close()


async def test_what_is_truncated_is_cut_in_the_middle_of_a_frame(
    proxy: PostgresProxy, client: asyncpg.Connection
) -> None:
    rule = proxy.arm(Point.AFTER_COMMIT, Truncate())
    await client.execute("BEGIN")
    with pytest.raises((asyncpg.PostgresConnectionError, OSError)):
        await client.execute("COMMIT")
    await rule.fired()


async def test_rules_choose_by_text_application_count_and_seed(proxy: PostgresProxy) -> None:
    others = proxy.arm(Point.STATEMENT_SENT, application="till")
    third = proxy.arm(Point.STATEMENT_SENT, text="this", skip=2)
    connection = await asyncpg.connect(proxy.dsn)
    await connection.execute("SELECT 'this'")
    await connection.execute("SELECT 'that'")
    await connection.execute("SELECT 'this'")
    assert (others.count, third.count) == (0, 0)
    with pytest.raises((asyncpg.PostgresConnectionError, OSError)):
        await connection.execute("SELECT 'this'")
    await third.fired()
    proxy.disarm()
    rule = proxy.arm(Point.STATEMENT_SENT, Stall(0), times=None, probability=0.5)
    connection = await asyncpg.connect(proxy.dsn)
    for _ in range(50):
        await connection.execute("SELECT")
    await connection.close()
    assert 5 < rule.count < 45
    assert others.count == 0


async def test_a_point_that_is_not_reached_is_told(proxy: PostgresProxy) -> None:
    with pytest.raises(AssertionError, match="fired 0 times"):
        await proxy.arm(Point.AFTER_COMMIT).firings.reach(1, within_s=0.01)


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body


START_UP = _message(b"", (VERSION_3 << 16).to_bytes(4, "big") + b"user\0u\0application_name\0till\0\0")
messages = st.tuples(st.sampled_from([b"Q", b"P", b"B", b"D", b"E", b"S", b"X", b"C"]), st.binary(max_size=40))


@given(st.lists(messages, max_size=8), st.lists(st.integers(1, 50), min_size=1))
def test_frames_are_found_however_their_bytes_arrive(sent: list[tuple[bytes, bytes]], sizes: list[int]) -> None:
    frames = [_message(kind, body) for kind, body in sent]
    stream = START_UP + b"".join(frames)
    parser = Frames(starting=True)
    found: list[Frame] = []
    start = turn = 0
    while start < len(stream):
        size = sizes[turn % len(sizes)]
        found += parser.feed(stream[start : start + size])
        start, turn = start + size, turn + 1
    assert [frame.raw for frame in found] == [START_UP, *frames]
    assert [(frame.kind, frame.body) for frame in found[1:]] == sent


@given(st.lists(st.sampled_from(["SELECT 1", "COMMIT", "commit;", "BEGIN"]), max_size=6), st.integers(1, 30))
def test_points_are_found_however_their_bytes_arrive(statements: list[str], size: int) -> None:
    asked = START_UP + b"".join(_message(b"Q", text.encode() + b"\0") for text in statements)
    dialogue = PostgresDialogue()
    pieces = (asked[start : start + size] for start in range(0, len(asked), size))
    passages = [passage for piece in pieces for passage in dialogue.from_client(piece)]
    assert b"".join(passage.data for passage in passages) == asked
    expected = [Moment(Point.START_UP, "till", "")]
    for text in statements:
        commit = text.lower().startswith("commit")
        points = (Point.BEFORE_COMMIT, Point.COMMIT_SENT) if commit else (Point.STATEMENT_SENT,)
        expected += [Moment(point, "till", text) for point in points]
    assert [at for passage in passages for at in (passage.before, passage.after) if at is not None] == expected


@pytest.mark.parametrize("garbage", [b"\0\0\0\x01", b"\x7f\xff\xff\xff", b"HTTP/1.1 400 Bad Request"])
def test_what_can_be_no_frame_is_refused(garbage: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(Frames(starting=True).feed(garbage))
