"""The contract suite runs over every adapter of the ports, so that none of them can be a special case.

There are three contracts in it. That of stores: units of work, snapshots, isolation, crowds, and the model and
differential tests, which bring ids, clocks and faults of their own from below a ledger. That of ledgers
(``OF_LEDGERS``), which what stands in front of a store keeps as well: the cache, and the HTTP client. And that of
readers (``OF_READERS``), which the client keeps too.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest

from tests.databases import Databases
from tests.support.cached import CACHED, cached_world
from tests.support.over_http import LEDGER_OVER_HTTP, READER_OVER_HTTP, Services, http_world, services_over
from tests.support.redis import RedisServer, redis_server
from tests.support.stores import ISOLATIONS, MEMORY, World, memory_world, postgres_world

NOT_OVER_HTTP: Final = {
    # The API tells of a fence that there is one, and neither its id nor its time.
    "test_a_fence_comes_back_exactly_as_it_was_decided",
    # This one asks no ledger: it is about what a store keeps.
    "test_a_rejection_for_every_reason_comes_back_exactly_as_it_was_decided",
}
"""Tests of ledgers that the client has no part in. Its own are in ``tests/client``."""


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


@pytest.fixture(scope="session")
def ledger_services(ledger_database: str) -> Iterator[Services]:
    """The service over that database, as many tests reach it over HTTP."""
    with services_over(ledger_database) as services:
        yield services


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have each test run over every store; those of ledgers with a cache in front as well, and over HTTP; and those of
    readers over HTTP. The API has no units of work and no snapshots, so the others have nothing to ask it."""
    if "world" in metafunc.fixturenames:
        over: list[str] = []
        if getattr(metafunc.module, "OF_LEDGERS", False):
            over = [CACHED] if metafunc.function.__name__ in NOT_OVER_HTTP else [CACHED, LEDGER_OVER_HTTP]
        elif getattr(metafunc.module, "OF_READERS", False):
            over = [READER_OVER_HTTP]
        metafunc.parametrize("world", [MEMORY, *ISOLATIONS, *over], indirect=True)


@pytest.fixture
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A store and its reader, for two tenants of this test's own."""
    if request.param == MEMORY:
        opened = memory_world()
    elif request.param == CACHED:
        redis = request.getfixturevalue("ledger_redis")
        opened = cached_world(request.getfixturevalue("ledger_database"), redis.socket_url)
    elif request.param in (LEDGER_OVER_HTTP, READER_OVER_HTTP):
        services = request.getfixturevalue("ledger_services")
        opened = http_world(services, reading=request.param == READER_OVER_HTTP)
    else:
        opened = postgres_world(request.getfixturevalue("ledger_database"), ISOLATIONS[request.param])
    async with opened as world:
        yield world
