"""The PostgreSQL of a run: the embedded one, with the settings that the service has it with, all of them durable."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import asyncpg

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres_processes import BINARIES

WALLETS: Final = 100_000
"""Over how many wallets the spread loads spread. The hot one is the first of them."""

PGBENCH: Final = BINARIES / "pgbench"

T = TypeVar("T")


@contextmanager
def database() -> Iterator[EmbeddedPostgres]:
    """A server in a folder of its own, which is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="wallet-bench-"))
    try:
        with EmbeddedPostgres(folder / "data") as server:
            yield server
    finally:
        shutil.rmtree(folder)


def ask(dsn: str, use: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """Do something on a connection of the owner's."""

    async def run() -> T:
        connection = await asyncpg.connect(dsn)
        try:
            return await use(connection)
        finally:
            await connection.close()

    return asyncio.run(run())


def fetch_value(dsn: str, query: str, *arguments: object) -> Any:
    """The first column of the first row."""
    return ask(dsn, lambda connection: connection.fetchval(query, *arguments))


def execute(dsn: str, *statements: str) -> None:
    """Run statements, each on its own."""

    async def run(connection: asyncpg.Connection) -> None:
        for statement in statements:
            await connection.execute(statement)

    ask(dsn, run)
