"""Rules 1 to 3: the key, what a command names, and the versions it expects. All of them come before any rule."""

from uuid import UUID

import attrs
import pytest

from tests.support.builders import (
    HOLD,
    NOWHERE,
    PAST,
    A,
    B,
    Stored,
    closed,
    decide,
    hold,
    outcome_of,
    past,
    snapshot,
    wallet,
)
from tests.support.time import NOON
from wallet_core import (
    Applied,
    CaptureHold,
    ChangeWallet,
    Command,
    Decided,
    Fence,
    Fenced,
    FenceKey,
    KeyFenced,
    KeyReused,
    NotFound,
    OpenWallet,
    Outcome,
    PlaceHold,
    Post,
    Posting,
    Rejected,
    Rejection,
    ReleaseHold,
    Replayed,
    Reverse,
    Thing,
    Transaction,
    VersionConflict,
    WalletExists,
    WalletStatus,
    credit,
    debit,
    transfer,
)
from wallet_core.model import Decision

FENCE = Fence(UUID(int=99), "k", NOON)

# One command of each kind that has an intent, all with the key "k".
COMMANDS: list[Command] = [
    OpenWallet("k", "EUR"),
    OpenWallet("k", "EUR", id=A),
    credit("k", A, 5),
    PlaceHold("k", A, 5),
    CaptureHold("k", HOLD),
    ReleaseHold("k", HOLD),
    Reverse("k", PAST),
    ChangeWallet("k", A, WalletStatus.FROZEN),
]
GIVEN: list[Stored] = [wallet(A, 99, held=5), hold(5), past(Posting(None, A, 4))]
each_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)


def decided_before(command: Command) -> Transaction:
    """What an earlier batch decided under the command's key, when all that it names was there."""
    given = snapshot() if isinstance(command, OpenWallet) else snapshot(*GIVEN)
    outcome = outcome_of(given, command)
    assert isinstance(outcome, Applied)
    return outcome.transaction


def nothing_is_written(decided: Decided) -> bool:
    changes = decided.changes
    return not (
        changes or changes.opened_wallets or changes.updated_wallets or changes.placed_holds or changes.updated_holds
    )


# -------------------------------------------------------------------- rule 1: the key


@each_command
def test_the_same_intent_is_replayed_whatever_has_become_of_what_it_names(command: Command) -> None:
    known = decided_before(command)
    for given in (
        snapshot(*GIVEN, decisions=[known]),
        snapshot(closed(A), decisions=[known]),
        snapshot(decisions=[known]),
    ):
        decided = decide(given, command)
        assert decided.outcomes == [Replayed(known)]
        assert nothing_is_written(decided)


@each_command
def test_another_intent_under_a_known_key_is_refused_before_anything_is_looked_up(command: Command) -> None:
    known = decided_before(credit("k", A, 1))
    for given in (snapshot(*GIVEN, decisions=[known]), snapshot(decisions=[known])):
        decided = decide(given, command)
        assert decided.outcomes == [KeyReused("k")]
        assert nothing_is_written(decided)


@each_command
def test_nothing_is_done_under_a_fenced_key(command: Command) -> None:
    for given in (snapshot(*GIVEN, decisions=[FENCE]), snapshot(decisions=[FENCE])):
        decided = decide(given, command)
        assert decided.outcomes == [KeyFenced("k")]
        assert nothing_is_written(decided)


def test_a_rejection_is_replayed_even_when_it_would_now_be_applied() -> None:
    refused = outcome_of(snapshot(wallet(A, 4)), debit("k", A, 5))
    assert isinstance(refused, Rejected)
    given = snapshot(wallet(A, 99), decisions=[refused.rejection])
    assert outcome_of(given, debit("k", A, 5)) == Replayed(refused.rejection)
    assert outcome_of(given, debit("k", A, 6)) == KeyReused("k")


