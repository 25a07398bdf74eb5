"""Group commit: what waits too long for its batch is withdrawn, and what a batch has taken never is."""

import asyncio
from uuid import UUID

from tests.core.test_group_commit import T2, Callers, Gate, told
from wallet_core import GroupCommit, Overloaded
from wallet_core.group_commit import _Request

WAIT_S = 0.3


class Hasty(GroupCommit):
    """Group commit gone wrong: it also gives up what its batch has taken."""

    async def _carry_out(self, tenant: UUID, batch: list[_Request]) -> None:
        def give_up() -> None:
            for request in batch:
                if not request.answer.done():
                    request.answer.set_result([Overloaded()] * len(request.commands))

        asyncio.get_running_loop().call_later(self.wait_s_max, give_up)
        await super()._carry_out(tenant, batch)


async def told_nothing_happened_though_a_batch_took_it(group: type[GroupCommit]) -> set[str]:
    """Keys that were answered with ``Overloaded``, and yet carried out, where the batch took longer than the limit."""
    gate = Gate()
    callers = Callers(group(gate, wait_s_max=WAIT_S))
    for key in "abc":
        await callers.ask(key)
    await asyncio.sleep(WAIT_S / 2)
    await gate.let_go()
    await callers.ask("d")
    await asyncio.sleep(2 * WAIT_S)
    for _ in gate.batches:
        await gate.let_go()
    async with asyncio.timeout(5):
        await asyncio.wait(callers.tasks)
    shed = {key for key, answers in zip("abcd", callers.answers, strict=True) if answers == [Overloaded()]}
    return shed & {key for keys in gate.keys for key in keys}


async def test_what_no_batch_takes_in_time_is_withdrawn_and_never_carried_out() -> None:
    gate = Gate()
    callers = Callers(GroupCommit(gate, wait_s_max=WAIT_S))
    await callers.ask("a")
    late = [await callers.ask("b"), await callers.ask("c", "d")]
    async with asyncio.timeout(5):
        await asyncio.wait(late)
    assert callers.answers == [None, [Overloaded()], [Overloaded()] * 2]
    assert callers.group.queued == 0
    await callers.ask("e")
    await gate.let_go()
    await gate.let_go()
    assert gate.keys == [["a"], ["e"]]
    assert callers.answers[-1] == told("e")


async def test_each_waits_its_own_time() -> None:
    gate = Gate()
    callers = Callers(GroupCommit(gate, wait_s_max=WAIT_S))
    await callers.ask("a")
    first = await callers.ask("b")
    await asyncio.sleep(WAIT_S * 0.8)
    second = await callers.ask("c")
    async with asyncio.timeout(5):
        await first
    assert not second.done()
    await gate.let_go()
    await gate.let_go()
    assert gate.keys == [["a"], ["c"]]


async def test_what_a_batch_has_taken_is_never_withdrawn() -> None:
    assert await told_nothing_happened_though_a_batch_took_it(GroupCommit) == set()


async def test_a_withdrawal_from_a_batch_would_be_seen() -> None:
    assert await told_nothing_happened_though_a_batch_took_it(Hasty) == {"b", "c"}


async def test_closing_waits_for_nothing_that_is_withdrawn() -> None:
    gate = Gate()
    callers = Callers(GroupCommit(gate, wait_s_max=WAIT_S, batches_max=1))
    await callers.ask("a")
    waiting = await callers.ask("b", tenant=T2)
    closing = asyncio.create_task(callers.group.close())
    async with asyncio.timeout(5):
        assert await waiting == [Overloaded()]
        assert not closing.done()
        await gate.let_go()
        await closing
    assert gate.keys == [["a"]]
