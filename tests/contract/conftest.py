"""The contract suite runs over every adapter of the ports, so that none of them can be a special case."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.databases import Databases
from tests.support.cached import CACHED, cached_world
from tests.support.redis import RedisServer, redis_server
from tests.support.stores import ISOLATIONS, MEMORY, World, memory_world, postgres_world


@pytest.fixture(scope="session")
def ledger_database(databases: Databases) -> Iterator[str]:
    """A migrated database that many tests share: each has tenants of its own in it."""
    dsn = databases.create()
    yield dsn
    databases.drop(dsn)


@pytest.fixture(scope="session")
def ledger_redis() -> Iterator[RedisServer]:
    """A Redis that many tests share, as they do the database."""
    with redis_server() as server:
        yield server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have each test run over every store, and with a cache in front where it is ledgers that are tested."""
    if "world" in metafunc.fixturenames:
        cached = [CACHED] if getattr(metafunc.module, "OF_LEDGERS", False) else []
        metafunc.parametrize("world", [MEMORY, *ISOLATIONS, *cached], indirect=True)


@pytest.fixture
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A store and its reader, for two tenants of this test's own."""
    if request.param == MEMORY:
        opened = memory_world()
    elif request.param == CACHED:
        redis = request.getfixturevalue("ledger_redis")
        opened = cached_world(request.getfixturevalue("ledger_database"), redis.socket_url)
    else:
        opened = postgres_world(request.getfixturevalue("ledger_database"), ISOLATIONS[request.param])
    async with opened as world:
        yield world
