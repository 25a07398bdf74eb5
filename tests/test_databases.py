"""The tests' own databases: apart from each other, migrated, and on whichever server is there."""

from collections.abc import Callable
from unittest.mock import Mock

import asyncpg
import docker
import pytest
from docker.errors import DockerException, ImageNotFound
from requests import ReadTimeout

from tests.databases import Databases, available_image, execute, with_database
from tests.databases import postgres_server as running_postgres_server


async def _value(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_a_test_has_a_migrated_database_of_its_own(database: str, databases: Databases) -> None:
    other = databases.create()
    await execute(database, "CREATE TABLE mine ()")
    assert await _value(database, "SELECT to_regclass('mine')::text") == "mine"
    assert await _value(database, "SELECT to_regclass('wallets')::text") == "wallets"
    assert await _value(other, "SELECT to_regclass('mine')::text") is None
    databases.drop(other)


async def test_an_empty_database_has_no_schema(create_database: Callable[[], str]) -> None:
    assert await _value(create_database(), "SELECT to_regclass('wallets')::text") is None


async def test_a_database_that_is_in_use_is_dropped_all_the_same(databases: Databases) -> None:
    dsn = databases.create()
    connection = await asyncpg.connect(dsn)
    databases.drop(dsn)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.fetchval("SELECT 1")
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(dsn)


@pytest.mark.parametrize("setting", ["fsync", "synchronous_commit", "full_page_writes"])
async def test_the_server_is_as_durable_as_the_services_own(postgres_server: str, setting: str) -> None:
    assert await _value(postgres_server, f"SHOW {setting}") == "on"


def test_a_given_server_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WALLET_TEST_DATABASE_URL", "postgresql://given/postgres")
    with running_postgres_server() as dsn:
        assert dsn == "postgresql://given/postgres"


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("postgresql://postgres@/wallet?host=/tmp/x&port=5432", "postgresql://postgres@/other?host=/tmp/x&port=5432"),
        ("postgresql://u:p%40ss@localhost:1/wallet", "postgresql://u:p%40ss@localhost:1/other"),
        ("postgresql:///wallet?host=/tmp", "postgresql:///other?host=/tmp"),
    ],
)
def test_only_the_database_of_a_url_is_replaced(dsn: str, expected: str) -> None:
    assert with_database(dsn, "other") == expected


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Stands for a Docker engine that answers and has every image."""
    answering = Mock()
    monkeypatch.setattr(docker, "from_env", Mock(return_value=answering))
    return answering


def test_an_image_in_stock_is_taken_without_asking_a_registry(engine: Mock) -> None:
    engine.images.list.return_value = ["found"]
    assert available_image("postgres:18-alpine") == "postgres:18-alpine"
    engine.images.pull.assert_not_called()


def test_an_image_that_can_be_pulled_is_taken(engine: Mock) -> None:
    engine.images.list.return_value = []
    assert available_image("postgres:18-alpine") == "postgres:18-alpine"
    engine.images.pull.assert_called_once_with("postgres:18-alpine")


@pytest.mark.parametrize("failure", [ImageNotFound("no such image"), ReadTimeout("no registry answers")])
def test_without_the_image_no_container_is_used(engine: Mock, failure: Exception) -> None:
    engine.images.list.return_value = []
    engine.images.pull.side_effect = failure
    assert available_image("postgres:18-alpine") is None


def test_without_an_engine_no_container_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "from_env", Mock(side_effect=DockerException("no socket")))
    assert available_image("postgres:18-alpine") is None
