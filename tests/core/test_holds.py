"""Holds: placed, captured in parts or whole, released, and expired by nothing but time."""

from uuid import UUID

import pytest

from tests.support.book import Book
from tests.support.builders import HOLD, NOWHERE, OTHER_HOLD, A, B, decide, hold, outcome_of, snapshot, wallet
from tests.support.ids import CountingIds
from tests.support.time import NOON, later
from wallet_core import (
    AMOUNT_MAX,
    Applied,
    CaptureHold,
    Command,
    Decided,
    Hold,
    HoldStatus,
    Kind,
    OpenWallet,
    PlaceHold,
    Reason,
    Rejected,
    ReleaseHold,
    Transaction,
    credit,
    debit,
)
from wallet_core.ports import Snapshot


def applied(given: Snapshot, command: Command) -> tuple[Transaction, Hold]:
    """The receipt, and the hold it leaves."""
    outcome = outcome_of(given, command)
    assert isinstance(outcome, Applied), outcome
    assert outcome.transaction.hold is not None
    return outcome.transaction, outcome.transaction.hold


def changes_of(transaction: Transaction) -> dict[UUID, tuple[int, int]]:
    """By how much the balance and the held amount of each wallet change."""
    return {entry.wallet_id: (entry.change, entry.held_change) for entry in transaction.entries}


def kinds(decided: Decided) -> list[Kind]:
    return [decision.kind for decision in decided.changes.decisions if isinstance(decision, Transaction)]


# -------------------------------------------------------------------- placing


def test_placing_a_hold_reserves_and_moves_nothing() -> None:
    given = snapshot(wallet(A, 9, held=2), wallet(B), now=later(1))
    decided = decide(given, PlaceHold("k", A, 5, destination=B, expires_in_s=60, metadata={"for": "taxi"}))
    (outcome,) = decided.outcomes
    assert isinstance(outcome, Applied)
    transaction = outcome.transaction
    placed = Hold(transaction.id, A, B, 5, 0, HoldStatus.ACTIVE, later(61), later(1))
    assert transaction.hold == placed
    assert decided.changes.placed_holds == [placed]
    assert not decided.changes.updated_holds
    assert (transaction.kind, transaction.moves, transaction.metadata) == (Kind.HOLD, (), {"for": "taxi"})
    assert changes_of(transaction) == {A: (0, 5)}
    ((_, after),) = decided.changes.updated_wallets
    assert (after.balance, after.held, after.available) == (9, 7, 2)


def test_a_hold_may_reserve_all_that_is_available_including_an_overdraft() -> None:
    applied(snapshot(wallet(A, 9, held=2, floor=-3)), PlaceHold("k", A, 10))
    outcome = outcome_of(snapshot(wallet(A, 9, held=2, floor=-3)), PlaceHold("k", A, 11))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.INSUFFICIENT_FUNDS


def test_a_hold_without_expiry_stays() -> None:
    _, placed = applied(snapshot(wallet(A, 9)), PlaceHold("k", A, 5))
    assert placed.expires_at is None
    assert not placed.is_due(later(1e9))


def test_a_hold_is_timed_from_its_entry_even_when_the_clock_has_stepped_back() -> None:
    given = snapshot(wallet(A, 9, updated_at=later(30)))
    transaction, placed = applied(given, PlaceHold("k", A, 5, expires_in_s=60))
    assert (transaction.created_at, placed.created_at, placed.expires_at) == (later(30), later(30), later(90))


# -------------------------------------------------------------------- capturing and releasing

CAPTURES: list[tuple[str, CaptureHold, int, int, HoldStatus]] = [
    # what is captured of a hold of 10 of which 3 were captured before; how much of `held` that frees; its state then
    ("all that remains", CaptureHold("k", HOLD), 7, 7, HoldStatus.CAPTURED),
    ("exactly what remains", CaptureHold("k", HOLD, 7), 7, 7, HoldStatus.CAPTURED),
    ("exactly what remains, though not final", CaptureHold("k", HOLD, 7, final=False), 7, 7, HoldStatus.CAPTURED),
    ("all that remains, though not final", CaptureHold("k", HOLD, final=False), 7, 7, HoldStatus.CAPTURED),
    ("a part, and the rest is released", CaptureHold("k", HOLD, 2), 2, 7, HoldStatus.CAPTURED),
    ("a part, and the rest stays held", CaptureHold("k", HOLD, 2, final=False), 2, 2, HoldStatus.ACTIVE),
]


