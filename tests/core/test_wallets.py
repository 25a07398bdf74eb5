"""Opening, changing, freezing and closing a wallet: each is a transaction, with an entry that moves nothing."""

import pytest

from tests.support.book import Book
from tests.support.builders import HOLD, A, B, closed, decide, frozen, hold, outcome_of, snapshot, wallet
from tests.support.time import NOON, later
from wallet_core import (
    Applied,
    ChangeWallet,
    Command,
    Kind,
    NewCeiling,
    OpenWallet,
    PlaceHold,
    Reason,
    Rejected,
    ReleaseHold,
    Wallet,
    WalletStatus,
    credit,
    debit,
    transfer,
)
from wallet_core.model import CHAIN_START


def test_a_new_wallet_is_empty_and_active_at_version_1() -> None:
    decided = decide(snapshot(), OpenWallet("k", "EUR", id=A, floor=-5, ceiling=9, metadata={"owner": "Ada"}))
    (outcome,) = decided.outcomes
    assert isinstance(outcome, Applied)
    (opened,) = decided.changes.opened_wallets
    (entry,) = outcome.transaction.entries
    assert opened == Wallet(
        A, opened.currency, 0, 0, -5, 9, WalletStatus.ACTIVE, 1, {"owner": "Ada"}, NOON, NOON, entry.hash
    )
    assert (entry.wallet_id, entry.version, entry.change, entry.balance_after) == (A, 1, 0, 0)
    assert (outcome.transaction.kind, outcome.transaction.metadata) == (Kind.OPEN, {"owner": "Ada"})
    assert opened.available == 5
    assert opened.head != CHAIN_START


def test_a_wallet_without_an_id_of_its_own_gets_that_of_its_transaction() -> None:
    first, second = decide(snapshot(), OpenWallet("k1", "EUR"), OpenWallet("k2", "EUR")).outcomes
    assert isinstance(first, Applied)
    assert isinstance(second, Applied)
    for outcome in (first, second):
        assert [entry.wallet_id for entry in outcome.transaction.entries] == [outcome.transaction.id]
    assert first.transaction.id != second.transaction.id


def test_a_wallet_opened_and_used_in_one_batch_is_written_once_as_it_ended() -> None:
    decided = decide(snapshot(), OpenWallet("k1", "EUR", id=A), credit("k2", A, 5), debit("k3", A, 2))
    (opened,) = decided.changes.opened_wallets
    assert (opened.version, opened.balance) == (3, 3)
    assert not decided.changes.updated_wallets


CHANGES: list[tuple[str, ChangeWallet, dict[str, object]]] = [
    ("freeze", ChangeWallet("k", A, WalletStatus.FROZEN), {"status": WalletStatus.FROZEN}),
    ("floor", ChangeWallet("k", A, floor=-9), {"floor": -9}),
    ("ceiling", ChangeWallet("k", A, ceiling=NewCeiling(5)), {"ceiling": 5}),
    ("no ceiling", ChangeWallet("k", A, ceiling=NewCeiling(None)), {"ceiling": None}),
    ("metadata", ChangeWallet("k", A, metadata={"b": "2"}), {"metadata": {"b": "2"}}),
    ("no metadata", ChangeWallet("k", A, metadata={}), {"metadata": {}}),
    (
        "all at once",
        ChangeWallet("k", A, WalletStatus.FROZEN, -1, NewCeiling(50), {}),
        {"status": WalletStatus.FROZEN, "floor": -1, "ceiling": 50, "metadata": {}},
    ),
]


