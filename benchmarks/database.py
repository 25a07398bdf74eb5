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

SETTINGS: Final = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "wal_level",
    "wal_compression",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
)
"""What decides how durable the database is, and most of what decides how fast."""

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


def fetch_row(dsn: str, query: str, *arguments: object) -> Any:
    """The first row."""
    return ask(dsn, lambda connection: connection.fetchrow(query, *arguments))


def execute(dsn: str, *statements: str) -> None:
    """Run statements, each on its own."""

    async def run(connection: asyncpg.Connection) -> None:
        for statement in statements:
            await connection.execute(statement)

    ask(dsn, run)


def settings_of(dsn: str) -> dict[str, str]:
    """The settings that matter, as they are."""
    shown = ", ".join(f"current_setting('{name}')" for name in SETTINGS)
    return dict(zip(SETTINGS, fetch_row(dsn, f"SELECT {shown}"), strict=True))


def wal_bytes(dsn: str) -> int:
    """How much has been written to the write-ahead log since there is one."""
    return int(fetch_row(dsn, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")[0])


def disk_bytes(dsn: str) -> int:
    """What the tables and indexes of a database take on disk."""
    query = "SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_stat_user_tables"
    return int(fetch_row(dsn, query)[0])
