"""What the ports promise of a unit of work: all or nothing, under guards, and nothing seen that is not committed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, timedelta

import attrs
import pytest

from tests.support.builders import A, B, C
from tests.support.ids import id_number
from tests.support.stores import World
from wallet_core import (
    Applied,
    Command,
    Decided,
    OpenWallet,
    Outcome,
    PlaceHold,
    Post,
    Reverse,
    Transaction,
    credit,
    debit,
    decide_batch,
)
from wallet_core.ledger import names_of
from wallet_core.ports import Names, StaleSnapshot, UnitOfWork

MANY = [id_number(number) for number in range(100, 130)]


@asynccontextmanager
async def decided(world: World, *commands: Command) -> AsyncIterator[tuple[UnitOfWork, Decided]]:
    """A unit of work that has loaded and decided the commands, and has written nothing yet."""
    async with world.store.begin(world.tenant) as unit:
        snapshot = await unit.load(names_of(commands))
        yield unit, decide_batch(snapshot, commands, world.ids(snapshot.now))


async def keep(unit: UnitOfWork, decision: Decided) -> None:
    await unit.append(decision.changes)
    await unit.commit()


async def fund(world: World) -> Transaction:
    """Wallets A and B, with 10 in each; returns the transaction that funded A."""
    await world.do(OpenWallet("open-A", "EUR", id=A), OpenWallet("open-B", "EUR", id=B), credit("fund-B", B, 10))
    return await world.apply(credit("fund-A", A, 10))


def transactions(outcomes: Sequence[Outcome]) -> list[Transaction]:
    return [outcome.transaction for outcome in outcomes if isinstance(outcome, Applied)]


# -------------------------------------------------------------------- all or nothing


async def test_what_was_committed_is_there_for_the_next_unit_of_work(world: World) -> None:
    async with decided(world, OpenWallet("k1", "EUR", id=A), credit("k2", A, 5)) as (unit, decision):
        await keep(unit, decision)
    (opened,) = decision.changes.opened_wallets
    snapshot = await world.load(keys=["k1", "k2"], wallets=[A])
    assert snapshot.wallets == {A: opened}
    assert list(snapshot.decisions.values()) == transactions(decision.outcomes)


@pytest.mark.parametrize("pieces", [1, 2, 100])
async def test_what_was_put_together_before_is_written_once(world: World, pieces: int) -> None:
    await fund(world)
    commands = (OpenWallet("open-C", "EUR", id=C), credit("k1", A, 5), PlaceHold("k2", B, 5))
    async with decided(world, *commands) as (unit, decision):
        for _ in range(pieces):
            if not unit.prepare(decision.changes):
                break
        assert (await world.load(keys=["k1"], wallets=[A])).wallets[A].balance == 10
        await keep(unit, decision)
    snapshot = await world.load(keys=["open-C", "k1", "k2"], wallets=[A, B, C])
    assert snapshot.decisions == {made.key: made for made in transactions(decision.outcomes)}
    assert {id: (wallet.balance, wallet.held) for id, wallet in snapshot.wallets.items()} == {
        A: (15, 0),
        B: (10, 5),
        C: (0, 0),
    }


async def test_what_is_not_committed_is_seen_by_nobody(world: World) -> None:
    await fund(world)
    async with decided(world, credit("k", A, 5), OpenWallet("open-C", "EUR", id=C)) as (unit, decision):
        await unit.append(decision.changes)
        snapshot = await world.load(keys=["k", "open-C"], wallets=[A, C])
        assert snapshot.decisions == {}
        assert {id: wallet.balance for id, wallet in snapshot.wallets.items()} == {A: 10}
        assert await world.reader.decision(world.tenant, "k") is None
        assert await world.reader.wallet(world.tenant, C) is None
        assert len(await world.reader.entries(world.tenant, A, before=None, limit=10)) == 2
        await unit.commit()
    assert (await world.load(wallets=[A])).wallets[A].balance == 15


async def test_leaving_without_commit_keeps_nothing(world: World) -> None:
    await fund(world)
    async with decided(world, credit("k", A, 5), OpenWallet("open-C", "EUR", id=C)) as (unit, decision):
        await unit.append(decision.changes)
    await nothing_was_kept(world, "k", "open-C")


async def test_leaving_by_an_exception_keeps_nothing(world: World) -> None:
    await fund(world)

    async def append_and_fail() -> None:
        async with decided(world, credit("k", A, 5)) as (unit, decision):
            await unit.append(decision.changes)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await append_and_fail()
    await nothing_was_kept(world, "k")


async def test_leaving_by_cancellation_keeps_nothing(world: World) -> None:
    await fund(world)
    appended = asyncio.Event()

    async def append_and_wait() -> None:
        async with decided(world, credit("k", A, 5)) as (unit, decision):
            await unit.append(decision.changes)
            appended.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(append_and_wait())
    await appended.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await nothing_was_kept(world, "k")


async def nothing_was_kept(world: World, *keys: str) -> None:
    """Of these keys, nor in wallets A and B, which are as ``fund`` left them; and everything can still be written."""
    snapshot = await world.load(keys=keys, wallets=[A, B, C, *MANY])
    assert snapshot.decisions == {}
    assert {id: (wallet.balance, wallet.version) for id, wallet in snapshot.wallets.items()} == {A: (10, 2), B: (10, 2)}
    for id in (A, B):
        assert len(await world.reader.entries(world.tenant, id, before=None, limit=10)) == 2
    await world.apply(debit("afterwards", A, 10))


# -------------------------------------------------------------------- guards


@attrs.frozen
class Guard:
    """Of two commands that were decided on the same snapshot only one can be kept: ``winner`` was faster."""

    name: str
    loser: Command
    winner: Command


GUARDS = [
    Guard("a key is new", credit("same", A, 5), credit("same", B, 1)),
    Guard("a key is new, also to a rejection", debit("same", A, 99), credit("same", B, 1)),
    Guard("a wallet has the version that was loaded", credit("loser", A, 5), credit("winner", A, 1)),
    Guard("an opened wallet is new", OpenWallet("loser", "EUR", id=C), OpenWallet("winner", "USD", id=C)),
]
by_guard = pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)


async def assert_stale(world: World, guard: Guard, *, before: Sequence[Command] = ()) -> None:
    keys = [guard.winner.key, *(command.key for command in (*before, guard.loser))]
    async with decided(world, *before, guard.loser) as (unit, decision):
        await world.apply(guard.winner)
        settled = await world.load(keys=keys, wallets=[A, B, C, *MANY])
        with pytest.raises(StaleSnapshot):
            await keep(unit, decision)
    assert list(settled.decisions) == [guard.winner.key]
    assert attrs.evolve(await world.load(keys=keys, wallets=[A, B, C, *MANY]), now=settled.now) == settled


@by_guard
async def test_nothing_is_kept_unless(world: World, guard: Guard) -> None:
    await fund(world)
    await assert_stale(world, guard)


@by_guard
async def test_nothing_of_a_whole_batch_is_kept_unless_for_its_last_command(world: World, guard: Guard) -> None:
    await fund(world)
    opened = [OpenWallet(f"many-{id}", "EUR", id=id) for id in MANY]
    credited = [credit(f"credit-{id}", id, 5) for id in MANY]
    await assert_stale(world, guard, before=[*opened, *credited])


@pytest.mark.parametrize("others", [False, True], ids=["alone", "last of a batch"])
async def test_a_transaction_is_not_reversed_twice(world: World, *, others: bool) -> None:
    """The second reversal is of a snapshot of its own making: no guard but that of the reversal can refuse it."""
    funded = await fund(world)
    before = [OpenWallet(f"many-{id}", "EUR", id=id) for id in MANY] if others else []
    async with decided(world, *before, Reverse("loser", funded.id)) as (unit, decision):
        await world.apply(Reverse("winner", funded.id))
        current = (await world.load(wallets=[A])).wallets[A]
        guarded = [(current.version, attrs.evolve(current, version=current.version + 1))]
        (loser,) = [transaction for transaction in transactions(decision.outcomes) if transaction.key == "loser"]
        moved_on = attrs.evolve(
            loser, entries=tuple(attrs.evolve(entry, version=current.version + 1) for entry in loser.entries)
        )
        decisions = [moved_on if decided is loser else decided for decided in decision.changes.decisions]
        changes = attrs.evolve(decision.changes, decisions=decisions, updated_wallets=guarded)
        with pytest.raises(StaleSnapshot):
            await keep(unit, attrs.evolve(decision, changes=changes))
    snapshot = await world.load(keys=["loser", "winner"], wallets=[A, *MANY])
    assert list(snapshot.decisions) == ["winner"]
    assert snapshot.wallets == {A: current}


async def test_after_a_guard_failed_the_same_commands_can_be_decided_anew(world: World) -> None:
    await fund(world)
    async with decided(world, credit("loser", A, 5)) as (unit, decision):
        await world.apply(credit("winner", A, 1))
        with pytest.raises(StaleSnapshot):
            await keep(unit, decision)
    async with decided(world, credit("loser", A, 5)) as (unit, decision):
        await keep(unit, decision)
    assert (await world.load(wallets=[A])).wallets[A].balance == 16


# -------------------------------------------------------------------- races


async def race(world: World, *commands: Command) -> list[Command]:
    """Have each command loaded and decided, and then all of them appended and committed at once: who won."""
    all_decided = asyncio.Barrier(len(commands))

    async def attempt(command: Command) -> bool:
        async with decided(world, command) as (unit, decision):
            await all_decided.wait()
            try:
                await keep(unit, decision)
            except StaleSnapshot:
                return False
            return True

    won = await asyncio.gather(*(attempt(command) for command in commands))
    return [command for command, wins in zip(commands, won, strict=True) if wins]


RACES: list[tuple[str, Sequence[Command]]] = [
    ("one key", [credit("same", A, number) for number in range(1, 6)]),
    ("one key on different wallets", [credit("same", A, 1), credit("same", B, 2)]),
    ("one wallet", [credit(f"key-{number}", A, 1) for number in range(5)]),
    ("one new wallet", [OpenWallet(f"key-{number}", "EUR", id=C) for number in range(5)]),
]


@pytest.mark.parametrize("commands", [row[1] for row in RACES], ids=[row[0] for row in RACES])
async def test_of_units_that_race_for_the_same_exactly_one_commits(world: World, commands: Sequence[Command]) -> None:
    await fund(world)
    (winner,) = await race(world, *commands)
    keys = list(dict.fromkeys(command.key for command in commands))
    snapshot = await world.load(keys=keys, wallets=[A, B, C])
    (decision,) = snapshot.decisions.values()
    assert isinstance(decision, Transaction)
    assert isinstance(winner, Post | OpenWallet)
    assert (decision.key, decision.intent) == (winner.key, winner.intent())
    assert sum(wallet.version for wallet in snapshot.wallets.values()) == 5


async def test_of_two_reversals_of_one_transaction_exactly_one_commits(world: World) -> None:
    funded = await fund(world)
    (_,) = await race(world, Reverse("one", funded.id), Reverse("two", funded.id))
    assert (await world.load(wallets=[A])).wallets[A].balance == 0


async def test_commands_that_share_nothing_are_all_applied_side_by_side(world: World) -> None:
    await fund(world)
    commands: list[Command] = [credit("one", A, 1), credit("two", B, 1), OpenWallet("three", "EUR", id=C)]
    outcomes = await asyncio.gather(*(world.do(command) for command in commands))
    assert [type(outcome) for (outcome,) in outcomes] == [Applied] * 3


async def test_one_key_and_one_wallet_id_are_two_tenants_without_a_race(world: World) -> None:
    """Neither sees the other, or waits for it."""
    other = attrs.evolve(world, tenant=world.other_tenant)
    command = OpenWallet("same", "EUR", id=A)
    async with decided(world, command) as (unit, decision), decided(other, command) as (other_unit, other_decision):
        await unit.append(decision.changes)
        await other_unit.append(other_decision.changes)
        await unit.commit()
        # A serializable database may give up a transaction that conflicts with none, and has it done again.
        with suppress(StaleSnapshot):
            await other_unit.commit()
    await other.do(command)
    assert (await world.load(keys=["same"])).decisions["same"] == transactions(decision.outcomes)[0]
    (theirs,) = (await other.load(keys=["same"])).decisions.values()
    assert theirs.id != transactions(decision.outcomes)[0].id


# -------------------------------------------------------------------- time


async def test_the_time_of_a_snapshot_is_in_utc_and_no_later_unit_of_work_has_an_earlier_one(world: World) -> None:
    times = [(await world.load()).now for _ in range(5)]
    assert times == sorted(times)
    assert times[-1] - times[0] < timedelta(minutes=1)
    assert {time.tzinfo for time in times} <= {UTC}


async def test_a_snapshot_of_nothing_has_nothing_but_the_time(world: World) -> None:
    async with world.store.begin(world.tenant) as unit:
        snapshot = await unit.load(Names([], [], [], []))
    assert not any((snapshot.wallets, snapshot.holds, snapshot.transactions, snapshot.reversed, snapshot.decisions))
