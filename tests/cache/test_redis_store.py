"""The store on Redis: what was given up in the middle never disturbs what is asked next."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from random import Random

import pytest
from redis.asyncio.connection import AbstractConnection

from adapters.redis import client as client_module
from adapters.redis.client import CONNECTIONS_MAX, RedisStore
from adapters.redis.store import StoreAway, StoreRefused
from tests.cache.ways import PlainRelay
from tests.support.redis import RedisServer, free_port, redis_server

KEYS = [b"k%d" % number for number in range(8)]
PASSWORD = "s3cret/pass"


@pytest.fixture
async def relay(redis: RedisServer) -> AsyncIterator[PlainRelay]:
    async with PlainRelay(("127.0.0.1", redis.port)) as way:
        yield way


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer to open many connections at once than a replay is worth waiting for."""
    monkeypatch.setattr(client_module, "STEP_S_MAX", 5.0)


@pytest.fixture
async def store(relay: PlainRelay) -> AsyncIterator[RedisStore]:
    """At the end of that way, with a value under each key that is the key itself."""
    made = RedisStore(f"redis://127.0.0.1:{relay.port}")
    await made.put_many({key: key for key in KEYS}, 60)
    yield made
    await made.close()


async def gives_up(store: RedisStore, key: bytes, after_s: float) -> bool:
    """Whether the answer took longer than that. If not, it must be the right one."""
    try:
        async with asyncio.timeout(after_s):
            assert await store.get_many([key]) == [key]
    except TimeoutError:
        return True
    return False


async def test_a_late_answer_is_never_the_answer_to_another_question(store: RedisStore, relay: PlainRelay) -> None:
    relay.shape.delay_ms = 40
    assert await gives_up(store, KEYS[0], 0.05)
    assert await store.get_many([KEYS[1]]) == [KEYS[1]]