@pytest.mark.parametrize(("command", "expected"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_a_change_sets_what_it_names_and_leaves_the_rest(command: ChangeWallet, expected: dict[str, object]) -> None:
    before = wallet(A, 5, held=2, floor=-3, ceiling=90, metadata={"a": "1"})
    decided = decide(snapshot(before, now=later(1)), command)
    (outcome,) = decided.outcomes
    assert isinstance(outcome, Applied)
    ((_, after),) = decided.changes.updated_wallets
    for name in ("balance", "held", "floor", "ceiling", "status", "metadata", "currency", "created_at"):
        assert getattr(after, name) == expected.get(name, getattr(before, name)), name
    (entry,) = outcome.transaction.entries
    assert (after.version, entry.version, after.updated_at) == (8, 8, later(1))
    assert (entry.change, entry.held_change, entry.balance_after, entry.held_after) == (0, 0, 5, 2)
    assert outcome.transaction.kind is Kind.CHANGE
    assert outcome.transaction.moves == ()


def test_the_metadata_of_a_change_is_what_it_set() -> None:
    for command, expected in (
        (ChangeWallet("k", A, metadata={"b": "2"}), {"b": "2"}),
        (ChangeWallet("k", A, floor=-1), {}),
    ):
        outcome = outcome_of(snapshot(wallet(A, metadata={"a": "1"})), command)
        assert isinstance(outcome, Applied)
        assert outcome.transaction.metadata == expected


def test_limits_may_be_set_to_exactly_where_the_wallet_stands() -> None:
    at_floor = snapshot(wallet(A, -5, held=2, floor=-9), hold(2))
    assert isinstance(outcome_of(at_floor, ChangeWallet("k", A, floor=-7)), Applied)
    at_ceiling = snapshot(wallet(A, 5))
    assert isinstance(outcome_of(at_ceiling, ChangeWallet("k", A, ceiling=NewCeiling(5))), Applied)


def test_new_limits_count_for_the_next_command() -> None:
    book = Book()
    book.apply(OpenWallet("k1", "EUR", id=A))
    assert book.reject(debit("k2", A, 5)).reason is Reason.INSUFFICIENT_FUNDS
    book.apply(ChangeWallet("k3", A, floor=-5, ceiling=NewCeiling(1)))
    book.apply(debit("k4", A, 5))
    assert book.reject(credit("k5", A, 7)).reason is Reason.CEILING_EXCEEDED


ON_A_FROZEN_WALLET: list[tuple[str, Command]] = [
    ("takes a credit", credit("k", A, 5)),
    ("takes a transfer", transfer("k", B, A, 5)),
    ("is what a hold is for", PlaceHold("k", B, 5, destination=A)),
    ("gives back a hold", ReleaseHold("k", HOLD)),
    ("is thawed", ChangeWallet("k", A, WalletStatus.ACTIVE)),
    ("is frozen again", ChangeWallet("k", A, WalletStatus.FROZEN)),
    ("gets another floor", ChangeWallet("k", A, floor=-5)),
]


@pytest.mark.parametrize("command", [row[1] for row in ON_A_FROZEN_WALLET], ids=[row[0] for row in ON_A_FROZEN_WALLET])
def test_a_frozen_wallet_still(command: Command) -> None:
    given = snapshot(frozen(A, 9, held=5), hold(5), wallet(B, 9))
    assert isinstance(outcome_of(given, command), Applied)


def test_a_frozen_empty_wallet_can_be_closed_and_a_closed_one_can_never_be_opened_again() -> None:
    book = Book()
    book.apply(OpenWallet("k1", "EUR", id=A))
    book.apply(ChangeWallet("k2", A, WalletStatus.FROZEN))
    book.apply(ChangeWallet("k3", A, WalletStatus.CLOSED))
    assert book.wallet(A).status is WalletStatus.CLOSED
    for number, status in enumerate(WalletStatus):
        assert book.reject(ChangeWallet(f"k4-{number}", A, status)).reason is Reason.WALLET_CLOSED
    assert book.wallet(A).version == 3


def test_closing_in_a_batch_is_seen_by_the_rest_of_it() -> None:
    first, second = decide(snapshot(wallet(A)), ChangeWallet("k1", A, WalletStatus.CLOSED), credit("k2", A, 1)).outcomes
    assert isinstance(first, Applied)
    assert isinstance(second, Rejected)
    assert second.reason is Reason.WALLET_CLOSED


def test_a_closed_wallet_may_be_what_a_hold_was_for_and_only_the_capture_is_refused() -> None:
    given = snapshot(closed(B), wallet(A, 9, held=5), hold(5, destination=B))
    assert isinstance(outcome_of(given, ReleaseHold("k", HOLD)), Applied)


def test_closing_writes_down_expired_holds_first() -> None:
    """What is held only by expired holds is not held: a wallet so emptied may be closed."""
    given = snapshot(wallet(A, 0, held=5, floor=-9), hold(5, expires_at=NOON))
    decided = decide(given, ChangeWallet("k", A, WalletStatus.CLOSED))
    (outcome,) = decided.outcomes
    assert isinstance(outcome, Applied)
    ((_, after),) = decided.changes.updated_wallets
    assert (after.status, after.held, after.version) == (WalletStatus.CLOSED, 0, 9)
