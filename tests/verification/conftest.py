"""A database with a whole ledger in it, for tests that only look, and for tests that tamper."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import Databases, execute, run
from tests.verification.scene import prove, write_scene

TABLES = ("transactions", "wallets", "entries", "holds")
KEEP = "CREATE SCHEMA kept;" + "".join(f"CREATE TABLE kept.{table} AS TABLE {table};" for table in TABLES)
RESTORE = "".join(f"DELETE FROM {table};" for table in reversed(TABLES)) + "".join(
    f"INSERT INTO {table} TABLE kept.{table};" for table in TABLES
)


@pytest.fixture(scope="session")
def untouched(databases: Databases) -> Iterator[str]:
    """A ledger that tests leave as it is."""
    dsn = databases.create()
    run(write_scene(dsn))
    yield dsn
    databases.drop(dsn)


@pytest.fixture(scope="session")
def restored(databases: Databases, untouched: str) -> Iterator[str]:
    dsn = databases.copy(untouched)
    run(execute(dsn, KEEP))
    yield dsn
    databases.drop(dsn)


@pytest.fixture
def scene(restored: str) -> Iterator[str]:
    """A ledger to tamper with; its rows are put back afterwards, which takes less time than a new database."""
    yield restored
    run(execute(restored, RESTORE))


@pytest.fixture
def own_scene(databases: Databases, untouched: str) -> Iterator[str]:
    """A ledger in a database of this test's own, whose constraints may be taken away as well."""
    dsn = databases.copy(untouched)
    yield dsn
    databases.drop(dsn)


@pytest.fixture(scope="session")
def checkpoint(untouched: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the untouched ledger."""
    path = tmp_path_factory.mktemp("checkpoints") / "default.jsonl"
    assert run(prove(untouched, checkpoint=path)).ok
    return path
