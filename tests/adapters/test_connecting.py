"""A database that refuses to be connected to is away, whatever its reason: never a bug of the service."""

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from adapters.postgres.engine import create_engine
from adapters.postgres.reader import PostgresReader
from tests.databases import execute, run
from wallet_core.ports import Unavailable


async def _ask(dsn: str, role: str | None = None) -> None:
    engine = create_engine(dsn, role=role)
    try:
        await PostgresReader(engine).ready()
    finally:
        await engine.dispose()


async def test_a_database_that_takes_no_connections_is_away(
    postgres_server: str, create_database: Callable[[], str]
) -> None:
    dsn = create_database()
    name = urlsplit(dsn).path.removeprefix("/")
    run(execute(postgres_server, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
    with pytest.raises(Unavailable):
        await _ask(dsn)


async def test_a_database_without_the_role_is_away(database: str) -> None:
    with pytest.raises(Unavailable):
        await _ask(database, role="nobody_here")


async def test_a_database_that_does_not_exist_is_away(database: str) -> None:
    with pytest.raises(Unavailable):
        await _ask(database.replace("wallet_test_", "no_such_"))
