"""Memory and PostgreSQL, given the same schedule, the same ids and the same time, write the same history: outcomes,
receipts, states, times and hashes, to the byte."""

import asyncio
from collections.abc import Sequence

import attrs
import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.histories import History, prove, read_history
from tests.support.ids import CountingIds
from tests.support.stores import ISOLATIONS, World, memory_world, postgres_world
from tests.support.strategies import FOUNDATION, WALLETS, Draft, Targets, schedules
from tests.support.time import NOON, Clock
from wallet_core import Outcome
from wallet_core.ports import Snapshot

Schedule = Sequence[tuple[int, Sequence[Draft]]]


@attrs.frozen
class Course:
    """What came of a schedule: the outcomes, what a batch would load after each, and all of it in the end."""

    outcomes: list[Sequence[Outcome]]
    states: list[Snapshot]
    history: History


async def play(schedule: Schedule, world: World, clock: Clock) -> Course:
    world.ids = ids = CountingIds()
    clock.now = NOON
    targets = Targets()
    outcomes: list[Sequence[Outcome]] = []
    states: list[Snapshot] = []
    for seconds, batch in ((0, FOUNDATION), *schedule):
        clock.advance(seconds)
        commands = targets.resolve(batch, ids.upcoming(len(batch)))
        outcomes.append(list(await world.do(*commands)))
        targets.learn(commands, outcomes[-1])
        keys = [command.key for command in targets.sent]
        states.append(
            await world.load(keys=keys, wallets=WALLETS, holds=targets.holds, transactions=targets.transactions)
        )
    # A reader of the database tells what has lapsed by the database's own clock, by which all of this is long ago.
    clock.advance(1_000_000)
    return Course(outcomes, states, await read_history(world.reader, world.tenant))


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_memory_and_postgresql_write_the_same_history(ledger_database: str, isolation: str) -> None:
    async def compare(schedule: Schedule) -> None:
        clock = Clock()
        async with (
            memory_world(clock) as memory,
            postgres_world(ledger_database, ISOLATIONS[isolation], clock) as other,
        ):
            expected = await play(schedule, memory, clock)
            found = await play(schedule, other, clock)
        assert found.outcomes == expected.outcomes
        for state, expected_state in zip(found.states, expected.states, strict=True):
            assert state == attrs.evolve(expected_state, holds=state.holds)
            # The database loads more holds than are due by an earlier clock than its own.
            assert {id: state.holds.get(id) for id in expected_state.holds} == expected_state.holds
        assert found.history == expected.history
        prove(found.history)

    with asyncio.Runner() as runner:

        @settings(
            max_examples=max(1, settings().max_examples // 5),
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(schedules)
        def same(schedule: Schedule) -> None:
            runner.run(compare(schedule))

        same()
