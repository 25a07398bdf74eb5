"""Ledgers that race over one store, each as a process of the service has it: what clients are promised comes true."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

import pytest

from adapters.ids import UuidV7
from tests.support.builders import A, B, C
from tests.support.histories import prove, read_history
from tests.support.stores import World
from wallet_core import (
    Applied,
    BatchLedger,
    CaptureHold,
    Command,
    Contention,
    Fenced,
    FenceKey,
    GroupCommit,
    KeyFenced,
    KeyReused,
    OpenWallet,
    Outcome,
    PlaceHold,
    Reason,
    Rejected,
    ReleaseHold,
    Replayed,
    Reverse,
    Transaction,
    VersionConflict,
    credit,
    debit,
    transfer,
)
from wallet_core.ports import Ledger
from wallet_core.replays import CachedLedger

OF_LEDGERS = True
"""These tests are about what a ledger answers, which a cache in front of it must not change."""

PROCESSES: Final = 3
SENDS_MAX: Final = 20


class Service:
    """Several ledgers over one store, and clients who spread over them and behave as the contract asks."""

    def __init__(self, world: World, *, way: str) -> None:
        self._world = world
        # Each process has its own ids; all of them have the same clock.
        plain = [world.ledger(UuidV7()) for _ in range(PROCESSES)]
        self._ledgers: list[Ledger] = [*plain]
        if way == "grouped":
            self._ledgers = [GroupCommit(ledger) for ledger in plain]
        elif way == "stacked":
            self._ledgers = [GroupCommit(_stacking(ledger), stacked_commands_min=1) for ledger in plain]
        self._asked = 0

    async def ask(self, command: Command) -> Outcome:
        """Send one command; and again, with the same key, as often as others are faster."""
        self._asked += 1
        ledger = self._ledgers[self._asked % PROCESSES]
        for _ in range(SENDS_MAX):
            (outcome,) = await ledger.execute(self._world.tenant, [command])
            if not isinstance(outcome, Contention):
                return outcome
        raise AssertionError(f"{command} lost every race")

    async def at_once(self, commands: Sequence[Command]) -> list[Outcome]:
        """Send all of them at the same moment."""
        return list(await asyncio.gather(*(self.ask(command) for command in commands)))


def _stacking(ledger: Ledger) -> Ledger:
    inner = ledger.ledger if isinstance(ledger, CachedLedger) else ledger
    if isinstance(inner, BatchLedger):
        inner.stacks = True
    return ledger


@pytest.fixture(params=["grouped", "stacked", "each alone"])
def service(request: pytest.FixtureRequest, world: World) -> Service:
    return Service(world, way=request.param)


def count(outcomes: Sequence[Outcome]) -> dict[type[Outcome], int]:
    return dict(Counter(type(outcome) for outcome in outcomes))


def applied(outcomes: Sequence[Outcome]) -> list[Transaction]:
    return [outcome.transaction for outcome in outcomes if isinstance(outcome, Applied)]


async def balances(world: World) -> dict[str, int]:
    """By wallet, after the whole history has been proved."""
    history = await read_history(world.reader, world.tenant)
    prove(history)
    names = {A: "A", B: "B", C: "C"}
    return {names[id]: wallet.balance for id, wallet in history.wallets.items()}


async def test_one_key_sent_50_times_at_once_has_one_effect_and_one_answer(world: World, service: Service) -> None:
    await world.open(A, balance=0)
    outcomes = await service.at_once([credit("same", A, 7)] * 50)
    assert count(outcomes) == {Applied: 1, Replayed: 49}
    (first,) = applied(outcomes)
    assert {outcome.decision.id for outcome in outcomes if isinstance(outcome, Replayed)} == {first.id}
    assert all(outcome.decision == first for outcome in outcomes if isinstance(outcome, Replayed))
    assert await balances(world) == {"A": 7}


async def test_one_key_with_two_intents_at_once_is_decided_once(world: World, service: Service) -> None:
    await world.open(A, B, balance=0)
    outcomes = await service.at_once([credit("same", A, 1), credit("same", B, 1)] * 10)
    assert count(outcomes) == {Applied: 1, Replayed: 9, KeyReused: 10}
    assert sum((await balances(world)).values()) == 1


async def test_of_many_who_expect_one_version_one_is_applied_and_the_others_are_told(
    world: World, service: Service
) -> None:
    await world.open(A)
    outcomes = await service.at_once([debit(f"k{number}", A, 1, expected_version=2) for number in range(15)])
    assert count(outcomes) == {Applied: 1, VersionConflict: 14}
    assert {outcome for outcome in outcomes if isinstance(outcome, VersionConflict)} == {VersionConflict(A, 2, 3)}
    assert await balances(world) == {"A": 99}


async def test_unconditional_credits_on_one_wallet_are_all_applied(world: World, service: Service) -> None:
    await world.open(A, balance=0)
    outcomes = await service.at_once([credit(f"k{number}", A, number) for number in range(1, 31)])
    assert count(outcomes) == {Applied: 30}
    versions = [entry.version for transaction in applied(outcomes) for entry in transaction.entries]
    assert sorted(versions) == list(range(2, 32))
    assert await balances(world) == {"A": 465}


async def test_racing_debits_stop_exactly_at_the_floor(world: World, service: Service) -> None:
    await world.open(A, balance=10)
    outcomes = await service.at_once([debit(f"k{number}", A, 3) for number in range(10)])
    assert count(outcomes) == {Applied: 3, Rejected: 7}
    assert {outcome.reason for outcome in outcomes if isinstance(outcome, Rejected)} == {Reason.INSUFFICIENT_FUNDS}
    assert await balances(world) == {"A": 1}


async def test_crossing_transfers_are_all_applied_and_nothing_is_lost(world: World, service: Service) -> None:
    await world.open(A, B, C)
    pairs = [(A, B), (B, A), (B, C), (C, B), (C, A), (A, C)] * 4
    outcomes = await service.at_once(
        [transfer(f"k{number}", source, destination, 1) for number, (source, destination) in enumerate(pairs)]
    )
    assert count(outcomes) == {Applied: 24}
    assert await balances(world) == {"A": 100, "B": 100, "C": 100}


@pytest.mark.parametrize("number", range(5))
async def test_a_fence_and_its_original_agree_on_which_of_them_won(world: World, service: Service, number: int) -> None:
    await world.open(A, balance=0)
    commands: list[Command] = [credit("same", A, 1), FenceKey("same")]
    outcomes = await service.at_once((commands if number % 2 else commands[::-1]) * 4)
    originals = outcomes[(number + 1) % 2 :: 2]
    fences = outcomes[number % 2 :: 2]
    later = [await service.ask(command) for command in commands]
    if later[0] == KeyFenced("same"):
        assert count(originals) == {KeyFenced: 4}
        assert count(fences) == {Fenced: 4}
        assert {outcome.fence for outcome in fences if isinstance(outcome, Fenced)} == {
            outcome.fence for outcome in later if isinstance(outcome, Fenced)
        }
        assert await balances(world) == {"A": 0}
    else:
        assert count(originals) == {Applied: 1, Replayed: 3}
        assert count([*fences, *later]) == {Replayed: 6}
        assert len({outcome.decision.id for outcome in [*fences, *later] if isinstance(outcome, Replayed)}) == 1
        assert await balances(world) == {"A": 1}


async def test_a_wallet_opened_many_times_at_once_is_opened_once(world: World, service: Service) -> None:
    outcomes = await service.at_once([OpenWallet(f"k{number}", "EUR", id=A) for number in range(10)])
    assert len(applied(outcomes)) == 1
    assert await balances(world) == {"A": 0}


async def test_a_hold_is_captured_or_released_once(world: World, service: Service) -> None:
    await world.open(A, B)
    held = await world.apply(PlaceHold("hold", A, 10, destination=B))
    captures: list[Command] = [CaptureHold(f"capture-{number}", held.id) for number in range(5)]
    releases: list[Command] = [ReleaseHold(f"release-{number}", held.id) for number in range(5)]
    outcomes = await service.at_once([command for pair in zip(captures, releases, strict=True) for command in pair])
    assert count(outcomes) == {Applied: 1, Rejected: 9}
    assert {outcome.reason for outcome in outcomes if isinstance(outcome, Rejected)} == {Reason.HOLD_NOT_ACTIVE}
    assert await balances(world) in ({"A": 90, "B": 110}, {"A": 100, "B": 100})


async def test_a_hold_captured_in_parts_at_once_gives_no_more_than_it_holds(world: World, service: Service) -> None:
    await world.open(A)
    held = await world.apply(PlaceHold("hold", A, 10))
    outcomes = await service.at_once([CaptureHold(f"k{number}", held.id, 3, final=False) for number in range(8)])
    assert count(outcomes) == {Applied: 3, Rejected: 5}
    assert await balances(world) == {"A": 91}


async def test_a_transaction_is_reversed_once(world: World, service: Service) -> None:
    await world.open(A)
    spent = await world.apply(debit("spend", A, 10))
    outcomes = await service.at_once([Reverse(f"k{number}", spent.id) for number in range(8)])
    assert count(outcomes) == {Applied: 1, Rejected: 7}
    assert await balances(world) == {"A": 100}


async def test_a_hold_expires_once_whoever_comes_first(world: World, service: Service) -> None:
    await world.open(A)
    held = await world.an_hour_ago.apply(PlaceHold("hold", A, 100, expires_in_s=60))
    outcomes = await service.at_once([debit(f"k{number}", A, 10) for number in range(12)])
    assert count(outcomes) == {Applied: 10, Rejected: 2}
    assert await balances(world) == {"A": 0}
    wallet = await world.reader.wallet(world.tenant, A)
    assert wallet is not None
    assert wallet.version == 3 + 1 + 10
    assert await world.reader.decision(world.tenant, f"expiry {held.id}") is not None


async def test_tenants_with_the_same_keys_and_wallets_do_not_disturb_one_another(world: World) -> None:
    group = GroupCommit(world.ledger())
    commands: list[Command] = [OpenWallet("open", "EUR", id=A), *(credit(f"k{number}", A, 1) for number in range(20))]

    async def one(tenant_number: int) -> None:
        tenant = (world.tenant, world.other_tenant)[tenant_number]
        for command in commands:
            (outcome,) = await group.execute(tenant, [command])
            assert isinstance(outcome, Applied)

    await asyncio.gather(one(0), one(1))
    for tenant in (world.tenant, world.other_tenant):
        history = await read_history(world.reader, tenant)
        prove(history)
        assert history.wallets[A].balance == 20
