"""PostgreSQL for the tests: one server for a session of pytest, and databases on it, made in milliseconds.

The first of these that is there is taken:

1. the server of ``WALLET_TEST_DATABASE_URL``, a superuser's URL; databases are made on it, and dropped;
2. a container of ``WALLET_TEST_POSTGRES_IMAGE``, where a Docker engine answers and the image can be had;
3. the embedded server, in a folder of its own.

All of them are durable, as the service's own has to be.
"""

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import asyncpg
import attrs
import docker
from docker.errors import DockerException
from requests import RequestException
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.config import testcontainers_config

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.postgres.migrate import upgrade

IMAGE_DEFAULT: Final = "postgres:18-alpine"
DOCKER_ANSWER_S_MAX: Final = 5
IMAGE_PULL_S_MAX: Final = 60

Result = TypeVar("Result")


def run(work: Coroutine[object, object, Result]) -> Result:
    """Run to the end, from synchronous and asynchronous tests alike: in a thread, with an event loop of its own."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


def with_database(dsn: str, database: str) -> str:
    """The URL of another database on the same server."""
    parts = urlsplit(dsn)
    return f"{parts.scheme}://{parts.netloc}/{database}" + (f"?{parts.query}" if parts.query else "")


async def execute(dsn: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@contextmanager
def postgres_server() -> Iterator[str]:
    """A superuser's URL of a server that tests may fill."""
    if given := os.environ.get("WALLET_TEST_DATABASE_URL"):
        yield given
    elif image := available_image(os.environ.get("WALLET_TEST_POSTGRES_IMAGE", IMAGE_DEFAULT)):
        # The container that removes those of a killed session is a help, and its image one more that may be missing.
        testcontainers_config.ryuk_disabled = available_image(testcontainers_config.ryuk_image) is None
        with PostgresContainer(image, driver=None) as container:
            yield container.get_connection_url()
    else:
        folder = Path(tempfile.mkdtemp(prefix="wallet-test-"))
        try:
            with EmbeddedPostgres(folder) as server:
                yield server.url("postgres")
        finally:
            shutil.rmtree(folder)


def available_image(image: str) -> str | None:
    """Return the image if a Docker engine answers and has it, or can pull it; else None."""
    try:
        engine = docker.from_env(timeout=DOCKER_ANSWER_S_MAX)
    except DockerException:
        return None
    try:
        engine.ping()
        if not engine.images.list(image):
            engine.api.timeout = IMAGE_PULL_S_MAX
            engine.images.pull(image)
    except (DockerException, RequestException):
        return None
    finally:
        engine.close()
    return image


@attrs.define
class Databases:
    """Makes databases on one server, and drops them. Names are random: several sessions may share a server."""

    admin_dsn: str
    _made: set[str] = attrs.field(init=False, factory=set)
    _template: str | None = attrs.field(init=False, default=None)

    def create_empty(self) -> str:
        """Return the URL of a new database without a schema."""
        return self._create("template0")

    def create(self) -> str:
        """Return the URL of a new database with the newest schema and no rows."""
        if self._template is None:
            template = self.create_empty()
            run(upgrade(template))
            self._template = urlsplit(template).path[1:]
        return self._create(self._template)

    def copy(self, dsn: str) -> str:
        """Return the URL of a new database that is what this one is, to which nobody may be connected."""
        return self._create(urlsplit(dsn).path[1:])

    def drop(self, dsn: str) -> None:
        """Drop a database, whoever is still connected to it."""
        name = urlsplit(dsn).path[1:]
        run(execute(self.admin_dsn, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        self._made.discard(dsn)

    def drop_all(self) -> None:
        for dsn in tuple(self._made):
            self.drop(dsn)

    def _create(self, template: str) -> str:
        name = f"wallet_test_{uuid.uuid4().hex}"
        run(execute(self.admin_dsn, f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
        dsn = with_database(self.admin_dsn, name)
        self._made.add(dsn)
        return dsn
