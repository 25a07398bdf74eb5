"""Events after a dump was loaded into a server that has counted fewer transactions: cursors are good, order goes on.

Positions are put as they come out of a dump: higher than all ids of transactions that this server has.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.postgres.migrate import events_have_fallen_back, upgrade
from entrypoints.bootstrap import BootstrapError, prepared
from entrypoints.settings import Settings
from tests.databases import execute
from tests.support.builders import A, B
from tests.support.stores import World, postgres_world
from wallet_core import credit

LOADED = "UPDATE transactions SET position = position + 1000000000"


@pytest.fixture
async def world(database: str) -> AsyncIterator[World]:
    async with postgres_world(database, "READ COMMITTED") as world:
        await world.open(A, B)
        yield world


async def keys(world: World, after: str | None = None) -> list[str]:
    return [event.transaction.key for event in (await world.told(after)).items]


async def test_after_an_upgrade_events_go_on_from_where_they_were(world: World, database: str) -> None:
    before = await keys(world)
    await execute(database, LOADED)
    assert await keys(world) == [], "what is there is beyond the horizon"
    await upgrade(database)
    assert await keys(world) == before
    cursor = (await world.told()).next_cursor
    await world.do(credit("after-1", A, 1))
    await world.do(credit("after-2", A, 1))
    assert await keys(world, cursor) == ["after-1", "after-2"]
    assert await keys(world) == [*before, "after-1", "after-2"]


async def test_it_happens_again_with_the_next_server(world: World, database: str) -> None:
    for number in range(2):
        await execute(database, LOADED)
        await upgrade(database)
        await world.do(credit(f"after-{number}", A, 1))
    assert (await keys(world))[-2:] == ["after-0", "after-1"]


async def test_an_upgrade_changes_nothing_where_nothing_was_loaded(world: World, database: str) -> None:
    assert not await events_have_fallen_back(database)
    cursor = (await world.told()).next_cursor
    await upgrade(database)
    assert (await world.told()).next_cursor == cursor


async def test_the_service_does_not_start_before_the_upgrade(world: World, database: str) -> None:
    await execute(database, LOADED)
    settings = Settings.from_environment({"WALLET_DATABASE_URL": database})
    with pytest.raises(BootstrapError, match="wallet db upgrade"):
        await start(settings)
    await upgrade(database)
    await start(settings)


async def start(settings: Settings) -> None:
    """Prepare the service as its own process does, which has no event loop yet."""

    def prepare() -> None:
        with prepared(settings):
            pass

    await asyncio.to_thread(prepare)
