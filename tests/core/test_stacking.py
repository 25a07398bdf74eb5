"""Batches on top of one another: decided early, written in order, and worth nothing if what is below them fails."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from math import inf
from uuid import UUID

import attrs
import pytest

from adapters.memory import MemoryStore
from tests.core.test_group_commit import Callers, Gate, settle, told
from tests.support.book import TENANT
from tests.support.builders import HOLD, A, B, C, hold, past, snapshot, wallet
from tests.support.ids import CountingIds, id_number
from tests.support.time import NOON
from wallet_core import (
    Applied,
    BatchLedger,
    CaptureHold,
    Command,
    GroupCommit,
    Hold,
    OpenWallet,
    Outcome,
    Overloaded,
    PlaceHold,
    Reason,
    Rejected,
    Replayed,
    Reverse,
    Wallet,
    credit,
    debit,
    ledger,
)
from wallet_core.ports import (
    DUE_HOLDS_MAX,
    Changes,
    CommitUnknown,
    Names,
    Snapshot,
    StaleSnapshot,
    Store,
    Unavailable,
    UnitOfWork,
)
from wallet_core.stacking import Flight, stacked
from wallet_core.watching import UNWATCHED_ATTEMPT, Attempt, Observer, Step


@attrs.define
class _GatedUnit:
    unit: UnitOfWork
    number: int
    store: "GatedStore"

    async def load(self, names: Names, *, lock: bool = False) -> Snapshot:
        if self.store.loading is not None:
            await self.store.loading
        snapshot = await self.unit.load(names, lock=lock)
        self.store.loaded.append(self.number)
        return snapshot

    def prepare(self, changes: Changes) -> bool:
        self.store.prepared.append((self.number, [decision.key for decision in changes.decisions]))
        return len(self.store.prepared) < self.store.pieces

    async def append(self, changes: Changes) -> None:
        self.store.writing.append((self.number, [decision.key for decision in changes.decisions]))
        error = await self.store.let_go.setdefault(self.number, asyncio.get_running_loop().create_future())
        if error is not None and not isinstance(error, CommitUnknown):
            raise error
        await self.unit.append(changes)

    async def commit(self) -> None:
        await self.unit.commit()
        error = self.store.let_go[self.number].result()
        if error is not None:
            raise error


@attrs.define
class GatedStore:
    """Units of work, numbered from 1, that write when the test lets them, or fail then. Those after ``gated`` just
    write."""

    store: Store
    gated: int = 2
    begun: int = 0
    loading: "asyncio.Future[None] | None" = None
    loaded: list[int] = attrs.field(factory=list)
    pieces: float = 1
    prepared: list[tuple[int, list[str]]] = attrs.field(factory=list)
    writing: list[tuple[int, list[str]]] = attrs.field(factory=list)
    let_go: dict[int, "asyncio.Future[Exception | None]"] = attrs.field(factory=dict)
    ended: dict[int, asyncio.Event] = attrs.field(factory=dict)

    def begin(self, tenant: UUID) -> AbstractAsyncContextManager[UnitOfWork]:
        return self._begin(tenant)

    @asynccontextmanager
    async def _begin(self, tenant: UUID) -> AsyncIterator[UnitOfWork]:
        self.begun += 1
        number = self.begun
        try:
            async with self.store.begin(tenant) as unit:
                yield unit if number > self.gated else _GatedUnit(unit, number, self)
        finally:
            self.ended.setdefault(number, asyncio.Event()).set()

    async def has_ended(self, number: int) -> None:
        await self.ended.setdefault(number, asyncio.Event()).wait()

    async def go_on(self, number: int, error: Exception | None = None) -> None:
        self.let_go.setdefault(number, asyncio.get_running_loop().create_future()).set_result(error)
        await settle()


@attrs.define
class World:
    """Wallet A with 10 in it, and a ledger that stacks, over a store that waits for the test."""

    memory: MemoryStore = attrs.field(factory=MemoryStore)
    ids: CountingIds = attrs.field(factory=CountingIds)
    store: GatedStore = attrs.field(init=False)
    ledger: BatchLedger = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.store = GatedStore(self.memory)
        self.ledger = BatchLedger(self.store, self.ids, jitter=lambda: 0.0, stacks=True)

    async def elsewhere(self, *commands: Command) -> Sequence[Outcome]:
        return await BatchLedger(self.memory, self.ids).execute(TENANT, commands)

    async def ask(self, *commands: Command) -> "asyncio.Task[Sequence[Outcome]]":
        task = asyncio.ensure_future(self.ledger.execute(TENANT, commands))
        await settle()
        return task

    async def state(self) -> tuple[int, int]:
        """A's balance and version."""
        wallet = await self.memory.wallet(TENANT, A)
        assert wallet is not None
        return wallet.balance, wallet.version


