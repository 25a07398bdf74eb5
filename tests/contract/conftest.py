"""The contract suite runs over every adapter of the ports, so that none of them can be a special case."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.databases import Databases
from tests.support.stores import ISOLATIONS, MEMORY, World, memory_world, postgres_world


@pytest.fixture(scope="session")
def ledger_database(databases: Databases) -> Iterator[str]:
    """A migrated database that many tests share: each has tenants of its own in it."""
    dsn = databases.create()
    yield dsn
    databases.drop(dsn)


@pytest.fixture(params=[MEMORY, *ISOLATIONS])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A store and its reader, for two tenants of this test's own."""
    if request.param == MEMORY:
        opened = memory_world()
    else:
        opened = postgres_world(request.getfixturevalue("ledger_database"), ISOLATIONS[request.param])
    async with opened as world:
        yield world
