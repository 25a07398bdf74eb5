"""The proxy in front of Redis: it changes nothing unless it is told to, and what it is told to do happens."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tests.support.proxy.redis import Point, RedisProxy, ReplyOfAnother, an_error, garbage, wrong_type
from tests.support.proxy.relay import ProtocolError, Shape
from tests.support.proxy.resp import Values, bulks_of
from tests.support.proxy.rules import Action, Cut, HalfOpen, Replace, Stall, Truncate
from tests.support.redis import RedisServer, redis_server


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
async def proxy(server: RedisServer) -> AsyncIterator[RedisProxy]:
    async with server.client() as owner:
        await owner.flushall()
    async with RedisProxy.before(server.url) as made:
        yield made
        assert made.errors == []


def client_of(proxy: RedisProxy, protocol: int = 2) -> Any:
    return Redis.from_url(proxy.url, retry=Retry(NoBackoff(), 0), socket_timeout=5, protocol=protocol)


@pytest.fixture
async def client(proxy: RedisProxy) -> AsyncIterator[Any]:
    connected = client_of(proxy)
    await connected.set("kept", "value")
    yield connected
    await connected.aclose()


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("shape", [Shape(), Shape(piece_bytes_max=3)])
@pytest.mark.parametrize("by", ["url", "socket_url"])
async def test_all_passes_as_without_it(server: RedisServer, protocol: int, shape: Shape, by: str) -> None:
    async with RedisProxy.before(getattr(server, by), shape=shape) as proxy:
        client = client_of(proxy, protocol)
        async with client.pipeline(transaction=False) as pipeline:
            for number in range(50):
                pipeline.set(f"key-{number}", b"\r\n\0" * number, ex=60)
            assert await pipeline.execute() == [True] * 50
        assert await client.mget(["key-1", "nothing", "key-49"]) == [b"\r\n\0", None, b"\r\n\0" * 49]
        assert await client.hset("hash", mapping={"a": "1", "b": "2"}) >= 0
        assert await client.hgetall("hash") == {b"a": b"1", b"b": b"2"}
        assert float(await client.incrbyfloat("float", 0.5)) > 0
        assert (await client.info("server"))["tcp_port"] == server.port
        await client.aclose()
        assert proxy.errors == []
        assert proxy.requests == proxy.replies >= 55


@pytest.mark.parametrize(
    ("point", "action"),
    [
        (Point.REQUEST, Cut()),
        (Point.REQUEST_SENT, Cut()),
        (Point.REPLY, Cut(reset=False)),
        (Point.REPLY, Truncate()),
        (Point.REPLY, Replace(garbage)),
        (Point.REPLY, Replace(an_error)),
    ],
)
async def test_what_goes_wrong_on_the_way_is_an_error_to_the_client(
    proxy: RedisProxy, client: Any, point: Point, action: Action
) -> None:
    rule = proxy.arm(point, action, text="GET kept")
    with pytest.raises(RedisError):
        await client.get("kept")
    await rule.fired()
    await client.connection_pool.disconnect()
    assert await client.get("kept") == b"value"


async def test_a_connection_is_cut_before_the_server_hears_of_it(proxy: RedisProxy, client: Any) -> None:
    await client.connection_pool.disconnect()
    rule = proxy.arm(Point.CONNECT)
    with pytest.raises(RedisError):
        await client.get("kept")
    await rule.fired()
    assert await client.get("kept") == b"value"


async def test_a_request_is_kept_from_the_server_or_not(proxy: RedisProxy, client: Any, server: RedisServer) -> None:
    for key, point in (("before", Point.REQUEST), ("after", Point.REPLY)):
        rule = proxy.arm(point, text=f"SET {key}")
        with pytest.raises(RedisError):
            await client.set(key, "1")
        await rule.fired()
    assert await server.keys() == [b"after", b"kept"]


@pytest.mark.parametrize("action", [Stall(), HalfOpen()])
async def test_a_reply_that_does_not_come_is_waited_for(proxy: RedisProxy, client: Any, action: Action) -> None:
    rule = proxy.arm(Point.REPLY, action)
    asking = asyncio.create_task(client.get("kept"))
    await rule.fired()
    done, _ = await asyncio.wait([asking], timeout=0.1)
    assert not done
    rule.release()
    if isinstance(action, Stall):
        assert await asking == b"value"
    else:
        asking.cancel()
        await asyncio.wait([asking])


async def test_replies_can_be_of_another_type_or_of_another_request(proxy: RedisProxy, client: Any) -> None:
    await client.set("other", "another value")
    proxy.arm(Point.REPLY, Replace(wrong_type))
    assert await client.get("kept") == 42
    shifted = proxy.arm(Point.REPLY, Replace(ReplyOfAnother()), times=None)
    await client.get("kept")
    assert await client.get("other") == b"value"
    assert shifted.count == 2


def _bulk(word: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(word), word)


def _array(kind: bytes, parts: list[bytes], per: int = 1) -> bytes:
    return b"%s%d\r\n%s" % (kind, len(parts) // per, b"".join(parts))


lines = st.sampled_from([b"+OK\r\n", b"-ERR no\r\n", b":-12\r\n", b"_\r\n", b",1.5\r\n", b"#t\r\n", b"(123\r\n"])
bulks = st.binary(max_size=20).map(_bulk) | st.sampled_from([b"$-1\r\n", b"*-1\r\n", b"=7\r\ntxt:abc\r\n"])


def _aggregates(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    pairs = st.lists(st.tuples(inner, inner), max_size=3).map(lambda pairs: [part for pair in pairs for part in pair])
    return (
        st.builds(_array, st.sampled_from([b"*", b"~", b">"]), st.lists(inner, max_size=4))
        | pairs.map(lambda parts: _array(b"%", parts, 2))
        | st.tuples(pairs, inner).map(lambda both: _array(b"|", both[0], 2) + both[1])
    )


values = st.recursive(lines | bulks, _aggregates, max_leaves=12)


@given(st.lists(values, max_size=6), st.lists(st.integers(1, 30), min_size=1))
def test_values_are_found_however_their_bytes_arrive(sent: list[bytes], sizes: list[int]) -> None:
    stream, parser = b"".join(sent), Values()
    found: list[bytes] = []
    start = turn = 0
    while start < len(stream):
        size = sizes[turn % len(sizes)]
        found += parser.feed(stream[start : start + size])
        start, turn = start + size, turn + 1
    assert found == sent


@given(st.lists(st.binary(max_size=30), min_size=1))
def test_the_words_of_a_request_are_found(words: list[bytes]) -> None:
    assert bulks_of(_array(b"*", [_bulk(word) for word in words])) == words


@pytest.mark.parametrize("nonsense", [b"hello\r\n", b"\r\n", b"$x\r\n", b"*-7\r\n", b"$99999999999\r\n", b"+" * 70_000])
def test_what_can_be_no_value_is_refused(nonsense: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(Values().feed(nonsense))


def test_a_refused_value_is_told_by_the_proxy(server: RedisServer) -> None:
    async def send(make: Callable[[bytes], bytes]) -> list[Exception]:
        async with RedisProxy.before(server.url) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(make(b""))
            await reader.read()
            writer.close()
            return proxy.errors

    (error,) = asyncio.run(send(garbage))
    assert isinstance(error, ProtocolError)