def test_an_expected_version_is_no_part_of_the_intent() -> None:
    """A client whose success got lost reads the wallet again, and resends its key with the newer version."""
    known = decided_before(credit("k", A, 5, expected_version=7))
    given = snapshot(wallet(A, 14, version=8), decisions=[known])
    for version in (None, 7, 8, 9):
        assert outcome_of(given, credit("k", A, 5, expected_version=version)) == Replayed(known)


def test_a_key_decided_in_a_batch_is_known_to_the_rest_of_the_batch() -> None:
    first, second, third, fourth = decide(
        snapshot(wallet(A)), credit("k", A, 5), credit("k", A, 5), credit("k", A, 6), FenceKey("k")
    ).outcomes
    assert isinstance(first, Applied)
    assert [second, third, fourth] == [Replayed(first.transaction), KeyReused("k"), Replayed(first.transaction)]


# -------------------------------------------------------------------- fences


def test_a_fence_forbids_a_key_that_nothing_was_decided_under() -> None:
    decided = decide(snapshot(wallet(A)), FenceKey("k"), credit("k", A, 5), FenceKey("k"))
    fenced, late, again = decided.outcomes
    assert isinstance(fenced, Fenced)
    assert (fenced.fence.key, fenced.fence.created_at) == ("k", NOON)
    assert [late, again] == [KeyFenced("k"), fenced]
    assert decided.changes.decisions == [fenced.fence]
    assert not decided.changes.updated_wallets


def test_fencing_again_gives_the_same_fence_and_writes_nothing() -> None:
    decided = decide(snapshot(decisions=[FENCE]), FenceKey("k"))
    assert decided.outcomes == [Fenced(FENCE)]
    assert nothing_is_written(decided)


@pytest.mark.parametrize("balance", [5, 4], ids=["applied", "rejected"])
def test_a_fence_on_a_decided_key_tells_what_was_decided(balance: int) -> None:
    outcome = outcome_of(snapshot(wallet(A, balance)), debit("k", A, 5))
    assert isinstance(outcome, Applied | Rejected)
    known: Decision = outcome.transaction if isinstance(outcome, Applied) else outcome.rejection
    decided = decide(snapshot(decisions=[known]), FenceKey("k"))
    assert isinstance(known, Transaction | Rejection)
    assert decided.outcomes == [Replayed(known)]
    assert nothing_is_written(decided)


# -------------------------------------------------------------------- rule 2: what a command names

WALLET, HOLD_, TRANSACTION = Thing.WALLET, Thing.HOLD, Thing.TRANSACTION
MISSING: list[tuple[str, Command, Outcome]] = [
    ("credit", credit("k", NOWHERE, 5), NotFound(WALLET, NOWHERE)),
    ("debit", debit("k", NOWHERE, 5), NotFound(WALLET, NOWHERE)),
    ("source", transfer("k", NOWHERE, A, 5), NotFound(WALLET, NOWHERE)),
    ("destination", transfer("k", A, NOWHERE, 5), NotFound(WALLET, NOWHERE)),
    ("third posting", Post("k", [Posting(None, A, 5)] * 2 + [Posting(A, NOWHERE, 1)]), NotFound(WALLET, NOWHERE)),
    ("hold", PlaceHold("k", NOWHERE, 5), NotFound(WALLET, NOWHERE)),
    ("hold's destination", PlaceHold("k", A, 5, destination=NOWHERE), NotFound(WALLET, NOWHERE)),
    ("change", ChangeWallet("k", NOWHERE, WalletStatus.FROZEN), NotFound(WALLET, NOWHERE)),
    ("capture", CaptureHold("k", NOWHERE), NotFound(HOLD_, NOWHERE)),
    ("release", ReleaseHold("k", NOWHERE), NotFound(HOLD_, NOWHERE)),
    ("reverse", Reverse("k", NOWHERE), NotFound(TRANSACTION, NOWHERE)),
    ("open", OpenWallet("k", "EUR", id=A), WalletExists(A)),
]
each_missing = pytest.mark.parametrize(
    ("command", "outcome"), [row[1:] for row in MISSING], ids=[row[0] for row in MISSING]
)


