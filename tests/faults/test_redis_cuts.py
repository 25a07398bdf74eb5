"""The way to Redis is cut, stands still, or brings what was not asked for: the answers are those given without it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from adapters.redis import cache, receipts
from adapters.redis.breaker import CALL_S_MAX
from tests.cache.script import Clients, Told
from tests.databases import Databases
from tests.support.cached import UNHURRIED_S, CachedWorld, cached_world
from tests.support.proxy.redis import Point, RedisProxy, ReplyOfAnother, an_error, garbage, wrong_type
from tests.support.proxy.rules import Action, Cut, HalfOpen, Replace, Rule, Stall, Truncate
from tests.support.redis import RedisServer, redis_server
from tests.support.stores import World, postgres_world
from wallet_core import Replayed, credit
from wallet_core.model import Rejection, Transaction
from wallet_core.ports import History

BREAKS: list[tuple[Point, Action]] = [
    (Point.CONNECT, Cut()),
    (Point.REQUEST, Cut()),
    (Point.REQUEST_SENT, Cut()),
    (Point.REPLY, Cut(reset=False)),
    (Point.REPLY, Truncate()),
    (Point.REPLY, Truncate(0)),
    (Point.REPLY, Replace(garbage)),
    (Point.REPLY, Replace(an_error)),
]
SILENCES: list[tuple[Point, Action]] = [
    (Point.CONNECT, Stall()),
    (Point.REQUEST, Stall()),
    (Point.REPLY, Stall()),
    (Point.REPLY, HalfOpen()),
    (Point.REQUEST_SENT, HalfOpen(server_closed=True)),
]


def _name(of: object) -> str:
    # The same in every process that collects: a function's repr holds its address.
    return f"Replace({of.make.__name__})" if isinstance(of, Replace) else str(of)


@pytest.fixture(scope="module")
def dsn(databases: Databases) -> Iterator[str]:
    created = databases.create()
    yield created
    databases.drop(created)


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


@pytest.fixture(scope="module")
def reference() -> dict[str, Told]:
    """What is told without a cache; found once."""
    return {}


async def _without_a_cache(dsn: str, reference: dict[str, Told]) -> Told:
    if "told" not in reference:
        async with postgres_world(dsn, "READ COMMITTED") as world:
            reference["told"] = await _played(world)
    return reference["told"]


async def _played(world: World, between: Callable[[], Awaitable[None]] | None = None) -> Told:
    clients = Clients(world)
    await clients.first_act()
    if between is not None:
        await between()
    await clients.second_act()
    return await clients.told()


async def _played_through(world: CachedWorld, proxy: RedisProxy, point: Point, action: Action) -> tuple[Told, Rule]:
    """What is told where, from the second act on, this happens every time."""
    rules: list[Rule] = []

    async def arm() -> None:
        await world.settled()
        if point is Point.CONNECT:
            # So that there is one.
            proxy.cut_all()
        rules.append(proxy.arm(point, action, times=None, text=None if point is Point.CONNECT else "MGET"))

    told = await _played(world, arm)
    (rule,) = rules
    await rule.fired()
    proxy.disarm()
    return told, rule


@pytest.mark.parametrize(("point", "action"), BREAKS, ids=_name)
async def test_a_way_to_redis_that_breaks_changes_no_answer(
    dsn: str, proxy: RedisProxy, reference: dict[str, Told], point: Point, action: Action
) -> None:
    expected = await _without_a_cache(dsn, reference)
    async with cached_world(dsn, proxy.url) as world:
        told, _ = await _played_through(world, proxy, point, action)
        assert world.redis.state.away
    assert told == expected


@pytest.mark.parametrize(("point", "action"), SILENCES, ids=_name)
async def test_a_redis_that_is_not_heard_changes_no_answer(
    dsn: str, proxy: RedisProxy, reference: dict[str, Told], point: Point, action: Action
) -> None:
    expected = await _without_a_cache(dsn, reference)
    async with cached_world(dsn, proxy.url, CALL_S_MAX) as world:
        told, _ = await _played_through(world, proxy, point, action)
        assert world.redis.state.away
    assert told == expected


@pytest.mark.parametrize("lie", [wrong_type, ReplyOfAnother()], ids=["a number", "the reply of another request"])
async def test_replies_that_were_not_asked_for_change_no_answer(
    dsn: str, proxy: RedisProxy, reference: dict[str, Told], lie: Callable[[bytes], bytes]
) -> None:
    expected = await _without_a_cache(dsn, reference)
    async with cached_world(dsn, proxy.url, UNHURRIED_S) as world:
        told, rule = await _played_through(world, proxy, Point.REPLY, Replace(lie))
        assert rule.count > 1
    assert told == expected


async def test_a_way_that_breaks_now_and_then_changes_no_answer(
    dsn: str, proxy: RedisProxy, reference: dict[str, Told]
) -> None:
    """All that can happen, at random, with what is written too."""
    expected = await _without_a_cache(dsn, reference)
    async with cached_world(dsn, proxy.url, CALL_S_MAX) as world:
        rules = [
            proxy.arm(point, Stall(0.2) if isinstance(action, Stall) else action, times=None, probability=0.05)
            for point, action in (*BREAKS, *SILENCES, (Point.REPLY, Replace(ReplyOfAnother())))
        ]
        told = await _played(world)
        assert sum(rule.count for rule in rules) > 0
    assert told == expected


def _trusting(value: object, kept_at: bytes, key: str, history: History) -> Transaction | Rejection | None:
    """What a cache would make of a value that believed it."""
    try:
        return receipts._decision(json.loads(value[len(receipts.FORMAT) + receipts.SEAL_BYTES :]))  # type: ignore[index]
    except (TypeError, ValueError):
        return None


@pytest.mark.parametrize("trusted", [False, True], ids=["checked", "believed"])
async def test_the_receipt_of_another_key_is_passed_on_only_by_a_cache_that_believes_it(
    dsn: str, proxy: RedisProxy, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    """Two equal intents, whose receipts differ in nothing but what the seal covers: where they are kept."""
    if trusted:
        monkeypatch.setattr(cache, "unsealed", _trusting)
    async with cached_world(dsn, proxy.url, UNHURRIED_S) as world:
        await world.open(world.tenant)
        commands = [credit("first", world.tenant, 5), credit("second", world.tenant, 5)]
        for command in commands:
            await world.do(command)
        await world.settled()
        shifted = proxy.arm(Point.REPLY, Replace(ReplyOfAnother()), times=None, text="MGET")
        keys: list[str] = []
        for command in commands:
            (replayed,) = await world.do(command)
            assert isinstance(replayed, Replayed)
            keys.append(replayed.decision.key)
        assert shifted.count == 2
    assert keys == (["first", "first"] if trusted else ["first", "second"])
