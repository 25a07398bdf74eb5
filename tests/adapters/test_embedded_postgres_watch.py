"""A server that is killed is there again, at the same place, with everything that was committed."""

import asyncio
import signal
import time
from pathlib import Path

import asyncpg

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres_processes import postmaster_of
from adapters.embedded_postgres_watch import watched

BACK_S_MAX = 30.0


async def ask(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def test_a_killed_server_is_revived_with_its_data(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server, watched(server):
        url = server.url()
        asyncio.run(ask(url, "CREATE TABLE kept AS SELECT 7 AS value"))
        killed = postmaster_of(server.cluster)
        assert killed is not None
        killed.send_signal(signal.SIGKILL)
        killed.wait(10)
        begun = time.monotonic()
        while time.monotonic() - begun < BACK_S_MAX:
            try:
                assert asyncio.run(ask(url, "SELECT value FROM kept")) == 7
                break
            except (OSError, asyncpg.CannotConnectNowError):
                time.sleep(0.1)
        else:
            raise AssertionError("the server did not come back")
        assert server.url() == url
        revived = postmaster_of(server.cluster)
        assert revived is not None
        assert revived.pid != killed.pid


def test_a_server_that_is_stopped_stays_stopped(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path)
    server.start()
    with watched(server):
        pass
    server.stop()
    time.sleep(1)
    assert postmaster_of(server.cluster) is None
