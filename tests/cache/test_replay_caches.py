"""What every replay cache does: the one in Redis, and the one in memory that other tests use in its place."""

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import attrs
import pytest

from adapters.redis.cache import RedisReplayCache
from adapters.redis.client import RedisStore
from tests.cache.decisions import every_kind
from tests.cache.fakes import MemoryReplayCache
from tests.support.cached import UNHURRIED_S, Told
from tests.support.ids import id_number
from tests.support.redis import RedisServer
from wallet_core.ports import History, ReplayCache

TENANT, OTHER_TENANT = id_number(1), id_number(2)
NOW, NEXT = History("h1", b"s" * 32), History("h2", b"s" * 32)


@attrs.frozen
class Subject:
    """A cache, the history that it is told of, and a way to wait until what it noted can be found."""

    cache: ReplayCache
    told: Told | MemoryReplayCache
    noted: Callable[[], Awaitable[None]]

    async def found(self, *keys: str, tenant: UUID = TENANT, history: History = NOW) -> dict[str, object]:
        await self.noted()
        return {**await self.cache.find(tenant, keys, history)}


async def _at_once() -> None:
    pass


@pytest.fixture(params=["memory", "redis"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "memory":
        memory = MemoryReplayCache()
        yield Subject(memory, memory, _at_once)
        return
    told = Told()
    server: RedisServer = request.getfixturevalue("redis")
    cache = RedisReplayCache(RedisStore(server.url), told, UNHURRIED_S)
    cache.start()
    yield Subject(cache, told, cache.written)
    await cache.close()


async def test_every_kind_of_decision_is_found_exactly_as_it_was_made(subject: Subject) -> None:
    decisions = every_kind()
    subject.cache.remember(TENANT, decisions, NOW)
    found = await subject.found(*(decision.key for decision in decisions))
    assert found == {decision.key: decision for decision in decisions}
    # The order of members is part of an answer's bytes, and no part of being equal.
    assert [repr(found[decision.key]) for decision in decisions] == [repr(decision) for decision in decisions]


async def test_what_was_never_noted_is_not_found(subject: Subject) -> None:
    subject.cache.remember(TENANT, every_kind()[:1], NOW)
    known = every_kind()[0].key
    assert (await subject.found("unknown", known, "open-")).keys() == {known}
    assert await subject.found() == {}


async def test_another_tenant_finds_nothing_of_it(subject: Subject) -> None:
    subject.cache.remember(TENANT, every_kind(), NOW)
    assert await subject.found(every_kind()[0].key, tenant=OTHER_TENANT) == {}


@pytest.mark.parametrize("key", ["a", ":", "wallet:h1:", "%s{}\\'\"", "~" * 255, "".join(map(chr, range(0x21, 0x7F)))])
async def test_a_key_may_be_any_visible_characters(subject: Subject, key: str) -> None:
    decision = attrs.evolve(every_kind()[0], key=key)
    subject.cache.remember(TENANT, [decision], NOW)
    assert await subject.found(key, key[:-1] + "0") == {key: decision}


async def test_the_history_that_is_known_is_told(subject: Subject) -> None:
    assert subject.cache.history() == NOW
    subject.told.known = None
    assert subject.cache.history() is None


async def test_nothing_of_another_history_is_found(subject: Subject) -> None:
    key = every_kind()[0].key
    subject.cache.remember(TENANT, every_kind(), NOW)
    assert key in await subject.found(key)
    subject.told.known = NEXT
    assert await subject.found(key, history=NEXT) == {}
    # The batch began before the database became another one.
    assert await subject.found(key, history=NOW) == {}
    subject.told.known = None
    assert await subject.found(key, history=NOW) == {}


@pytest.mark.parametrize("now", [NEXT, None])
async def test_what_was_decided_in_a_history_that_is_over_is_not_noted(subject: Subject, now: History | None) -> None:
    key = every_kind()[0].key
    subject.told.known = now
    subject.cache.remember(TENANT, every_kind(), NOW)
    subject.told.known = NEXT
    assert await subject.found(key, history=NEXT) == {}
    subject.told.known = NOW
    assert await subject.found(key) == {}
