"""What the tests of the embedded server share: asking it, and starting it in a process of its own."""

import asyncio
import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres_processes import postmaster_of, processes_of


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
