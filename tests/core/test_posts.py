"""What posting does to balances: each wallet's net change, once, within its limits."""

import pytest

from tests.support.builders import USD, A, B, C, decide, outcome_of, snapshot, wallet
from tests.support.time import NOON, later
from wallet_core import (
    AMOUNT_MAX,
    Applied,
    Command,
    Entry,
    Kind,
    Move,
    Outcome,
    Post,
    Posting,
    Reason,
    Rejected,
    Transaction,
    Wallet,
    credit,
    debit,
    transfer,
)
from wallet_core.ports import Snapshot


def applied(given: Snapshot, command: Command) -> tuple[Transaction, dict[object, Wallet]]:
    """The receipt, and the wallets as they are to be written."""
    decided = decide(given, command)
    (outcome,) = decided.outcomes
    assert isinstance(outcome, Applied), outcome
    assert decided.changes.decisions == [outcome.transaction]
    return outcome.transaction, {wallet.id: wallet for _, wallet in decided.changes.updated_wallets}


def reason(outcome: Outcome) -> Reason | None:
    """Why it was rejected; None if it was applied."""
    assert isinstance(outcome, Applied | Rejected), outcome
    return outcome.reason if isinstance(outcome, Rejected) else None


def numbers(entry: Entry) -> tuple[object, ...]:
    return entry.wallet_id, entry.version, entry.change, entry.held_change, entry.balance_after, entry.held_after


def test_a_transfer_writes_one_entry_for_each_end() -> None:
    given = snapshot(wallet(A, 9, held=2, version=3), wallet(B, 1, version=8), now=later(5))
    transaction, wallets = applied(given, transfer("k", A, B, 5, metadata={"note": "rent"}))
    assert (transaction.kind, transaction.key, transaction.metadata) == (Kind.POST, "k", {"note": "rent"})
    assert transaction.moves == (Move(A, B, 5, wallets[A].currency),)
    assert (transaction.hold, transaction.reverses, transaction.created_at) == (None, None, later(5))
    assert [numbers(entry) for entry in transaction.entries] == [(A, 4, -5, 0, 4, 2), (B, 9, 5, 0, 6, 0)]
    assert (wallets[A].balance, wallets[A].held, wallets[A].version) == (4, 2, 4)
    assert (wallets[B].balance, wallets[B].held, wallets[B].version) == (6, 0, 9)
    assert [wallets[id].head for id in (A, B)] == [entry.hash for entry in transaction.entries]
    assert wallets[A].updated_at == wallets[B].updated_at == later(5)
    assert wallets[A].created_at == NOON


def test_several_postings_on_one_wallet_come_to_one_entry_with_their_net_change() -> None:
    given = snapshot(wallet(A, 5), wallet(B), wallet(C))
    postings = [Posting(A, B, 4), Posting(A, C, 3), Posting(None, A, 2), Posting(C, A, 1), Posting(C, None, 2)]
    transaction, wallets = applied(given, Post("k", postings))
    assert [numbers(entry) for entry in transaction.entries] == [
        (A, 8, -4, 0, 1, 0),
        (B, 8, 4, 0, 4, 0),
        (C, 8, 0, 0, 0, 0),
    ]
    assert [(move.source, move.destination, move.amount) for move in transaction.moves] == [
        (posting.source, posting.destination, posting.amount) for posting in postings
    ]
    assert {wallet.version for wallet in wallets.values()} == {8}


def test_funds_are_needed_for_the_net_change_only() -> None:
    """Money may pass through a wallet that has none."""
    passing_through = Post("k", [Posting(A, B, 5), Posting(None, A, 5)])
    assert reason(outcome_of(snapshot(wallet(A), wallet(B)), passing_through)) is None
    one_short = Post("k", [Posting(A, B, 6), Posting(None, A, 5)])
    assert reason(outcome_of(snapshot(wallet(A), wallet(B)), one_short)) is Reason.INSUFFICIENT_FUNDS


def test_a_posting_may_mix_currencies_only_across_postings() -> None:
    usd = wallet(B, 9, currency=USD)
    exchange = Post("k", [Posting(A, None, 5), Posting(None, B, 6)])
    transaction, _ = applied(snapshot(wallet(A, 9), usd), exchange)
    assert [move.currency for move in transaction.moves] == ["EUR", "USD"]


def test_all_postings_are_applied_or_none() -> None:
    decided = decide(snapshot(wallet(A, 9), wallet(B), wallet(C, 1)), Post("k", [Posting(A, B, 5), Posting(C, B, 2)]))
    assert reason(decided.outcomes[0]) is Reason.INSUFFICIENT_FUNDS
    assert not decided.changes.updated_wallets


