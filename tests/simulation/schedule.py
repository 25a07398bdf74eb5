"""One schedule: a small service, its clients, a database, and what goes wrong among them, all out of one seed."""

import asyncio
from collections.abc import Sequence
from functools import cache
from math import inf
from random import Random
from typing import Final

import attrs

from tests.concurrency.history import Call
from tests.simulation.check import check_server, check_tenant
from tests.simulation.clients import Client
from tests.simulation.cluster import Cluster, Setup
from tests.simulation.faults import Plan
from tests.simulation.log import Log
from tests.simulation.loop import VirtualLoop
from tests.simulation.menu import menu
from tests.simulation.server import Server
from tests.simulation.session import ModelStore
from tests.simulation.tables import Tables
from tests.simulation.world import FOUNDATION, World
from tests.support.book import TENANT
from tests.support.ids import CountingIds, id_number
from wallet_core import Applied, BatchLedger

TENANTS: Final = ((TENANT,), (TENANT,), (TENANT,), (TENANT, id_number(2)))
"""All have wallets of the same ids, and clients who use the same keys."""

CLIENTS_AMOUNTS: Final = (2, 3, 3, 4)
STEPS_MAX: Final = 4
GRACE_S: Final = 30.0
"""Longer than anything that is still under way can take: the server has noticed by then who has gone."""


@attrs.frozen
class Course:
    """What came of a schedule. ``failure`` is what should not have: a violation, an endless wait, a bug."""

    seed: int
    covered: frozenset[str]
    trace: Sequence[str]
    calls: int
    failure: Exception | None


def run_schedule(seed: int, setup: Setup | None = None, *, traced: bool = False) -> Course:
    """Run the schedule of this seed. Two runs of one seed are the same to the last detail."""
    random = Random(seed)
    loop = VirtualLoop(random)
    log = Log(loop.time, traced=traced)
    if setup is None:
        setup = Setup()
    setup = attrs.evolve(
        setup,
        instances=random.choice((1, 2, 2, 3)),
        batch_commands_max=random.choice((1, 3, 1000)),
        queue_commands_max=random.choice((3, 1000, 1000)),
        batches_max=random.choice((1, 4)),
        stacked_commands_min=random.choice((1, 1, 3, inf)),
        cache=setup.cache if random.random() < 0.5 else None,
    )
    foundation, calls = _foundation()
    tenants = random.choice(TENANTS)
    tables = [attrs.evolve(foundation.copy(), tenant=tenant, lacking=setup.lacking) for tenant in tenants]
    server = Server(loop, random, tables, Plan(random), log, setup.lacking)
    worlds = [World(server, tenant, random, list(calls)) for tenant in tenants]
    for world in worlds:
        for call in calls:
            if isinstance(call.outcome, Applied):
                world.learn(call.outcome.transaction)
    bugs: list[Exception] = []
    failure: Exception | None = None
    try:
        try:
            loop.run(_play(server, worlds, setup, bugs))
        finally:
            # A bug of the service is the cause of whatever else went wrong.
            if bugs:
                raise bugs[0]
        if loop.complaints:
            raise RuntimeError(loop.complaints[0])
        for world in worlds:
            check_tenant(world)
        check_server(server)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the schedule has found
        failure = error
    return Course(seed, frozenset(log.covered), log.lines or (), sum(len(world.calls) for world in worlds), failure)


async def _play(server: Server, worlds: Sequence[World], setup: Setup, bugs: list[Exception]) -> None:
    random = server.random
    cluster = Cluster(server, setup, random, bugs)
    choice = menu(server.plan.steps)
    clients = [
        Client(worlds[number % len(worlds)], cluster, f"client-{number}", random.randint(1, STEPS_MAX), choice)
        for number in range(random.choice(CLIENTS_AMOUNTS))
    ]
    await asyncio.gather(*(client.run() for client in clients))
    server.plan.heal()
    await server.loop.pause(GRACE_S)
    await cluster.close()


@cache
def _foundation() -> tuple[Tables, Sequence[Call]]:
    """The wallets that schedules begin with, opened in a schedule of their own in which nothing goes wrong."""
    random = Random(0)
    loop = VirtualLoop(random)
    plan = Plan(random)
    plan.heal()
    server = Server(loop, random, [Tables(TENANT)], plan, Log(loop.time, traced=False), frozenset())
    ledger = BatchLedger(ModelStore(server), CountingIds(0x1000))
    outcomes = loop.run(_carry_out(ledger))
    return server.tables[TENANT], outcomes


async def _carry_out(ledger: BatchLedger) -> Sequence[Call]:
    outcomes = await ledger.execute(TENANT, FOUNDATION)
    return [Call(command, 0, 0, outcome) for command, outcome in zip(FOUNDATION, outcomes, strict=True)]
