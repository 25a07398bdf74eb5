"""A crash of the server takes back ids of transactions that nothing was written under: they are given again."""

import signal
from collections.abc import Iterator
from typing import Final

import asyncpg
import pytest

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres_processes import postmaster_of
from adapters.postgres.migrate import upgrade
from tests.support.builders import A
from tests.support.embedded import own_server
from tests.support.stores import postgres_world
from wallet_core import credit

NOTHING_ON_DISK: Final = "ALTER SYSTEM SET wal_writer_delay = '10s'"
"""So that what is not committed stays where a crash finds it, in memory."""

GIVEN_UP: Final = "BEGIN; SELECT pg_current_xact_id(); ROLLBACK;"


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    with own_server() as server:
        yield server


async def test_what_comes_after_a_crash_comes_behind_a_cursor_from_before_it(server: EmbeddedPostgres) -> None:
    await upgrade(server.url())
    async with postgres_world(server.url(), "READ COMMITTED") as world:
        assert world.events is not None
        owner = await asyncpg.connect(server.url())
        await owner.execute(NOTHING_ON_DISK)
        await owner.execute("SELECT pg_reload_conf()")
        await world.open(A)
        given = await owner.fetchval("SELECT pg_current_xact_id()::text::bigint")
        await owner.execute(GIVEN_UP * 100)
        cursor = await world.events.now(world.tenant)
        assert not (await world.told(cursor)).items
        postmaster = postmaster_of(server.cluster)
        assert postmaster is not None
        postmaster.send_signal(signal.SIGQUIT)
        server.revive()
        new = await world.apply(credit("new", A, 1))
        again = await asyncpg.connect(server.url())
        assert await again.fetchval("SELECT pg_current_xact_id()::text::bigint") < given + 100, "nothing was taken back"
        await again.close()
        assert [event.transaction for event in (await world.told(cursor)).items] == [new]
