"""Databases and Redis servers for the tests of the replay cache."""

from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.postgres import history
from tests.cache.watching import SOON_S
from tests.databases import Databases
from tests.support.cached import CachedWorld, cached_world
from tests.support.redis import RedisServer, redis_server


@pytest.fixture(scope="module")
def dsn(databases: Databases) -> Iterator[str]:
    """A migrated database that a module's tests share: each has tenants of its own in it."""
    created = databases.create()
    yield created
    databases.drop(created)


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis of this test's own, to do anything to."""
    with redis_server() as server:
        yield server


@pytest.fixture
async def world(dsn: str, redis: RedisServer) -> AsyncIterator[CachedWorld]:
    """A ledger with its cache, which is given all the time that it needs."""
    async with cached_world(dsn, redis.url) as made:
        yield made


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at every few seconds is looked at all the time."""
    monkeypatch.setattr(history, "CONFIRM_S", SOON_S)
    monkeypatch.setattr(history, "RETRY_S", SOON_S)
