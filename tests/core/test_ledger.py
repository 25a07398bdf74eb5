"""The application service: lost races are retried, lost connections too, and a lost answer is never guessed."""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import repeat
from uuid import UUID

import pytest

from adapters.memory import MemoryStore
from tests.support.book import TENANT, run
from tests.support.builders import HOLD, PAST, A, B, C
from tests.support.faults import Fault, FaultyStore
from tests.support.ids import CountingIds
from tests.support.time import Clock
from wallet_core import (
    Applied,
    BatchLedger,
    CaptureHold,
    ChangeWallet,
    Command,
    Contention,
    DatabaseUnavailable,
    Fenced,
    FenceKey,
    KeyFenced,
    NotFound,
    OpenWallet,
    Outcome,
    PlaceHold,
    Post,
    Posting,
    Rejected,
    ReleaseHold,
    Replayed,
    Reverse,
    Unknown,
    VersionConflict,
    WalletStatus,
    credit,
    debit,
)
from wallet_core.ledger import BACKOFF_S_MAX, CONNECTION_ATTEMPTS_MAX, RACES_MAX, names_of
from wallet_core.ports import CommitUnknown, Names, StaleSnapshot, Unavailable

STALE = [Fault("append", StaleSnapshot()), Fault("commit", StaleSnapshot())]
AWAY = [Fault(step, Unavailable()) for step in ("begin", "load", "append", "commit")]
LOST = Fault("commit", CommitUnknown())
LOST_BUT_KEPT = Fault("commit", CommitUnknown(), kept=True)


def at_step(fault: Fault) -> str:
    return f"at {fault.at}"


class World:
    """A wallet with 10 in it, and a ledger over a store that fails on cue."""

    def __init__(self, faults: Iterable[Fault | None] = ()) -> None:
        self.memory = MemoryStore(Clock())
        self.ids = CountingIds()
        run(
            BatchLedger(self.memory, self.ids).execute(TENANT, [OpenWallet("open", "EUR", id=A), credit("fund", A, 10)])
        )
        self.store = FaultyStore(self.memory, faults)
        self.ledger = BatchLedger(self.store, self.ids, jitter=lambda: 0.0)

    def do(self, *commands: Command) -> Sequence[Outcome]:
        return run(self.ledger.execute(TENANT, commands))

    def elsewhere(self, *commands: Command) -> Sequence[Outcome]:
        """What another process does meanwhile."""
        return run(BatchLedger(self.memory, self.ids).execute(TENANT, commands))

    @property
    def balance(self) -> int:
        wallet = run(self.memory.wallet(TENANT, A))
        return 0 if wallet is None else wallet.balance


def kinds(outcomes: Sequence[Outcome]) -> list[type[Outcome]]:
    return [type(outcome) for outcome in outcomes]


# -------------------------------------------------------------------- races


@pytest.mark.parametrize("stale", STALE, ids=at_step)
@pytest.mark.parametrize("losses", [1, 2, RACES_MAX - 1])
def test_a_lost_race_is_decided_anew_until_it_is_won(stale: Fault, losses: int) -> None:
    world = World([stale] * losses)
    assert kinds(world.do(credit("k", A, 5))) == [Applied]
    assert (world.store.begun, world.balance) == (losses + 1, 15)


@pytest.mark.parametrize("stale", STALE, ids=at_step)
def test_a_race_lost_too_often_is_contention_and_nothing_was_done(stale: Fault) -> None:
    world = World(repeat(stale))
    assert list(world.do(credit("k1", A, 5), debit("k2", A, 1))) == [Contention(), Contention()]
    assert (world.store.begun, world.balance) == (RACES_MAX, 10)


def test_what_is_decided_anew_is_decided_on_what_the_winner_left() -> None:
    world = World([STALE[0]])
    world.elsewhere(debit("other", A, 8))
    rejected, conflict = world.do(debit("k1", A, 5), debit("k2", A, 1, expected_version=2))
    assert isinstance(rejected, Rejected)
    assert conflict == VersionConflict(A, 2, 3)


def test_the_pauses_between_races_grow_to_a_bound_and_are_spread_by_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        # The memory store sleeps for no time at all, to let others run.
        if seconds > 0:
            pauses.append(seconds)

    world = World(repeat(STALE[0]))
    world.ledger.jitter = lambda: 0.5
    monkeypatch.setattr(asyncio, "sleep", sleep)
    world.do(FenceKey("k"))
    assert len(pauses) == RACES_MAX - 1
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1] == BACKOFF_S_MAX / 2


# -------------------------------------------------------------------- an absent database


@pytest.mark.parametrize("away", AWAY, ids=at_step)
def test_a_database_that_comes_back_in_time_is_not_noticed(away: Fault) -> None:
    world = World([away] * (CONNECTION_ATTEMPTS_MAX - 1))
    assert kinds(world.do(credit("k", A, 5))) == [Applied]
    assert world.balance == 15


@pytest.mark.parametrize("away", AWAY, ids=at_step)
def test_a_database_that_stays_away_is_unavailable_and_nothing_was_done(away: Fault) -> None:
    world = World(repeat(away))
    assert list(world.do(credit("k1", A, 5), debit("k2", A, 1))) == [DatabaseUnavailable()] * 2
    assert (world.store.begun, world.balance) == (CONNECTION_ATTEMPTS_MAX, 10)


