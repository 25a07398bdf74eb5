"""Group commit: many callers, one batch at a time for each tenant, and no caller who can disturb another."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest

from adapters.memory import MemoryStore
from tests.support.builders import A
from tests.support.ids import CountingIds, id_number
from wallet_core import (
    BatchLedger,
    Command,
    FenceKey,
    GroupCommit,
    KeyFenced,
    OpenWallet,
    Outcome,
    Overloaded,
    credit,
)

T1, T2 = id_number(1), id_number(2)


class Bug(Exception):
    """Nothing that a caller may expect."""


class Gate:
    """A ledger that carries out a batch when the test lets it, and answers each command with its own key."""

    def __init__(self) -> None:
        self.batches: list[tuple[UUID, list[str]]] = []
        self._let_go: dict[UUID, asyncio.Queue[Exception | None]] = {}

    async def execute(self, tenant: UUID, commands: Sequence[Command]) -> Sequence[Outcome]:
        self.batches.append((tenant, [command.key for command in commands]))
        error = await self._let_go.setdefault(tenant, asyncio.Queue()).get()
        if error is not None:
            raise error
        return [KeyFenced(command.key) for command in commands]

    async def let_go(self, tenant: UUID = T1, error: Exception | None = None) -> None:
        """Let the tenant's batch in flight, or its next one, end: well, or with an error."""
        self._let_go.setdefault(tenant, asyncio.Queue()).put_nowait(error)
        await settle()

    @property
    def keys(self) -> list[list[str]]:
        """The keys of each batch so far."""
        return [keys for _, keys in self.batches]


async def settle() -> None:
    """Let every task run as far as it gets by itself."""
    for _ in range(10):
        await asyncio.sleep(0)


class Callers:
    """Requests under way, by their keys."""

    def __init__(self, group: GroupCommit) -> None:
        self.group = group
        self.tasks: list[asyncio.Future[Sequence[Outcome]]] = []

    async def ask(self, *keys: str, tenant: UUID = T1) -> asyncio.Future[Sequence[Outcome]]:
        commands = [FenceKey(key) for key in keys]
        task = asyncio.ensure_future(self.group.execute(tenant, commands))
        self.tasks.append(task)
        await settle()
        return task

    @property
    def answers(self) -> list[list[Outcome] | None]:
        """What each request has been answered; None if it still waits."""
        return [list(task.result()) if task.done() else None for task in self.tasks]


def told(*keys: str) -> list[Outcome]:
    return [KeyFenced(key) for key in keys]


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def callers(gate: Gate) -> Callers:
    return Callers(GroupCommit(gate, batch_commands_max=4, queue_commands_max=6))


async def test_a_command_that_finds_nothing_in_flight_goes_at_once_and_alone(gate: Gate, callers: Callers) -> None:
    await callers.ask("a")
    assert gate.keys == [["a"]]
    assert callers.group.queued == 0
    await gate.let_go()
    assert callers.answers == [told("a")]


async def test_commands_that_arrive_during_a_batch_form_the_next_one(gate: Gate, callers: Callers) -> None:
    for key in "abcd":
        await callers.ask(key)
    assert (gate.keys, callers.group.queued) == ([["a"]], 3)
    await gate.let_go()
    assert (gate.keys, callers.group.queued) == ([["a"], ["b", "c", "d"]], 0)
    assert callers.answers == [told("a"), None, None, None]
    await gate.let_go()
    assert callers.answers == [told("a"), told("b"), told("c"), told("d")]


async def test_commands_that_arrive_at_the_same_moment_share_a_batch(gate: Gate, callers: Callers) -> None:
    async with asyncio.timeout(5):
        both = asyncio.gather(callers.group.execute(T1, [FenceKey("a")]), callers.group.execute(T1, [FenceKey("b")]))
        await settle()
        await gate.let_go()
        assert [list(answer) for answer in await both] == [told("a"), told("b")]
    assert gate.keys == [["a", "b"]]


async def test_the_commands_of_a_request_stay_together_and_get_their_own_answers(gate: Gate, callers: Callers) -> None:
    await callers.ask("a")
    await callers.ask("b", "c", "d")
    await callers.ask("e", "f")
    for _ in range(3):
        await gate.let_go()
    assert gate.keys == [["a"], ["b", "c", "d"], ["e", "f"]]
    assert callers.answers == [told("a"), told("b", "c", "d"), told("e", "f")]


async def test_a_batch_takes_as_many_requests_as_fit_in_their_order(gate: Gate, callers: Callers) -> None:
    """None overtakes: what comes after one that does not fit waits with it."""
    await callers.ask("a")
    await callers.ask("b")
    await callers.ask("c", "d")
    await callers.ask("e", "f")
    await callers.ask("g")
    for _ in range(3):
        await gate.let_go()
    assert gate.keys == [["a"], ["b", "c", "d"], ["e", "f", "g"]]


async def test_a_request_larger_than_a_batch_is_a_batch_of_its_own(gate: Gate, callers: Callers) -> None:
    await callers.ask("a")
    await callers.ask(*"bcdef")
    await callers.ask("g")
    for _ in range(3):
        await gate.let_go()
    assert gate.keys == [["a"], list("bcdef"), ["g"]]
    assert callers.answers[1] == told(*"bcdef")


async def test_a_request_without_commands_is_answered(gate: Gate, callers: Callers) -> None:
    await callers.ask()
    await gate.let_go()
    assert callers.answers == [[]]


# -------------------------------------------------------------------- overload