@each_missing
def test_what_is_missing_is_named_and_the_key_stays_free(command: Command, outcome: Outcome) -> None:
    decided = decide(snapshot(wallet(A, 9)), command)
    assert decided.outcomes == [outcome]
    assert nothing_is_written(decided)


@each_missing
def test_what_is_missing_comes_before_any_rule(command: Command, outcome: Outcome) -> None:
    """A closed wallet is the rule of highest precedence."""
    assert outcome_of(snapshot(closed(A)), command) == outcome


def test_of_several_that_are_missing_the_first_one_is_named() -> None:
    command = Post("k", [Posting(A, NOWHERE, 1), Posting(B, A, 1)])
    assert outcome_of(snapshot(wallet(A, 9)), command) == NotFound(WALLET, NOWHERE)
    assert outcome_of(snapshot(wallet(NOWHERE)), command) == NotFound(WALLET, A)


def test_what_is_missing_comes_before_an_expected_version() -> None:
    command = transfer("k", A, NOWHERE, 5, expected_versions={A: 6})
    assert outcome_of(snapshot(wallet(A, 9)), command) == NotFound(WALLET, NOWHERE)
    hold_command = PlaceHold("k", A, 5, destination=NOWHERE, expected_version=6)
    assert outcome_of(snapshot(wallet(A, 9)), hold_command) == NotFound(WALLET, NOWHERE)


def test_a_wallet_opened_earlier_in_the_batch_is_there_for_the_rest_of_it() -> None:
    outcomes = decide(
        snapshot(),
        credit("k1", A, 5),
        OpenWallet("k2", "EUR", id=A),
        credit("k3", A, 5),
        OpenWallet("k4", "USD", id=A),
        credit("k1", A, 5),
    ).outcomes
    assert [type(outcome) for outcome in outcomes] == [NotFound, Applied, Applied, WalletExists, Applied]


# -------------------------------------------------------------------- rule 3: expected versions

GUARDED: list[Command] = [
    credit("k", A, 5, expected_version=6),
    debit("k", A, 5, expected_version=6),
    transfer("k", B, A, 5, expected_versions={B: 7, A: 6}),
    PlaceHold("k", A, 5, expected_version=6),
    ChangeWallet("k", A, WalletStatus.FROZEN, expected_version=6),
]


@pytest.mark.parametrize("command", GUARDED, ids=lambda command: type(command).__name__)
def test_another_version_than_expected_is_a_conflict_and_the_key_stays_free(command: Command) -> None:
    decided = decide(snapshot(wallet(A, 9), wallet(B, 9)), command)
    assert decided.outcomes == [VersionConflict(A, expected_version=6, current_version=7)]
    assert nothing_is_written(decided)
    assert isinstance(outcome_of(snapshot(wallet(A, 9, version=6), wallet(B, 9)), command), Applied)


def test_of_two_commands_that_expect_one_version_the_first_wins() -> None:
    first, second = decide(
        snapshot(wallet(A)), credit("k1", A, 5, expected_version=7), credit("k2", A, 5, expected_version=7)
    ).outcomes
    assert isinstance(first, Applied)
    assert second == VersionConflict(A, 7, 8)


def test_a_key_that_met_a_conflict_can_be_used_again_with_the_new_version() -> None:
    command = credit("k", A, 5, expected_version=6)
    conflict, applied = decide(snapshot(wallet(A)), command, attrs.evolve(command, expected_versions={A: 7})).outcomes
    assert isinstance(conflict, VersionConflict)
    assert isinstance(applied, Applied)


def test_a_guard_sees_the_version_before_the_expiry_of_holds_that_the_command_brings_about() -> None:
    """A reader saw version 7 with the hold shown as expired; its guard is that version."""
    given = snapshot(wallet(A, 9, held=5), hold(5, expires_at=NOON))
    outcome = outcome_of(given, credit("k", A, 1, expected_version=7))
    assert isinstance(outcome, Applied)
    assert [entry.version for entry in outcome.transaction.entries] == [9]
