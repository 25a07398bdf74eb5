"""Reversing moves back what a transaction moved, once, under the usual rules."""

from uuid import UUID

import pytest

from tests.support.book import Book
from tests.support.builders import HOLD, PAST, A, B, C, decide, hold, past, snapshot, wallet
from wallet_core import (
    Applied,
    CaptureHold,
    Command,
    HoldStatus,
    Kind,
    OpenWallet,
    PlaceHold,
    Post,
    Posting,
    Reason,
    Rejected,
    Replayed,
    Reverse,
    Transaction,
    credit,
    debit,
    transfer,
)


@pytest.fixture
def book() -> Book:
    """Wallets A, B and C, with 100 in A."""
    book = Book()
    book.do(*(OpenWallet(f"open-{id}", "EUR", id=id) for id in (A, B, C)), credit("fund", A, 100))
    return book


def balances(book: Book) -> list[int]:
    return [book.wallet(id).balance for id in (A, B, C)]


def moves(transaction: Transaction) -> list[tuple[UUID | None, UUID | None, int]]:
    return [(move.source, move.destination, move.amount) for move in transaction.moves]


@pytest.mark.parametrize(
    "command",
    [
        credit("k", A, 5),
        debit("k", A, 5),
        transfer("k", A, B, 5),
        Post("k", [Posting(A, B, 9), Posting(B, C, 4), Posting(C, None, 1), Posting(None, A, 2)]),
    ],
    ids=["credit", "debit", "transfer", "post"],
)
def test_a_reversal_moves_every_posting_back(book: Book, command: Command) -> None:
    before = balances(book)
    posted = book.apply(command)
    assert balances(book) != before
    reversal = book.apply(Reverse("r", posted.id, metadata={"why": "mistake"}))
    assert balances(book) == before
    assert (reversal.kind, reversal.reverses, reversal.metadata) == (Kind.REVERSAL, posted.id, {"why": "mistake"})
    assert moves(reversal) == [(destination, source, amount) for source, destination, amount in moves(posted)]
    assert {entry.wallet_id: entry.change for entry in reversal.entries} == {
        entry.wallet_id: -entry.change for entry in posted.entries
    }


def test_a_reversed_capture_gives_the_money_back_and_leaves_the_hold_as_it_is(book: Book) -> None:
    hold_id = book.apply(PlaceHold("k1", A, 10, destination=B)).id
    capture = book.apply(CaptureHold("k2", hold_id, 4))
    book.apply(Reverse("k3", capture.id))
    assert (balances(book), book.wallet(A).held) == ([100, 0, 0], 0)
    assert (book.hold(hold_id).status, book.hold(hold_id).captured) == (HoldStatus.CAPTURED, 4)


def test_a_transaction_is_reversed_once(book: Book) -> None:
    posted = book.apply(credit("k1", A, 5))
    reversal = book.apply(Reverse("k2", posted.id))
    assert book.reject(Reverse("k3", posted.id)).reason is Reason.ALREADY_REVERSED
    assert list(book.do(Reverse("k2", posted.id))) == [Replayed(reversal)]
    assert balances(book) == [100, 0, 0]


def test_a_transaction_is_reversed_once_within_a_batch() -> None:
    given = snapshot(wallet(A, 99), past(Posting(None, A, 5)))
    first, second = decide(given, Reverse("k1", PAST), Reverse("k2", PAST)).outcomes
    assert isinstance(first, Applied)
    assert isinstance(second, Rejected)
    assert second.reason is Reason.ALREADY_REVERSED


def test_a_rejected_reversal_does_not_count_as_one(book: Book) -> None:
    posted = book.apply(transfer("k1", A, B, 5))
    book.apply(debit("k2", B, 1))
    assert book.reject(Reverse("k3", posted.id)).reason is Reason.INSUFFICIENT_FUNDS
    book.apply(credit("k4", B, 1))
    book.apply(Reverse("k5", posted.id))
    assert balances(book) == [100, 0, 0]


def test_a_reversal_cannot_be_reversed(book: Book) -> None:
    reversal = book.apply(Reverse("k1", book.apply(credit("k2", A, 5)).id))
    assert book.reject(Reverse("k3", reversal.id)).reason is Reason.NOT_REVERSIBLE


def test_a_reversal_may_not_take_what_is_held() -> None:
    given = snapshot(wallet(A, 9, held=5), hold(5), past(Posting(None, A, 5)))
    (outcome,) = decide(given, Reverse("k", PAST)).outcomes
    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.INSUFFICIENT_FUNDS
    assert HOLD in given.holds


def test_what_the_same_batch_posted_can_be_reversed(book: Book) -> None:
    posted_id = book.ids.upcoming(1)[0]
    outcomes = book.do(credit("k1", A, 5), Reverse("k2", posted_id))
    assert [type(outcome) for outcome in outcomes] == [Applied, Applied]
    assert balances(book) == [100, 0, 0]
