"""What tests share that have an embedded server to themselves: having it, asking it, and starting it in a process of
its own."""

import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres_processes import postmaster_of, processes_of


@contextmanager
def own_server() -> Iterator[EmbeddedPostgres]:
    """A running server that may be ended: the session's own serves other tests too."""
    # Not below pytest's own temporary folder, which the next run of pytest closes again to the server's account.
    folder = Path(tempfile.mkdtemp(prefix="wallet-test-"))
    try:
        with EmbeddedPostgres(folder / "data") as server:
            yield server
    finally:
        shutil.rmtree(folder)


def query(server: EmbeddedPostgres, statement: str) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(server.url())
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(ask())


def assert_keeps_data_and_stops(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        assert query(server, "SELECT value FROM kept") == 42
        query(server, "INSERT INTO kept VALUES (43)")
    assert processes_of(data_dir / "postgres") == []


def running_postmaster(data_dir: Path) -> psutil.Process:
    process = postmaster_of(data_dir / "postgres")
    assert process is not None
    return process


def run_service(data_dir: Path, then: str) -> subprocess.CompletedProcess[str]:
    """Start the server in a process of its own, which then does as told."""
    script = (
        "import os, signal, sys\n"
        "from adapters.embedded_postgres import EmbeddedPostgres\n"
        "server = EmbeddedPostgres(sys.argv[1])\n"
        f"server.start()\n{then}\n"
    )
    return subprocess.run(
        [sys.executable, "-c", script, str(data_dir)], capture_output=True, text=True, timeout=60, check=False
    )