async def test_a_full_queue_sheds_at_once_and_all_of_a_request_or_nothing(gate: Gate, callers: Callers) -> None:
    await callers.ask("a")
    await callers.ask(*"bcdef")
    assert callers.group.queued == 5
    await callers.ask("g", "h")
    assert callers.answers == [None, None, [Overloaded(), Overloaded()]]
    await callers.ask("i")
    assert callers.group.queued == 6
    await callers.ask("j")
    assert callers.answers[-2:] == [None, [Overloaded()]]
    await gate.let_go()
    await gate.let_go()
    await gate.let_go()
    assert gate.keys == [["a"], list("bcdef"), ["i"]]
    assert callers.group.queued == 0
    await callers.ask("k")
    await gate.let_go()
    assert callers.answers[-1] == told("k")


# -------------------------------------------------------------------- bugs and cancelled callers


async def test_a_bug_reaches_every_caller_of_its_batch_and_the_next_batch_works(gate: Gate, callers: Callers) -> None:
    for key in "abcd":
        await callers.ask(key)
    await gate.let_go()
    await gate.let_go(error=Bug("seen"))
    for task in callers.tasks[1:]:
        with pytest.raises(Bug, match="seen"):
            await task
    await callers.ask("e")
    await gate.let_go()
    assert callers.tasks[-1].result() == told("e")


async def test_a_cancelled_caller_leaves_the_batch_in_flight_alone(gate: Gate, callers: Callers) -> None:
    impatient = await callers.ask("a")
    await callers.ask("b")
    impatient.cancel()
    await settle()
    assert impatient.cancelled()
    assert gate.keys == [["a"]]
    await gate.let_go()
    await gate.let_go()
    assert gate.keys == [["a"], ["b"]]
    assert callers.tasks[1].result() == told("b")


async def test_what_a_cancelled_caller_asked_for_is_still_carried_out(gate: Gate, callers: Callers) -> None:
    """The caller stopped waiting; it did not take anything back. The same key gives it the answer later."""
    await callers.ask("a")
    impatient = await callers.ask("b")
    impatient.cancel()
    await callers.ask("c")
    await gate.let_go()
    await gate.let_go()
    assert gate.keys == [["a"], ["b", "c"]]
    assert callers.tasks[2].result() == told("c")


@pytest.mark.parametrize("error", [None, Bug()], ids=["well", "with a bug"])
async def test_a_batch_whose_callers_are_all_gone_still_ends(
    gate: Gate, callers: Callers, error: Exception | None
) -> None:
    (await callers.ask("a")).cancel()
    await gate.let_go(error=error)
    await callers.ask("b")
    await gate.let_go()
    assert callers.tasks[1].result() == told("b")


async def test_a_caller_with_a_time_limit_does_not_cancel_the_commit() -> None:
    store = MemoryStore()
    group = GroupCommit(BatchLedger(store, CountingIds()))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await group.execute(T1, [OpenWallet("k1", "EUR", id=A), credit("k2", A, 5)])
    await group.close()
    wallet = await store.wallet(T1, A)
    assert wallet is not None
    assert wallet.balance == 5


# -------------------------------------------------------------------- tenants


async def test_the_batches_of_different_tenants_run_side_by_side(gate: Gate, callers: Callers) -> None:
    await callers.ask("a", tenant=T1)
    await callers.ask("b", tenant=T2)
    await callers.ask("c", tenant=T2)
    assert gate.batches == [(T1, ["a"]), (T2, ["b"])]
    await gate.let_go(T2)
    assert gate.batches == [(T1, ["a"]), (T2, ["b"]), (T2, ["c"])]
    await gate.let_go(T2)
    assert callers.answers == [None, told("b"), told("c")]
    await gate.let_go(T1)
    assert callers.answers[0] == told("a")


async def test_tenants_beyond_those_that_run_side_by_side_have_their_turns_in_order(gate: Gate) -> None:
    """One with much to do gives way after each batch."""
    t3 = id_number(3)
    callers = Callers(GroupCommit(gate, batches_max=1, batch_commands_max=1))
    for tenant, key in ((T1, "a"), (T1, "b"), (T2, "c"), (T2, "d"), (t3, "e")):
        await callers.ask(key, tenant=tenant)
    assert (gate.batches, callers.group.queued) == ([(T1, ["a"])], 4)
    for tenant in (T1, T2, t3, T1, T2):
        await gate.let_go(tenant)
    assert gate.batches == [(T1, ["a"]), (T2, ["c"]), (t3, ["e"]), (T1, ["b"]), (T2, ["d"])]
    assert all(task.done() for task in callers.tasks)


async def test_a_bug_in_one_tenants_batch_is_none_in_anothers(gate: Gate, callers: Callers) -> None:
    first = await callers.ask("a", tenant=T1)
    await callers.ask("b", tenant=T2)
    await gate.let_go(T1, Bug())
    with pytest.raises(Bug):
        await first
    await gate.let_go(T2)
    assert callers.tasks[1].result() == told("b")


# -------------------------------------------------------------------- closing


async def test_closing_refuses_what_is_new_and_finishes_what_was_taken(gate: Gate, callers: Callers) -> None:
    await callers.ask("a")
    await callers.ask("b")
    await callers.ask("c", tenant=T2)
    closing = asyncio.create_task(callers.group.close())
    await settle()
    await callers.ask("d")
    assert callers.answers == [None, None, None, [Overloaded()]]
    await gate.let_go()
    assert not closing.done()
    await gate.let_go()
    assert not closing.done()
    await gate.let_go(T2)
    assert closing.done()
    assert callers.answers == [told("a"), told("b"), told("c"), [Overloaded()]]
    await callers.ask("e")
    assert callers.answers[-1] == [Overloaded()]
    assert gate.batches == [(T1, ["a"]), (T2, ["c"]), (T1, ["b"])]


async def test_closing_what_is_idle_returns_at_once_and_again(callers: Callers) -> None:
    async with asyncio.timeout(1):
        await callers.group.close()
        await callers.group.close()
