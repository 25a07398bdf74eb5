"""A consumer that is killed again and again, while processes race for the same wallets and others commit late: it has
dealt with every transaction once, in the order of events."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg
import pytest

from tests.concurrency.writer import Job, writing
from tests.databases import Databases
from tests.events.consumer import Consumer, consuming
from tests.events.hesitant import HesitantStore
from tests.support.builders import A, B, C
from tests.support.ids import id_number
from tests.support.over_http import HttpWorld, Services, http_world, services_over
from wallet_core import Transaction, credit, decide_batch
from wallet_core.ports import Names

D: Final = id_number(0xD)
KILLS: Final = 3
EVENTS_BETWEEN: Final = 100
OPEN_S: Final = 0.4
"""How long late transactions stay open: longer than the consumer is behind."""
WAIT_S_MAX: Final = 30.0


@pytest.fixture(scope="module")
def services(databases: Databases) -> Iterator[Services]:
    dsn = databases.create()
    with services_over(dsn) as services:
        yield services
    databases.drop(dsn)


@pytest.fixture
async def world(services: Services) -> AsyncIterator[HttpWorld]:
    async with http_world(services) as world:
        yield world


def wait_for(consumer: Consumer, effects: int) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while len(consumer.effects()) < effects:
        assert time.monotonic() < deadline, f"{len(consumer.effects())} of {effects} events within {WAIT_S_MAX} s"
        time.sleep(0.01)


async def commit_late(world: HttpWorld, stop: asyncio.Event) -> int:
    """Write to D in transactions that stay open for a while, until told to stop. Returns how many."""
    number = 0
    while not stop.is_set():
        async with world.store.begin(world.tenant) as unit:
            command = credit(f"late-{number}", D, 1)
            snapshot = await unit.load(Names((command.key,), (D,), (), ()))
            await unit.append(decide_batch(snapshot, (command,), world.ids(snapshot.now)).changes)
            await asyncio.sleep(OPEN_S)
            await unit.commit()
        number += 1
    return number


async def everything(world: HttpWorld) -> list[tuple[str, Transaction]]:
    """All events, from the beginning."""
    found: list[tuple[str, Transaction]] = []
    page = await world.told()
    while page.items:
        found += [(event.cursor, event.transaction) for event in page.items]
        page = await world.told(page.next_cursor)
    return found


async def test_a_consumer_that_is_killed_deals_with_every_transaction_once_and_in_order(
    world: HttpWorld, services: Services, tmp_path: Path
) -> None:
    await world.open(A, B, C, D, balance=1_000)
    consumer = Consumer(services.url, world.api_keys[world.tenant], tmp_path / "effects.db")
    consumer.prepare()
    jobs = [Job(services.dsn, world.tenant, (A, B, C), tmp_path / name, name, HesitantStore) for name in ("one", "two")]
    stop = asyncio.Event()
    late = asyncio.create_task(commit_late(world, stop))
    with writing(jobs[0]), writing(jobs[1]) as writer:
        for _ in range(KILLS):
            with consuming(consumer):
                await asyncio.to_thread(wait_for, consumer, len(consumer.effects()) + EVENTS_BETWEEN)
        await asyncio.to_thread(writer.wait_for_acknowledgements, 0)
    stop.set()
    assert await late > KILLS
    told = await everything(world)
    with consuming(consumer):
        await asyncio.to_thread(wait_for, consumer, len(told))
    assert consumer.effects() == [(str(transaction.id), cursor) for cursor, transaction in told]
    assert await everything(world) == told
    await assert_is_the_ledger(services.dsn, world.tenant, [transaction for _, transaction in told])


async def assert_is_the_ledger(dsn: str, tenant: UUID, told: list[Transaction]) -> None:
    owner = await asyncpg.connect(dsn)
    try:
        query = "SELECT id FROM transactions WHERE tenant_id = $1 AND outcome = 'applied'"
        assert sorted(transaction.id for transaction in told) == sorted(
            row["id"] for row in await owner.fetch(query, tenant)
        )
    finally:
        await owner.close()
    versions: defaultdict[UUID, list[int]] = defaultdict(list)
    for transaction in told:
        for entry in transaction.entries:
            versions[entry.wallet_id].append(entry.version)
    assert set(versions) == {A, B, C, D}
    for found in versions.values():
        assert found == list(range(1, len(found) + 1))
