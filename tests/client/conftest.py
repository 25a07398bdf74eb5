"""The real service, on PostgreSQL, with its lab on; and a tenant of each test's own."""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from adapters.postgres.admin import Admin
from adapters.postgres.engine import create_engine
from tests.client.live import Live
from tests.databases import Databases
from tests.support.over_http import Services, services_over

HASTY_TIMEOUT_MS = 300


@pytest.fixture(scope="session")
def lab(databases: Databases) -> Iterator[Services]:
    """A service that fails on request."""
    dsn = databases.create()
    with services_over(dsn, WALLET_LAB="on") as services:
        yield services
    databases.drop(dsn)


@pytest.fixture(scope="session")
def hasty_lab(lab: Services) -> Iterator[Services]:
    """The same, but it does not wait for long until it says that it does not know."""
    with services_over(lab.dsn, WALLET_LAB="on", WALLET_REQUEST_TIMEOUT_MS=str(HASTY_TIMEOUT_MS)) as services:
        yield services


@pytest.fixture
async def live(lab: Services) -> AsyncIterator[Live]:
    owner = create_engine(lab.dsn, pool_size=1)
    try:
        _, api_key = await Admin(owner).create_key(f"t{uuid4().hex}", "tests", ("read", "write"))
    finally:
        await owner.dispose()
    made = Live(lab.url, api_key)
    yield made
    await made.close()
