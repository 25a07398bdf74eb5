"""In whatever state Redis is: the answers are those that are given without it, and so is what is in the ledger."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs
import pytest
from redis.asyncio import Redis

from adapters.redis import cache, receipts
from adapters.redis.breaker import CALL_S_MAX
from tests.cache.script import Clients, Told
from tests.support.cached import CachedWorld, cached_world
from tests.support.ids import CountingIds
from tests.support.redis import RedisServer
from tests.support.stores import World, postgres_world
from wallet_core.model import Rejection, Transaction
from wallet_core.ports import History


@attrs.frozen
class Scene:
    """A world whose first act is over, and the Redis that has its receipts."""

    redis: RedisServer
    world: CachedWorld

    @property
    def history(self) -> History:
        history = self.world.redis.history()
        if history is None:
            raise AssertionError("the history is not known")
        return history

    async def values(self) -> dict[bytes, bytes]:
        """The tenant's receipts, by key."""
        async with self.redis.client() as client:
            keys = [key for key in await self.redis.keys() if str(self.world.tenant).encode() in key]
            return dict(zip(keys, await client.mget(keys), strict=True))

    async def put(self, values: dict[bytes, bytes]) -> None:
        async with self.redis.client() as client:
            await client.mset(values)

    async def command(self, *words: Any) -> None:
        async with self.redis.client() as client:
            await client.execute_command(*words)


async def nothing(scene: Scene) -> None:
    """All is well."""


async def absent(scene: Scene) -> None:
    scene.redis.stop()


async def hung(scene: Scene) -> None:
    scene.redis.freeze()


async def flushed(scene: Scene) -> None:
    await scene.command("FLUSHALL")


async def restarted(scene: Scene) -> None:
    scene.redis.stop()
    # The event loop goes on meanwhile, and learns that its connections are gone.
    await asyncio.to_thread(scene.redis.start)


async def full(scene: Scene) -> None:
    await scene.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    await scene.command("CONFIG", "SET", "maxmemory", "1")


async def read_only(scene: Scene) -> None:
    await scene.command("REPLICAOF", "127.0.0.1", "1")


async def password_wanted(scene: Scene) -> None:
    await scene.command("CONFIG", "SET", "requirepass", "unheard-of")
    async with Redis(port=scene.redis.port, password="unheard-of") as client:
        await client.client_kill_filter(_type="normal")


async def right_taken_away(scene: Scene) -> None:
    await scene.command("ACL", "SETUSER", "default", "-mget")


async def paused(scene: Scene) -> None:
    await scene.command("CLIENT", "PAUSE", "600000", "ALL")


async def lists_instead(scene: Scene) -> None:
    async with scene.redis.client() as client:
        for key in await scene.values():
            await client.delete(key)
            await client.rpush(key, b"value")


async def numbers_instead(scene: Scene) -> None:
    await scene.put(dict.fromkeys(await scene.values(), b"17"))


async def empty(scene: Scene) -> None:
    await scene.put(dict.fromkeys(await scene.values(), b""))


