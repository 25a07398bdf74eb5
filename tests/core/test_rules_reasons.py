"""Each reason for a rejection, and what the rejection says was compared."""

import pytest

from tests.core.reason_rows import ROWS, Row
from tests.support.builders import HOLD, A, decide, guarded, hold, outcome_of, snapshot, wallet
from tests.support.time import later
from wallet_core import Applied, CaptureHold, Reason, Rejected, Rejection, VersionConflict


def _name(row: Row) -> str:
    return f"{row.reason}: {type(row.command).__name__}: {row.name}"


@pytest.mark.parametrize("row", ROWS, ids=_name)
def test_a_rule_rejects_and_says_what_it_compared(row: Row) -> None:
    outcome = outcome_of(row.given, row.command)
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.rejection.details) == (row.reason, row.details)


@pytest.mark.parametrize("row", ROWS, ids=_name)
def test_a_rejection_changes_nothing_and_is_itself_all_that_is_remembered(row: Row) -> None:
    decided = decide(row.given, row.command)
    (outcome,) = decided.outcomes
    assert isinstance(outcome, Rejected)
    (rejection,) = decided.changes.decisions
    assert rejection == outcome.rejection
    assert isinstance(rejection, Rejection)
    assert (rejection.key, rejection.created_at) == ("k", row.given.now)
    assert list(rejection.details) == sorted(rejection.details)
    assert not decided.changes.opened_wallets
    assert not decided.changes.updated_wallets
    assert not decided.changes.placed_holds
    assert not decided.changes.updated_holds


@pytest.mark.parametrize("row", [row for row in ROWS if guarded(row.command, 1)], ids=_name)
def test_an_expected_version_is_compared_before_any_rule(row: Row) -> None:
    command = guarded(row.command, 6)
    assert command is not None
    outcome = outcome_of(row.given, command)
    assert isinstance(outcome, VersionConflict)
    assert (outcome.expected_version, outcome.current_version) == (6, 7)


def test_every_reason_has_a_row_and_the_order_of_declaration_is_the_order_of_the_rows() -> None:
    assert list(dict.fromkeys(row.reason for row in ROWS)) == list(Reason)


def test_a_hold_is_good_until_the_moment_it_expires() -> None:
    """``expires_at`` itself is too late: it is the first moment at which the hold no longer reserves anything."""
    given = snapshot(wallet(A, 9, held=5), hold(5, expires_at=later(60)), now=later(59.999999))
    assert isinstance(outcome_of(given, CaptureHold("k", HOLD)), Applied)
