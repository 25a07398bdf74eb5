"""Two batches that reverse the same transactions, each in another order, do not wait for each other in a circle."""

import asyncio
from random import Random

from tests.simulation.differential import found
from tests.simulation.faults import Plan
from tests.simulation.log import Log
from tests.simulation.loop import VirtualLoop
from tests.simulation.server import Server
from tests.simulation.session import ModelStore
from tests.simulation.tables import Tables
from tests.support.book import TENANT
from tests.support.ids import CountingIds
from wallet_core import Applied, BatchLedger, Outcome, Rejected, Reverse

SCHEDULES = 300


def outcomes_of(seed: int) -> tuple[list[list[Outcome]], Server]:
    random = Random(seed)
    loop = VirtualLoop(random)
    plan = Plan(random)
    plan.heal()
    server = Server(loop, random, [Tables(TENANT)], plan, Log(loop.time, traced=False), frozenset())

    async def race() -> list[list[Outcome]]:
        store = ModelStore(server)
        first, second = (await found(store, TENANT)).moved
        ledger = BatchLedger(store, CountingIds(), random.random)
        crossed = ([Reverse("a", first), Reverse("b", second)], [Reverse("c", second), Reverse("d", first)])
        return [list(told) for told in await asyncio.gather(*(ledger.execute(TENANT, batch) for batch in crossed))]

    return loop.run(race()), server


def test_crossed_reversals_take_effect_once_each_and_do_not_deadlock() -> None:
    waited = 0
    for seed in range(SCHEDULES):
        outcomes, server = outcomes_of(seed)
        assert sorted(type(outcome).__name__ for told in outcomes for outcome in told) == [
            *[Applied.__name__] * 2,
            *[Rejected.__name__] * 2,
        ]
        assert "deadlock" not in server.log.covered, f"seed {seed}"
        waited += "waited for a row: it had moved" in server.log.covered
    assert waited > 10
