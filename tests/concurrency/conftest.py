"""A fleet of processes, and ledgers for them to race for."""

from collections.abc import Callable, Iterator
from typing import Protocol
from urllib.parse import urlsplit

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.unit_of_work import PostgresStore
from tests.concurrency.arena import Arena
from tests.concurrency.fleet import Fleet
from tests.databases import Databases, execute, run
from wallet_core.ports import Store


class NewArena(Protocol):
    """Makes an arena in a database of its own, altered by these statements, whose racers write to this store."""

    def __call__(self, *alterations: str, store: Callable[[AsyncEngine], Store] = PostgresStore) -> Arena: ...


def _create(databases: Databases, *alterations: str) -> str:
    dsn = databases.create()
    # A deadlock should cost a test less than the second after which PostgreSQL looks for one.
    quick = f"""ALTER DATABASE "{urlsplit(dsn).path[1:]}" SET deadlock_timeout = '50ms'"""
    run(execute(dsn, quick, *alterations))
    return dsn


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    with Fleet() as started:
        yield started


@pytest.fixture(scope="session")
def shared_database(databases: Databases) -> str:
    """A database that has every mechanism. Tests keep apart by having tenants of their own."""
    return _create(databases)


@pytest.fixture
def arena(shared_database: str, fleet: Fleet) -> Arena:
    """A new tenant's ledger, with every mechanism in place."""
    return Arena.open(shared_database, fleet)


@pytest.fixture
def new_arena(databases: Databases, fleet: Fleet) -> Iterator[NewArena]:
    """Makes arenas that may lack a mechanism."""
    made: list[str] = []

    def make(*alterations: str, store: Callable[[AsyncEngine], Store] = PostgresStore) -> Arena:
        dsn = _create(databases, *alterations)
        made.append(dsn)
        return Arena.open(dsn, fleet, store)

    yield make
    for dsn in made:
        databases.drop(dsn)
