"""A tenant that takes turns with other processes has one batch at a time, of as many commands as there are."""

import asyncio
from typing import Final
from uuid import UUID

import attrs
import pytest

from tests.core.test_group_commit import T1, T2, Callers, Gate, settle, told
from wallet_core import GroupCommit
from wallet_core.group_commit import TURN_S

ENOUGH_S: Final = 5.0


@attrs.define
class Turns:
    """Which tenants take turns."""

    tenants: set[UUID] = attrs.field(factory=lambda: {T1})

    def __call__(self, tenant: UUID) -> bool:
        return tenant in self.tenants


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def callers(gate: Gate, turns: Turns) -> Callers:
    return Callers(GroupCommit(gate, stacked_commands_min=1, takes_turns=turns))


async def a_turn() -> None:
    await asyncio.sleep(TURN_S)
    await settle()


async def test_who_has_been_answered_and_asks_again_shares_a_batch_with_those_who_waited(
    gate: Gate, callers: Callers
) -> None:
    await callers.ask("a1")
    await a_turn()
    await callers.ask("b1")
    await gate.let_go()
    assert callers.answers == [told("a1"), None]
    await callers.ask("a2")
    assert gate.keys == [["a1"]]
    await a_turn()
    assert gate.keys == [["a1"], ["b1", "a2"]]


async def test_no_second_batch_begins_beside_the_one_in_flight(gate: Gate, callers: Callers, turns: Turns) -> None:
    await callers.ask("a")
    await a_turn()
    await callers.ask("b")
    await a_turn()
    assert gate.keys == [["a"]]
    turns.tenants.clear()
    await callers.ask("c")
    assert gate.keys == [["a"], ["b", "c"]]


async def test_a_tenant_that_takes_no_turns_does_not_wait(gate: Gate, callers: Callers) -> None:
    await callers.ask("a", tenant=T2)
    await callers.ask("b", tenant=T2)
    assert gate.keys == [["a"], ["b"]]


async def test_what_came_before_the_end_is_carried_out_although_it_waits_for_its_turn(
    gate: Gate, callers: Callers
) -> None:
    asked = await callers.ask("a")
    closing = asyncio.ensure_future(callers.group.close())
    await a_turn()
    await gate.let_go()
    async with asyncio.timeout(ENOUGH_S):
        await closing
    assert await asked == told("a")


async def test_who_waits_for_its_turn_may_be_withdrawn(gate: Gate, turns: Turns) -> None:
    callers = Callers(GroupCommit(gate, takes_turns=turns, wait_s_max=TURN_S / 10))
    await callers.ask("a")
    await a_turn()
    assert (gate.keys, callers.group.queued, callers.group._tenants) == ([], 0, {})