# -------------------------------------------------------------------- a lost answer to COMMIT


def test_a_commit_whose_answer_was_lost_is_found_and_told_as_if_it_had_been_heard() -> None:
    """To its caller it is no replay: the caller asked once, and it happened once."""
    world = World([LOST_BUT_KEPT])
    applied, rejected, fenced = world.do(credit("k1", A, 5), debit("k2", A, 99), FenceKey("k3"))
    assert isinstance(applied, Applied)
    assert isinstance(rejected, Rejected)
    assert isinstance(fenced, Fenced)
    assert list(world.do(credit("k1", A, 5), debit("k2", A, 99), FenceKey("k3"))) == [
        Replayed(applied.transaction),
        Replayed(rejected.rejection),
        fenced,
    ]
    assert world.balance == 15


def test_of_one_key_twice_in_a_batch_only_the_first_is_told_as_new_when_the_answer_was_lost() -> None:
    world = World([LOST_BUT_KEPT])
    first, second, fence = world.do(credit("k", A, 5), credit("k", A, 5), FenceKey("k"))
    assert isinstance(first, Applied)
    assert [second, fence] == [Replayed(first.transaction)] * 2


def test_of_one_key_twice_in_a_batch_only_the_first_is_told_as_new_when_the_commit_is_done_again() -> None:
    world = World([LOST])
    outcomes = world.do(credit("k", A, 5), debit("none", A, 99), credit("k", A, 5), debit("none", A, 99))
    assert [type(outcome) for outcome in outcomes] == [Applied, Rejected, Replayed, Replayed]
    assert world.balance == 15


def test_a_commit_that_did_not_happen_is_done_again() -> None:
    world = World([LOST])
    assert kinds(world.do(credit("k", A, 5))) == [Applied]
    assert (world.store.committed, world.balance) == (1, 15)


def test_a_commit_that_happened_is_not_done_again_whatever_else_has_happened_since() -> None:
    world = World([LOST_BUT_KEPT, STALE[0], AWAY[1]])
    assert kinds(world.do(credit("k", A, 5, expected_version=2))) == [Applied]
    assert (world.store.committed, world.balance) == (1, 15)


def test_what_somebody_else_decided_under_the_key_is_a_replay_even_after_a_lost_answer() -> None:
    world = World()
    (original,) = world.elsewhere(credit("k", A, 5))
    assert isinstance(original, Applied)
    world.store.faults = iter([LOST])
    applied, replayed = world.do(credit("mine", A, 1), credit("k", A, 5))
    assert isinstance(applied, Applied)
    assert replayed == Replayed(original.transaction)


@pytest.mark.parametrize("lost", [LOST, LOST_BUT_KEPT], ids=["not kept", "kept"])
@pytest.mark.parametrize("then", [*AWAY, *STALE, LOST], ids=at_step)
def test_a_lost_answer_that_cannot_be_asked_for_again_is_unknown(lost: Fault, then: Fault) -> None:
    """Not "nothing was done": it may have been."""
    world = World([lost, *[then] * RACES_MAX])
    if lost.kept and then.at in ("append", "commit"):
        # The key is found on the next load already: there is nothing to append, and the answer is known.
        assert kinds(world.do(credit("k", A, 5))) == [Applied]
    else:
        assert list(world.do(credit("k", A, 5))) == [Unknown()]
    assert world.balance == (15 if lost.kept else 10)


# -------------------------------------------------------------------- the rest


@pytest.mark.parametrize("step", ["begin", "load", "append", "commit"])
def test_a_bug_is_not_taken_for_bad_luck(step: str) -> None:
    world = World([Fault(step, ZeroDivisionError())])  # type: ignore[arg-type] # one of the literals
    with pytest.raises(ZeroDivisionError):
        world.do(credit("k", A, 5))
    assert world.store.begun == 1


def test_a_batch_that_decides_nothing_new_commits_nothing() -> None:
    world = World()
    outcomes = world.do(credit("fund", A, 10), credit("k", B, 5), credit("k", A, 1, expected_version=1))
    assert kinds(outcomes) == [Replayed, NotFound, VersionConflict]
    assert (world.store.begun, world.store.committed) == (1, 0)


def test_no_commands_have_no_outcomes() -> None:
    assert list(World().do()) == []


def test_what_a_batch_names_is_loaded_once_each_in_order_of_appearance() -> None:
    commands: list[Command] = [
        Post("k1", [Posting(B, A, 1), Posting(None, B, 1), Posting(A, None, 1)]),
        PlaceHold("k2", C, 1, destination=B),
        OpenWallet("k3", "EUR"),
        OpenWallet("k3", "EUR", id=UUID(int=1)),
        ChangeWallet("k4", UUID(int=2), WalletStatus.FROZEN),
        CaptureHold("k5", HOLD),
        ReleaseHold("k6", HOLD),
        Reverse("k7", PAST),
        Reverse("k8", PAST),
        FenceKey("k1"),
    ]
    assert names_of(commands) == Names(
        ["k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"], [B, A, C, UUID(int=1), UUID(int=2)], [HOLD], [PAST]
    )


def test_a_fence_and_its_original_agree_after_a_lost_answer() -> None:
    world = World([LOST_BUT_KEPT])
    assert kinds(world.do(FenceKey("k"), credit("k", A, 5))) == [Fenced, KeyFenced]
    assert world.balance == 10