async def truncated(scene: Scene) -> None:
    await scene.put({key: value[: len(value) // 2] for key, value in (await scene.values()).items()})


async def of_other_keys(scene: Scene) -> None:
    values = await scene.values()
    await scene.put(dict(zip(values, [*list(values.values())[1:], *list(values.values())[:1]], strict=True)))


async def of_another_tenant(scene: Scene) -> None:
    """The other tenant has done the same, under other ids."""
    other = attrs.evolve(scene.world, tenant=scene.world.other_tenant, other_tenant=scene.world.tenant)
    await Clients(other, CountingIds(5_000_000)).first_act()
    await other.settled()
    mine, theirs = str(scene.world.tenant).encode(), str(other.tenant).encode()
    async with scene.redis.client() as client:
        await client.mset({key: await client.get(key.replace(mine, theirs)) for key in await scene.values()})


async def of_another_history(scene: Scene) -> None:
    await _reseal(scene, lambda decision: decision, attrs.evolve(scene.history, name="0" * 32))


async def forged(scene: Scene) -> None:
    await _reseal(scene, _larger, attrs.evolve(scene.history, secret=b"guess" * 6))


async def altered(scene: Scene) -> None:
    await scene.put({key: _with_other_amounts(value) for key, value in (await scene.values()).items()})


async def _reseal(
    scene: Scene, change: Callable[[Transaction | Rejection], Transaction | Rejection], history: History
) -> None:
    """Put receipts there as they would be sealed in that history."""
    sealed: dict[bytes, bytes] = {}
    for place, value in (await scene.values()).items():
        key = place.split(b":", 3)[3].decode()
        decision = receipts.unsealed(value, place, key, scene.history)
        assert decision is not None
        moved = receipts.store_key(history, scene.world.tenant, key)
        kept = receipts.sealed(change(decision), moved, history)
        assert kept is not None
        sealed[place] = kept
    await scene.put(sealed)


def _larger(decision: Transaction | Rejection) -> Transaction | Rejection:
    if isinstance(decision, Rejection):
        return decision
    entries = tuple(attrs.evolve(entry, balance_after=entry.balance_after + 1) for entry in decision.entries)
    return attrs.evolve(decision, entries=entries)


def _with_other_amounts(value: bytes) -> bytes:
    return value.replace(b'amount\\":5,', b'amount\\":6,').replace(b"needed", b"nodded")


WELL: Final = [nothing, flushed, restarted, full, read_only]
AWAY: Final = [absent, hung, password_wanted, right_taken_away, paused]
LYING: Final = [
    lists_instead,
    numbers_instead,
    empty,
    truncated,
    of_other_keys,
    of_another_tenant,
    of_another_history,
    forged,
    altered,
]
State = Callable[[Scene], Awaitable[None]]


@pytest.fixture(scope="module")
def reference() -> dict[str, Told]:
    """What is told without a cache; found once."""
    return {}


async def without_a_cache(dsn: str, reference: dict[str, Told]) -> Told:
    if "told" not in reference:
        async with postgres_world(dsn, "READ COMMITTED") as world:
            reference["told"] = await played(world)
    return reference["told"]


async def played(world: World, between: Callable[[], Awaitable[None]] | None = None) -> Told:
    clients = Clients(world)
    await clients.first_act()
    if between is not None:
        await between()
    await clients.second_act()
    return await clients.told()


async def played_in(world: CachedWorld, redis: RedisServer, state: State) -> Told:
    async def strike() -> None:
        await world.settled()
        await state(Scene(redis, world))

    return await played(world, strike)


@pytest.mark.parametrize("state", [*WELL, *LYING], ids=lambda state: state.__name__)
async def test_the_answers_are_the_same_whatever_redis_holds(
    dsn: str, redis: RedisServer, reference: dict[str, Told], state: State
) -> None:
    expected = await without_a_cache(dsn, reference)
    async with cached_world(dsn, redis.url) as world:
        told = await played_in(world, redis, state)
        counts = world.redis.state
    assert told == expected
    assert not counts.away
    # Redis itself has nothing to say of a list when it is asked for a value.
    assert (counts.rejected > 0) == (state in LYING and state is not lists_instead)
    assert counts.hits > 0
    assert counts.refusing == (state in (full, read_only))


@pytest.mark.parametrize("state", AWAY, ids=lambda state: state.__name__)
async def test_the_answers_are_the_same_while_redis_is_away(
    dsn: str, redis: RedisServer, reference: dict[str, Told], state: State
) -> None:
    expected = await without_a_cache(dsn, reference)
    async with cached_world(dsn, redis.url, CALL_S_MAX) as world:
        told = await played_in(world, redis, state)
        assert world.redis.state.away
    assert told == expected


def trusting(value: object, kept_at: bytes, key: str, history: History) -> Transaction | Rejection | None:
    """What a cache would make of a value that believed it."""
    try:
        return receipts._decision(json.loads(value[len(receipts.FORMAT) + receipts.SEAL_BYTES :]))  # type: ignore[index]
    except (TypeError, ValueError):
        return None


@pytest.mark.parametrize("state", [of_other_keys, of_another_tenant, forged, altered], ids=lambda state: state.__name__)
async def test_a_cache_that_believes_what_it_is_told_gives_wrong_answers(
    dsn: str, redis: RedisServer, reference: dict[str, Told], state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mechanism taken out: without the seal, which covers where a receipt is kept, the lies are passed on."""
    expected = await without_a_cache(dsn, reference)
    monkeypatch.setattr(cache, "unsealed", trusting)
    async with cached_world(dsn, redis.url) as world:
        told = await played_in(world, redis, state)
    assert told.answers != expected.answers
    # Told wrongly, but never kept: what is in the ledger does not depend on the cache.
    assert told.history == expected.history