@pytest.mark.parametrize(
    ("command", "amount", "freed", "status"), [row[1:] for row in CAPTURES], ids=[row[0] for row in CAPTURES]
)
@pytest.mark.parametrize("destination", [None, B], ids=["to the outside", "to a wallet"])
def test_a_capture_takes(
    command: CaptureHold, amount: int, freed: int, status: HoldStatus, destination: UUID | None
) -> None:
    given = snapshot(wallet(A, 20, held=9), hold(10, captured=3, destination=destination), wallet(B, 1))
    decided = decide(given, command)
    (outcome,) = decided.outcomes
    assert isinstance(outcome, Applied)
    (after,) = decided.changes.updated_holds
    assert outcome.transaction.hold == after
    assert (after.captured, after.status, after.remaining) == (3 + amount, status, 7 - freed)
    assert not decided.changes.placed_holds
    expected = {A: (-amount, -freed)} | ({} if destination is None else {B: (amount, 0)})
    assert changes_of(outcome.transaction) == expected
    assert [(move.source, move.destination, move.amount) for move in outcome.transaction.moves] == [
        (A, destination, amount)
    ]


def test_a_hold_is_captured_in_parts_until_nothing_remains() -> None:
    book = Book()
    book.apply(OpenWallet("k1", "EUR", id=A))
    book.apply(credit("k2", A, 10))
    hold_id = book.apply(PlaceHold("k3", A, 6)).id
    book.apply(CaptureHold("k4", hold_id, 2, final=False))
    assert (book.wallet(A).balance, book.wallet(A).held, book.hold(hold_id).remaining) == (8, 4, 4)
    assert book.reject(CaptureHold("k5", hold_id, 5)).reason is Reason.CAPTURE_EXCEEDS_HOLD
    book.apply(CaptureHold("k6", hold_id, 4, final=False))
    assert (book.wallet(A).balance, book.wallet(A).held, book.hold(hold_id).captured) == (4, 0, 6)
    assert book.reject(CaptureHold("k7", hold_id)).reason is Reason.HOLD_NOT_ACTIVE


def test_a_release_gives_back_what_is_still_reserved() -> None:
    given = snapshot(wallet(A, 20, held=9), hold(10, captured=3))
    transaction, after = applied(given, ReleaseHold("k", HOLD))
    assert (transaction.kind, transaction.moves) == (Kind.RELEASE, ())
    assert changes_of(transaction) == {A: (0, -7)}
    assert (after.status, after.captured, after.remaining) == (HoldStatus.RELEASED, 3, 0)


def test_a_hold_placed_and_captured_in_one_batch_is_written_once_as_it_ended() -> None:
    hold_id = CountingIds().upcoming(1)[0]
    decided = decide(snapshot(wallet(A, 9)), PlaceHold("k1", A, 5), CaptureHold("k2", hold_id, 2))
    assert kinds(decided) == [Kind.HOLD, Kind.CAPTURE]
    (placed,) = decided.changes.placed_holds
    assert (placed.id, placed.status, placed.captured) == (hold_id, HoldStatus.CAPTURED, 2)
    assert not decided.changes.updated_holds


# -------------------------------------------------------------------- expiring

DUE = hold(5, expires_at=later(60))


def test_an_expiry_is_a_transaction_of_its_own_before_the_first_that_touches_the_wallet() -> None:
    decided = decide(snapshot(wallet(A, 9, held=5), DUE, now=later(60)), credit("k1", A, 1), credit("k2", A, 1))
    expiry, first, second = decided.changes.decisions
    assert isinstance(expiry, Transaction)
    assert (expiry.kind, expiry.key, expiry.moves) == (Kind.EXPIRY, f"expiry {HOLD}", ())
    assert expiry.intent == f'{{"hold":"{HOLD}","kind":"expiry"}}'
    assert expiry.hold is not None
    assert (expiry.hold.status, expiry.hold.remaining) == (HoldStatus.EXPIRED, 0)
    assert changes_of(expiry) == {A: (0, -5)}
    assert [entry.version for entry in expiry.entries] == [8]
    assert decided.outcomes == [Applied(first), Applied(second)]  # type: ignore[arg-type] # compared, whatever they are
    assert decided.changes.updated_holds == [expiry.hold]
    ((_, after),) = decided.changes.updated_wallets
    assert (after.version, after.held) == (10, 0)


def test_what_an_expired_hold_reserved_is_available_at_once() -> None:
    given = snapshot(wallet(A, 9, held=5), DUE, now=later(60))
    assert isinstance(outcome_of(given, debit("k", A, 9)), Applied)
    short = outcome_of(given, debit("k", A, 10))
    assert isinstance(short, Rejected)
    assert short.rejection.details["available"] == 9


