"""The pool of connections: exhausted, dead, or with nothing to connect to, and healthy again afterwards."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from adapters.postgres.engine import create_engine
from adapters.postgres.errors import sqlstate_of
from adapters.postgres.unit_of_work import PostgresStore
from tests.databases import Databases
from tests.support.sessions import Till, till
from wallet_core import Applied, DatabaseUnavailable
from wallet_core.ports import Unavailable


@pytest.fixture(scope="module")
def dsn(databases: Databases) -> Iterator[str]:
    created = databases.create()
    yield created
    databases.drop(created)


@pytest.fixture
async def one(dsn: str) -> AsyncIterator[Till]:
    """A till over one connection."""
    async with till(dsn, pool_size=1, pool_timeout_ms=200) as made:
        yield made


async def test_an_exhausted_pool_is_unavailable_and_recovers(one: Till) -> None:
    async with one.store.begin(one.tenant):
        with pytest.raises(Unavailable):
            async with one.store.begin(one.tenant):
                pass
        assert await one.do(one.next_credit()) == DatabaseUnavailable()
    await one.assert_works()


async def test_a_pool_of_dead_connections_is_replaced_before_it_is_used(dsn: str) -> None:
    """After a restart of the database: the first batch does not have to find out about every connection."""
    async with till(dsn, pool_size=5) as five:
        async with AsyncExitStack() as stack:
            for _ in range(5):
                await stack.enter_async_context(five.store.begin(five.tenant))
        await five.terminate_all()
        await five.assert_works()
        assert isinstance(await five.do(five.next_credit()), Applied)


@pytest.mark.parametrize("url", ["postgresql://nobody@127.0.0.1:1/wallet", "postgresql:///wallet?host=/nowhere"])
async def test_a_server_that_is_not_there_is_unavailable(url: str) -> None:
    engine = create_engine(url, pool_size=1)
    try:
        with pytest.raises(Unavailable):
            async with PostgresStore(engine).begin(uuid4()):
                pass
    finally:
        await engine.dispose()


async def test_a_server_that_takes_no_more_connections_is_unavailable(one: Till, dsn: str) -> None:
    role = f"crowded_{uuid4().hex}"
    await one.owner.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0 PASSWORD 'crowded'")
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    engine = create_engine(parts._replace(netloc=f"{role}:crowded@{host}").geturl(), pool_size=1)
    try:
        with pytest.raises(Unavailable) as caught:
            async with PostgresStore(engine).begin(one.tenant):
                pass
        assert caught.value.__cause__ is not None
        assert sqlstate_of(caught.value.__cause__) == "53300"
    finally:
        await engine.dispose()
        await one.owner.execute(f"DROP ROLE {role}")