LIMITS: list[tuple[str, Wallet, Command, Reason | None]] = [
    ("down to zero", wallet(A, 5), debit("k", A, 5), None),
    ("below zero", wallet(A, 5), debit("k", A, 6), Reason.INSUFFICIENT_FUNDS),
    ("down to the floor", wallet(A, 5, floor=-3), debit("k", A, 8), None),
    ("below the floor", wallet(A, 5, floor=-3), debit("k", A, 9), Reason.INSUFFICIENT_FUNDS),
    ("down to what is held", wallet(A, 5, held=2), debit("k", A, 3), None),
    ("into what is held", wallet(A, 5, held=2), debit("k", A, 4), Reason.INSUFFICIENT_FUNDS),
    ("deeper, held on overdraft", wallet(A, -1, held=2, floor=-3), debit("k", A, 1), Reason.INSUFFICIENT_FUNDS),
    ("up from the overdraft", wallet(A, -3, floor=-3), credit("k", A, 1), None),
    ("up to the ceiling", wallet(A, 5, ceiling=7), credit("k", A, 2), None),
    ("above the ceiling", wallet(A, 5, ceiling=7), credit("k", A, 3), Reason.CEILING_EXCEEDED),
    ("into a wallet that takes nothing", wallet(A, ceiling=0), credit("k", A, 1), Reason.CEILING_EXCEEDED),
    ("up to the largest balance", wallet(A, AMOUNT_MAX - 1), credit("k", A, 1), None),
    ("the largest amount at once", wallet(A), credit("k", A, AMOUNT_MAX), None),
    ("above the largest balance", wallet(A, AMOUNT_MAX), credit("k", A, 1), Reason.AMOUNT_OUT_OF_RANGE),
    (
        "above the largest ceiling",
        wallet(A, 1, ceiling=AMOUNT_MAX),
        credit("k", A, AMOUNT_MAX),
        Reason.CEILING_EXCEEDED,
    ),
    ("down to the smallest balance", wallet(A, 0, floor=-AMOUNT_MAX), debit("k", A, AMOUNT_MAX), None),
    (
        "below the smallest balance",
        wallet(A, -1, floor=-AMOUNT_MAX),
        debit("k", A, AMOUNT_MAX),
        Reason.INSUFFICIENT_FUNDS,
    ),
    (
        "the largest net change",
        wallet(A, -AMOUNT_MAX, floor=-AMOUNT_MAX),
        Post("k", [Posting(None, A, AMOUNT_MAX), Posting(None, A, 1), Posting(A, None, 1)]),
        None,
    ),
    (
        "more than the largest net change, downwards",
        wallet(A, AMOUNT_MAX, floor=-AMOUNT_MAX),
        Post("k", [Posting(A, None, AMOUNT_MAX), Posting(A, None, 1)]),
        Reason.AMOUNT_OUT_OF_RANGE,
    ),
]


@pytest.mark.parametrize(("given", "command", "expected"), [row[1:] for row in LIMITS], ids=[row[0] for row in LIMITS])
def test_a_limit_may_be_reached_and_not_crossed(given: Wallet, command: Command, expected: Reason | None) -> None:
    assert reason(outcome_of(snapshot(given), command)) is expected


def test_each_command_of_a_batch_sees_what_those_before_it_left() -> None:
    outcomes = decide(
        snapshot(wallet(A, 5)), debit("k1", A, 3), debit("k2", A, 3), credit("k3", A, 1), debit("k4", A, 3)
    ).outcomes
    assert [reason(outcome) for outcome in outcomes] == [None, Reason.INSUFFICIENT_FUNDS, None, None]


def test_a_wallet_is_written_once_for_a_batch_under_the_version_that_was_loaded() -> None:
    decided = decide(
        snapshot(wallet(A, version=4), wallet(B)), credit("k1", A, 5), debit("k2", A, 1), debit("k3", B, 1)
    )
    ((loaded, written),) = decided.changes.updated_wallets
    assert (loaded, written.version, written.balance) == (4, 6, 4)


def test_time_never_runs_backwards_in_a_wallet() -> None:
    """The clock may step back; an entry's time is at least that of the last entry of every wallet it concerns."""
    given = snapshot(wallet(A, 9, updated_at=later(3)), wallet(B, updated_at=later(8)), wallet(C), now=NOON)
    decided = decide(given, transfer("k1", A, B, 1), credit("k2", A, 1), credit("k3", C, 1), debit("k4", C, 99))
    times = [decision.created_at for decision in decided.changes.decisions]
    assert times == [later(8), later(8), NOON, NOON]