@pytest.fixture
async def world() -> World:
    world = World()
    await world.elsewhere(OpenWallet("open", "EUR", id=A), credit("fund", A, 10))
    return world


async def test_a_batch_is_decided_while_the_one_below_is_written_and_written_after_it(world: World) -> None:
    first = await world.ask(debit("k1", A, 7))
    second = await world.ask(debit("k2", A, 7), debit("k3", A, 3))
    # It has loaded 10, and knows of 3.
    assert (world.store.loaded, world.store.writing) == ([1, 2], [(1, ["k1"])])
    await world.store.go_on(1)
    assert world.store.writing[1:] == [(2, ["k2", "k3"])]
    assert (first.done(), second.done()) == (True, False)
    await world.store.go_on(2)
    rejected, applied = second.result()
    assert isinstance(rejected, Rejected)
    assert isinstance(applied, Applied)
    assert await world.state() == (0, 4)
    # Neither had to be decided twice.
    assert world.store.begun == 2


@pytest.mark.parametrize("pieces", [1, 3])
async def test_what_waits_for_the_batch_below_is_put_together_meanwhile(world: World, pieces: int) -> None:
    world.store.pieces = pieces
    await world.ask(debit("k1", A, 7))
    await world.ask(debit("k2", A, 1), debit("k3", A, 1))
    assert world.store.prepared == [(2, ["k2", "k3"])] * pieces
    assert world.store.writing == [(1, ["k1"])]
    await world.store.go_on(1)
    assert world.store.writing[1:] == [(2, ["k2", "k3"])]
    assert len(world.store.prepared) == pieces


async def test_a_batch_whose_turn_it_is_is_written_and_not_put_together_first(world: World) -> None:
    world.store.pieces = inf
    first = await world.ask(debit("k1", A, 7))
    await world.ask(debit("k2", A, 1))
    await world.store.go_on(1)
    assert first.done()
    assert world.store.writing[1:] == [(2, ["k2"])]
    prepared = len(world.store.prepared)
    await world.ask(debit("k3", A, 1))
    assert 0 < prepared == len([number for number, _ in world.store.prepared if number == 2])


async def test_nothing_is_loaded_for_a_batch_before_the_one_below_is_decided(world: World) -> None:
    """It would take holds from before another writer came for what they are after the batch below, which has seen
    that: a lapsed one would expire twice."""
    world.store.loading = asyncio.get_running_loop().create_future()
    await world.ask(credit("k1", A, 1))
    await world.ask(credit("k2", A, 1))
    assert world.store.begun == 1
    world.store.loading.set_result(None)
    await settle()
    assert (world.store.loaded, world.store.writing) == ([1, 2], [(1, ["k1"])])


@attrs.define
class Watching(Observer):
    """Notes the attempts, by whether they are on top of another, and the steps that those have taken."""

    told: list[str] = attrs.field(factory=list)

    def attempt(self, *, stacked: bool, locked: bool) -> Attempt:
        self.told.append(f"begins {stacked=}")
        return _WatchedAttempt(self.told) if stacked else UNWATCHED_ATTEMPT


@attrs.define
class _WatchedAttempt(Attempt):
    told: list[str]

    def passed(self, step: Step) -> None:
        self.told.append(step)


async def test_waiting_until_the_batch_below_is_decided_is_a_step_of_the_attempt(world: World) -> None:
    watching = world.ledger.observer = Watching()
    world.store.loading = asyncio.get_running_loop().create_future()
    await world.ask(credit("k1", A, 1))
    await world.ask(credit("k2", A, 1))
    assert watching.told == ["begins stacked=False", "begins stacked=True"]
    world.store.loading.set_result(None)
    await settle()
    assert watching.told[2:] == [Step.STACK, Step.LOAD, Step.DECIDE]