async def test_without_dropping_the_connection_it_would_be(
    store: RedisStore, relay: PlainRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mechanism taken out."""

    async def keep(connection: AbstractConnection, *args: object, **options: object) -> None:
        pass

    relay.shape.delay_ms = 40
    with monkeypatch.context() as patch:
        patch.setattr(AbstractConnection, "disconnect", keep)
        assert await gives_up(store, KEYS[0], 0.05)
        assert await store.get_many([KEYS[1]]) == [KEYS[0]]


async def test_calls_given_up_at_any_moment_leave_the_others_right(store: RedisStore, relay: PlainRelay) -> None:
    random = Random(4)
    relay.shape.delay_ms = 1
    given_up = 0

    async def client(number: int) -> None:
        nonlocal given_up
        for _ in range(25):
            given_up += await gives_up(
                store, KEYS[number % len(KEYS)], random.choice([0, 0.001, 0.002, 0.004, 0.008, 5])
            )
            if random.random() < 0.2:
                await gives_up_writing(store, KEYS[number % len(KEYS)], random.random() / 100)

    await asyncio.gather(*(client(number) for number in range(2 * CONNECTIONS_MAX)))
    assert 0 < given_up < 2 * CONNECTIONS_MAX * 25
    relay.shape.delay_ms = 0
    # No place in the pool was lost to those that gave up.
    answers = await asyncio.gather(*(store.get_many([key]) for key in KEYS * CONNECTIONS_MAX))
    assert answers == [[key] for key in KEYS * CONNECTIONS_MAX]


async def gives_up_writing(store: RedisStore, key: bytes, after_s: float) -> None:
    try:
        async with asyncio.timeout(after_s):
            await store.put_many({key: key}, 60)
    except TimeoutError:
        return


@pytest.mark.usefixtures("patient")
async def test_connections_are_bounded(store: RedisStore, relay: PlainRelay) -> None:
    relay.shape.delay_ms = 5
    await asyncio.gather(*(store.get_many(KEYS) for _ in range(5 * CONNECTIONS_MAX)))
    assert len(relay.links) <= CONNECTIONS_MAX


@pytest.mark.usefixtures("patient")
async def test_connections_that_redis_closed_are_replaced_unnoticed(store: RedisStore, relay: PlainRelay) -> None:
    await asyncio.gather(*(store.get_many(KEYS) for _ in range(CONNECTIONS_MAX)))
    for link in list(relay.links):
        link.cut(reset=False)
    await asyncio.sleep(0.05)
    assert await store.get_many(KEYS) == KEYS


@pytest.mark.usefixtures("patient")
async def test_once_it_is_back_no_dead_connection_is_left(store: RedisStore, relay: PlainRelay) -> None:
    """Those that were reset fail when they are used, and one failure of a cache is enough."""
    await asyncio.gather(*(store.get_many(KEYS) for _ in range(CONNECTIONS_MAX)))
    relay.cut_all()
    with pytest.raises(StoreAway):
        await store.get_many(KEYS)
    await store.ping()
    await asyncio.gather(*(store.get_many(KEYS) for _ in range(CONNECTIONS_MAX)))


async def test_values_are_kept_as_long_as_was_asked(redis: RedisServer) -> None:
    store = RedisStore(redis.socket_url)
    await store.put_many({b"a": b"1", b"b": b"\x00\xff"}, 60)
    assert await store.get_many([b"b", b"none", b"a"]) == [b"\x00\xff", None, b"1"]
    async with redis.client() as client:
        assert 0 < await client.ttl("a") <= 60
    await store.ping()
    await store.close()


async def test_a_write_of_which_some_is_refused_says_so(redis: RedisServer) -> None:
    store = RedisStore(redis.url)
    async with redis.client() as client:
        await client.execute_command("ACL", "SETUSER", "default", "resetkeys", "~a*")
    with pytest.raises(StoreRefused, match=r"^NoPermissionError$"):
        await store.put_many({b"a1": b"", b"b": b"", b"a2": b""}, 60)
    assert await store.get_many([b"a1", b"a2"]) == [b"", b""]
    with pytest.raises(StoreRefused):
        await store.get_many([b"a1", b"b"])
    with pytest.raises(StoreRefused):
        await store.ping()
    await store.close()


@pytest.mark.parametrize("given", ["", "s3cret%2Fpas", "user:s3cret%2Fpass"])
async def test_who_is_not_let_in_is_told_so_without_the_password(given: str) -> None:
    credentials = given if ":" in given else f":{given}"
    with redis_server("--requirepass", PASSWORD) as server:
        store = RedisStore(f"redis://{credentials}@127.0.0.1:{server.port}")
        with pytest.raises((StoreAway, StoreRefused), match=r"^Authentication[A-Za-z]*$"):
            await store.ping()
        await store.close()


async def test_a_password_is_taken_from_the_url() -> None:
    with redis_server("--requirepass", PASSWORD) as server:
        store = RedisStore(f"redis://:s3cret%2Fpass@127.0.0.1:{server.port}/3")
        await store.put_many({b"a": b"1"}, 60)
        async with server.client() as client:
            await client.select(3)
            assert await client.get("a") == b"1"
        await store.close()


async def test_a_server_that_is_not_there_is_away() -> None:
    store = RedisStore(f"redis://127.0.0.1:{free_port()}")
    with pytest.raises(StoreAway):
        await store.get_many(KEYS)
    with pytest.raises(StoreAway):
        await store.put_many({b"a": b""}, 1)
    await store.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"*x\r\n",
        b"*-1\r\n",
        b"$5\r\nab",
        b"*2\r\n$-1\r\n",
        b":1\r\n",
        b"\x00" * 99,
    ],
)
async def test_a_server_that_speaks_another_language_is_no_use_and_no_harm(answer: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        store = RedisStore(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with suppress(StoreAway):
            assert await store.get_many(KEYS) == []
        await store.close()


async def test_the_url_cannot_lift_limits_or_have_values_decoded(redis: RedisServer) -> None:
    store = RedisStore(
        f"{redis.url}?decode_responses=yes&retry_on_timeout=yes&max_connections=999&protocol=3&unheard=of"
    )
    await store.put_many({b"a": b"\xff"}, 60)
    assert await store.get_many([b"a"]) == [b"\xff"]
    await asyncio.gather(*(store.get_many(KEYS) for _ in range(40)))
    async with redis.client() as client:
        assert (await client.info("clients"))["connected_clients"] <= CONNECTIONS_MAX + 1
    await store.close()


@pytest.mark.parametrize("url", ["redis://localhost?db=x", "http://localhost"])
def test_a_url_that_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        RedisStore(url)
