"""A service in a process of its own, and ledgers to move."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import attrs
import pytest

from adapters.postgres.admin import Admin
from adapters.postgres.engine import create_engine
from tests.cli.people import Person
from tests.databases import Databases
from tests.databases import run as wait_for
from tests.http.process import Running, serving
from tests.verification.scene import write_scene


@attrs.frozen
class Served:
    """The service, and its database."""

    running: Running
    dsn: str


@pytest.fixture(scope="session")
def served(databases: Databases) -> Iterator[Served]:
    dsn = databases.create()
    with serving(dsn) as running:
        yield Served(running, dsn)
    databases.drop(dsn)


@pytest.fixture
def person(served: Served) -> Person:
    """Somebody with a tenant of their own."""

    async def make() -> str:
        owner = create_engine(served.dsn, pool_size=1)
        try:
            _, secret = await Admin(owner).create_key(f"t{uuid4().hex}", "tests", ("read", "write"))
        finally:
            await owner.dispose()
        return secret

    return Person(served.running.url, wait_for(make()))


@pytest.fixture(scope="session")
def scene(databases: Databases) -> Iterator[str]:
    """A ledger with every kind of transaction in it, which tests leave as it is."""
    dsn = databases.create()
    wait_for(write_scene(dsn))
    yield dsn
    databases.drop(dsn)


@pytest.fixture
def own_scene(databases: Databases, scene: str) -> Iterator[str]:
    """The same, for a test to change."""
    dsn = databases.copy(scene)
    yield dsn
    databases.drop(dsn)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"