async def test_what_touches_no_wallet_of_the_batch_below_is_written_beside_it_and_kept_after_it(world: World) -> None:
    await world.elsewhere(OpenWallet("open-b", "EUR", id=B))
    first = await world.ask(credit("k1", A, 1))
    second = await world.ask(credit("k2", B, 1))
    assert world.store.writing == [(1, ["k1"]), (2, ["k2"])]
    await world.store.go_on(2)
    assert not second.done()
    await world.store.go_on(1)
    assert [type(outcome) for task in (first, second) for outcome in task.result()] == [Applied, Applied]
    assert world.store.begun == 2


@pytest.mark.parametrize("touching", [credit("k2", A, 1), PlaceHold("k2", B, 1, destination=A)], ids=["its", "for its"])
async def test_what_touches_a_wallet_of_the_batch_below_is_written_after_it(world: World, touching: Command) -> None:
    await world.elsewhere(OpenWallet("open-b", "EUR", id=B), credit("fund-b", B, 5))
    await world.ask(credit("k1", A, 1))
    await world.ask(touching)
    assert world.store.writing == [(1, ["k1"])]


async def test_what_was_written_beside_a_batch_that_fails_is_let_go_at_once(world: World) -> None:
    """The batch below may need what it holds for its next attempt."""
    await world.elsewhere(OpenWallet("open-b", "EUR", id=B))
    world.store.gated = 3
    first = await world.ask(credit("k1", A, 1))
    second = await world.ask(credit("k2", B, 1))
    await world.store.go_on(2)
    await world.store.go_on(1, StaleSnapshot())
    async with asyncio.timeout(5):
        await world.store.has_ended(2)
    assert (first.done(), second.done()) == (False, False)
    await world.store.go_on(3)
    async with asyncio.timeout(5):
        assert [type(outcome) for task in (first, second) for outcome in await task] == [Applied, Applied]


