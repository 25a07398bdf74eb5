"""Databases in the states that the tests of the schema start from."""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from tests.databases import Databases


@pytest.fixture
def empty(databases: Databases) -> Iterator[str]:
    """A new database, never migrated."""
    dsn = databases.create_empty()
    yield dsn
    databases.drop(dsn)


@pytest.fixture(scope="module")
def migrated(databases: Databases) -> Iterator[str]:
    """A database at the newest revision; tests leave it as they found it."""
    dsn = databases.create()
    yield dsn
    databases.drop(dsn)


@pytest.fixture
async def owner(migrated: str) -> AsyncIterator[asyncpg.Connection]:
    """A session of the owner of the migrated database. Whatever the test does is rolled back."""
    connection = await asyncpg.connect(migrated)
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield connection
    finally:
        await transaction.rollback()
        await connection.close()
