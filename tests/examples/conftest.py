"""The real service, and a tenant of each test's own."""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from adapters.http_client import WalletClient
from adapters.postgres.admin import Admin
from adapters.postgres.engine import create_engine
from tests.databases import Databases
from tests.examples.http_proxy import HttpProxy
from tests.support.over_http import Services, services_over


@pytest.fixture(scope="session")
def services(databases: Databases) -> Iterator[Services]:
    dsn = databases.create()
    with services_over(dsn) as running:
        yield running
    databases.drop(dsn)


@pytest.fixture
async def api_key(services: Services) -> str:
    owner = create_engine(services.dsn, pool_size=1)
    try:
        _, secret = await Admin(owner).create_key(f"t{uuid4().hex}", "tests", ("read", "write"))
    finally:
        await owner.dispose()
    return secret


@pytest.fixture
async def wallets(services: Services, api_key: str) -> AsyncIterator[WalletClient]:
    async with WalletClient(services.url, api_key) as client:
        yield client


@pytest.fixture
async def way(services: Services) -> AsyncIterator[HttpProxy]:
    """The shop's way to the service."""
    async with HttpProxy(services.url) as proxy:
        yield proxy