async def test_what_was_written_beside_a_batch_that_takes_long_is_let_go(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of two processes could wait for each other, half of it for locks and half of it here."""
    monkeypatch.setattr(ledger, "BESIDE_S_MAX", 0.01)
    await world.elsewhere(OpenWallet("open-b", "EUR", id=B))
    first = await world.ask(credit("k1", A, 1))
    second = await world.ask(credit("k2", B, 1))
    await world.store.go_on(2)
    async with asyncio.timeout(5):
        await world.store.has_ended(2)
    assert (first.done(), second.done()) == (False, False)
    await world.store.go_on(1)
    async with asyncio.timeout(5):
        assert [type(outcome) for task in (first, second) for outcome in await task] == [Applied, Applied]


@pytest.mark.parametrize(
    "error", [StaleSnapshot(), Unavailable(), CommitUnknown()], ids=lambda error: type(error).__name__
)
async def test_what_was_decided_on_top_of_what_failed_is_decided_anew(world: World, error: Exception) -> None:
    first = await world.ask(credit("k1", A, 1))
    second = await world.ask(debit("k2", A, 11))
    await world.elsewhere(debit("other", A, 5))
    await world.store.go_on(1, error)
    async with asyncio.timeout(5):
        (applied,), (rejected,) = await first, await second
    assert isinstance(applied, Applied)
    assert isinstance(rejected, Rejected)
    assert await world.state() == (6, 4)


async def test_what_is_told_of_the_batch_below_is_told_when_that_is_committed(world: World) -> None:
    await world.ask(credit("k1", A, 1))
    again = await world.ask(credit("k1", A, 1))
    assert not again.done()
    await world.store.go_on(1)
    (outcome,) = again.result()
    assert isinstance(outcome, Replayed)
    assert await world.state() == (11, 3)


async def test_what_is_told_of_a_batch_below_that_failed_is_the_truth(world: World) -> None:
    first = await world.ask(debit("k1", A, 8))
    again = await world.ask(debit("k1", A, 8))
    await world.elsewhere(debit("other", A, 5))
    await world.store.go_on(1, StaleSnapshot())
    async with asyncio.timeout(5):
        told_first, told_again = await first, await again
    assert sorted(type(outcome).__name__ for outcome in (*told_first, *told_again)) == ["Rejected", "Replayed"]
    assert await world.state() == (5, 3)


async def test_a_wallet_that_the_batch_below_opens_is_there(world: World) -> None:
    first = await world.ask(OpenWallet("k1", "EUR", id=B))
    second = await world.ask(credit("k2", B, 4))
    await world.store.go_on(1)
    await world.store.go_on(2)
    assert [type(outcome) for task in (first, second) for outcome in task.result()] == [Applied, Applied]
    assert world.store.begun == 2


async def test_what_another_process_put_on_top_meanwhile_is_not_written_over(world: World) -> None:
    await world.ask(credit("k1", A, 1))
    await world.store.go_on(1)
    first = await world.ask(credit("k2", A, 1))
    third = await world.ask(credit("k3", A, 1))
    await world.elsewhere(credit("other", A, 100))
    await world.store.go_on(2)
    async with asyncio.timeout(5):
        assert [type(outcome) for task in (first, third) for outcome in await task] == [Applied, Applied]
    assert await world.state() == (113, 6)


async def test_a_hold_that_the_batch_below_places_is_held(world: World) -> None:
    first = await world.ask(PlaceHold("k1", A, 8))
    second = await world.ask(debit("k2", A, 3))
    await world.store.go_on(1)
    await world.store.go_on(2)
    (held,), (rejected,) = first.result(), second.result()
    assert (type(held), type(rejected)) == (Applied, Rejected)
    assert world.store.begun == 2


async def test_a_hold_is_captured_from_where_the_batch_below_leaves_it(world: World) -> None:
    (placed,) = await world.elsewhere(PlaceHold("hold", A, 8))
    assert isinstance(placed, Applied)
    first = await world.ask(CaptureHold("k1", placed.transaction.id, 5, final=False))
    second = await world.ask(CaptureHold("k2", placed.transaction.id, 4), debit("k3", A, 3))
    await world.store.go_on(1)
    await world.store.go_on(2)
    assert [type(outcome) for task in (first, second) for outcome in task.result()] == [Applied, Rejected, Rejected]
    assert await world.state() == (5, 4)
    assert world.store.begun == 2


@pytest.mark.parametrize("again", [CaptureHold, Reverse])
async def test_what_the_batch_below_makes_is_loaded_once_it_is_there(
    world: World, again: Callable[[str, UUID], Command]
) -> None:
    """It belongs to wallets that only the database can name."""
    made = world.ids.upcoming(1)[0]
    first = await world.ask(PlaceHold("k1", A, 8) if again is CaptureHold else credit("k1", A, 8))
    second = await world.ask(again("k2", made))
    assert world.store.loaded == [1, 2]
    await world.store.go_on(1)
    async with asyncio.timeout(5):
        assert [type(outcome) for task in (first, second) for outcome in await task] == [Applied, Applied]
    assert world.store.begun == 3


async def test_a_transaction_that_the_batch_below_reverses_is_reversed(world: World) -> None:
    (made,) = await world.elsewhere(credit("more", A, 5))
    assert isinstance(made, Applied)
    first = await world.ask(Reverse("k1", made.transaction.id))
    second = await world.ask(Reverse("k2", made.transaction.id))
    await world.store.go_on(1)
    await world.store.go_on(2)
    (rejected,) = second.result()
    assert isinstance(rejected, Rejected)
    assert rejected.rejection.reason is Reason.ALREADY_REVERSED
    assert world.store.begun == 2
    assert isinstance(first.result()[0], Applied)


# -------------------------------------------------------------------- what a snapshot would be


def changes(*wallets: Wallet, placed: Sequence[Hold] = (), updated: Sequence[Hold] = ()) -> Changes:
    return Changes([past()], [], [(wallet.version - 1, wallet) for wallet in wallets], placed, updated)


def test_a_wallet_is_as_the_changes_leave_it_unless_it_has_gone_on_from_there() -> None:
    loaded = snapshot(wallet(A, 1, version=7), wallet(B, 1, version=9))
    named = Names([], [A, B, C], [], [])
    made = changes(*(wallet(id, 2, version=8) for id in (A, B, C, UUID(int=99))))
    after = stacked(loaded, named, made)
    assert {id: wallet.balance for id, wallet in after.wallets.items()} == {A: 2, B: 1, C: 2}
    # A wallet that belongs to something that is named was loaded with it.
    after = stacked(loaded, Names([], [], [], []), made)
    assert {id: wallet.balance for id, wallet in after.wallets.items()} == {A: 2, B: 1}


@pytest.mark.parametrize(("version", "captured"), [(7, 5), (8, 0), (9, 0)], ids=["before", "then", "later"])
def test_a_hold_is_of_the_same_moment_as_its_wallet(version: int, captured: int) -> None:
    loaded = snapshot(wallet(A, 10, held=8, version=version), hold(8))
    after = stacked(
        loaded, Names([], [A], [], []), changes(wallet(A, 5, held=3, version=8), updated=[hold(8, captured=5)])
    )
    assert after.holds[HOLD].captured == captured


async def test_nothing_is_put_on_top_where_something_may_be_missing() -> None:
    lapsed = hold(5, expires_at=NOON)
    crowd = [hold(1, id_number(1000 + n)) for n in range(DUE_HOLDS_MAX + 1)]
    for loaded, made in ((snapshot(wallet(A)), changes(placed=[lapsed])), (snapshot(wallet(A), *crowd), changes())):
        flight = Flight(kept=True)
        flight.decide(made)
        flight.land()
        with pytest.raises(StaleSnapshot):
            await flight.below(loaded, Names([], [A], [], []))


async def test_a_bug_in_the_batch_below_is_not_one_of_the_batch_on_top(world: World) -> None:
    first = await world.ask(credit("k1", A, 1))
    second = await world.ask(credit("k2", A, 1))
    await world.store.go_on(1, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await first
    async with asyncio.timeout(5):
        assert [type(outcome) for outcome in await second] == [Applied]
    assert await world.state() == (11, 3)


async def test_nothing_is_kept_of_batches_that_have_ended(world: World) -> None:
    world.store.gated = 0
    for number in range(3):
        await asyncio.gather(*(world.ledger.execute(TENANT, [credit(f"k{number}-{n}", A, 1)]) for n in range(5)))
    assert await world.state() == (25, 17)
    assert world.ledger._flights == {}


# -------------------------------------------------------------------- from the queue


def stacking(gate: Gate, least: int = 3, batches_max: int = 4) -> Callers:
    return Callers(
        GroupCommit(
            gate, batch_commands_max=4, queue_commands_max=20, batches_max=batches_max, stacked_commands_min=least
        )
    )


async def test_a_second_batch_begins_once_enough_commands_wait_and_a_third_does_not() -> None:
    gate = Gate()
    callers = stacking(gate)
    for key in "abc":
        await callers.ask(key)
    assert gate.keys == [["a"]]
    await callers.ask("d")
    assert gate.keys == [["a"], ["b", "c", "d"]]
    for key in "efgh":
        await callers.ask(key)
    assert gate.keys == [["a"], ["b", "c", "d"]]
    await gate.let_go()
    assert gate.keys[2:] == [["e", "f", "g", "h"]]
    assert callers.answers[:2] == [told("a"), None]
    for _ in range(2):
        await gate.let_go()
    assert all(task.done() for task in callers.tasks)
    assert (callers.group.queued, callers.group._tenants) == (0, {})


async def test_what_is_left_over_by_a_batch_may_begin_at_once() -> None:
    gate = Gate()
    callers = stacking(gate)
    await callers.ask(*"abc")
    await callers.ask(*"def")
    await callers.ask(*"ghi")
    assert gate.keys == [["a", "b", "c"], ["d", "e", "f"]]
    await gate.let_go()
    assert gate.keys[2:] == [["g", "h", "i"]]


async def test_a_second_batch_takes_as_many_commands_as_are_in_flight() -> None:
    gate = Gate()
    callers = stacking(gate, least=1)
    await callers.ask(*"abc")
    await callers.ask("d")
    await callers.ask("e")
    assert gate.keys == [["a", "b", "c"]]
    await callers.ask("f")
    assert gate.keys == [["a", "b", "c"], ["d", "e", "f"]]


async def test_a_second_batch_takes_a_place_among_those_that_run_side_by_side() -> None:
    gate = Gate()
    callers = stacking(gate, least=1, batches_max=1)
    await callers.ask("a")
    await callers.ask("b")
    assert gate.keys == [["a"]]
    await gate.let_go()
    assert gate.keys == [["a"], ["b"]]


async def test_a_tenant_in_line_whose_requests_are_withdrawn_is_forgotten() -> None:
    gate = Gate()
    callers = Callers(GroupCommit(gate, batches_max=1, wait_s_max=0.05, stacked_commands_min=1))
    await callers.ask("a")
    late = await callers.ask("b")
    async with asyncio.timeout(5):
        assert await late == [Overloaded()]
    await gate.let_go()
    assert gate.keys == [["a"]]
    assert callers.group._tenants == {}
    await callers.ask("c")
    await gate.let_go()
    assert callers.answers[-1] == told("c")