def test_what_an_expired_hold_reserved_counts_no_longer_towards_the_range() -> None:
    given = snapshot(
        wallet(A, AMOUNT_MAX, held=AMOUNT_MAX, floor=-AMOUNT_MAX),
        hold(AMOUNT_MAX, expires_at=later(60)),
        now=later(60),
    )
    assert isinstance(outcome_of(given, PlaceHold("k", A, AMOUNT_MAX)), Applied)


def test_a_rejected_command_writes_no_expiry() -> None:
    given = snapshot(wallet(A, 9, held=5), DUE, now=later(60))
    decided = decide(given, debit("k1", A, 10), CaptureHold("k2", HOLD), ReleaseHold("k3", HOLD))
    assert all(isinstance(outcome, Rejected) for outcome in decided.outcomes)
    assert len(decided.changes.decisions) == 3
    assert not decided.changes.updated_wallets
    assert not decided.changes.updated_holds


def test_a_command_that_fails_before_its_rules_writes_no_expiry() -> None:
    given = snapshot(wallet(A, 9, held=5), DUE, now=later(60))
    decided = decide(given, credit("k1", A, 1, expected_version=6), credit("k2", NOWHERE, 1))
    assert not decided.changes


def test_an_expiry_is_written_only_for_wallets_that_are_touched() -> None:
    """The destination of a hold is named by placing it, and not touched."""
    given = snapshot(wallet(A, 9, held=5), DUE, wallet(B, 9), now=later(60))
    assert kinds(decide(given, PlaceHold("k", B, 1, destination=A))) == [Kind.HOLD]
    assert kinds(decide(given, credit("k", B, 1))) == [Kind.POST]


def test_what_remains_of_a_partly_captured_hold_expires() -> None:
    given = snapshot(wallet(A, 9, held=2), hold(5, captured=3, expires_at=later(60)), now=later(60))
    expiry = decide(given, credit("k", A, 1)).changes.decisions[0]
    assert isinstance(expiry, Transaction)
    assert changes_of(expiry) == {A: (0, -2)}
    assert expiry.hold is not None
    assert expiry.hold.captured == 3


def test_every_due_hold_of_a_wallet_expires_in_the_order_of_time_however_it_was_loaded() -> None:
    """Which holds a batch names decides in which order they are loaded; the ledger must not depend on that."""
    holds = [
        hold(1, HOLD, expires_at=later(60)),
        hold(2, OTHER_HOLD, expires_at=later(50)),
        hold(3, B, expires_at=later(50)),
    ]
    for order in (holds, holds[::-1]):
        decided = decide(snapshot(wallet(A, 9, held=6), *order, now=later(60)), credit("k", A, 1))
        amounts = [
            decision.hold.amount
            for decision in decided.changes.decisions[:-1]
            if isinstance(decision, Transaction) and decision.hold
        ]
        assert amounts == [3, 2, 1]


def test_an_expiry_is_no_earlier_than_the_wallets_last_entry() -> None:
    given = snapshot(wallet(A, 9, held=5, updated_at=later(99)), DUE, now=later(60))
    assert [decision.created_at for decision in decide(given, credit("k", A, 1)).changes.decisions] == [later(99)] * 2


def test_a_hold_expires_once() -> None:
    book = Book()
    book.apply(OpenWallet("k1", "EUR", id=A))
    book.apply(credit("k2", A, 10))
    hold_id = book.apply(PlaceHold("k3", A, 6, expires_in_s=60)).id
    book.clock.advance(60)
    assert (book.wallet(A).version, book.wallet(A).held, book.hold(hold_id).status) == (3, 0, HoldStatus.EXPIRED)
    assert book.reject(CaptureHold("k4", hold_id)).details["status"] == "expired"
    assert book.wallet(A).version == 3
    book.apply(debit("k5", A, 10))
    assert (book.wallet(A).version, book.wallet(A).held, book.hold(hold_id).status) == (5, 0, HoldStatus.EXPIRED)
    book.apply(credit("k6", A, 1))
    assert [record.kind for record in book.entries(A)][3:] == [Kind.EXPIRY, Kind.POST, Kind.POST]
    assert book.reject(ReleaseHold("k7", hold_id)).details["status"] == "expired"


def test_an_expired_hold_stays_expired_when_the_clock_steps_back() -> None:
    book = Book()
    book.apply(OpenWallet("k1", "EUR", id=A))
    book.apply(credit("k2", A, 10))
    hold_id = book.apply(PlaceHold("k3", A, 6, expires_in_s=60)).id
    book.clock.advance(60)
    book.apply(credit("k4", A, 1))
    book.clock.now = NOON
    assert book.reject(CaptureHold("k5", hold_id)).details["status"] == "expired"
    times = [record.created_at for record in book.entries(A)]
    book.apply(credit("k6", A, 1))
    assert book.entries(A)[-1].created_at == times[-1] == later(60)
