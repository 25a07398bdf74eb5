"""The order of precedence: of two reasons that hold at once, the earlier one is given."""

from itertools import combinations

import pytest

from tests.core.precedence_rows import IMPOSSIBLE, PAIRS, Pair
from tests.support.builders import outcome_of
from wallet_core import Reason, Rejected

pairs = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.earlier} before {pair.later}")


@pairs
def test_the_earlier_of_two_reasons_is_given(pair: Pair) -> None:
    outcome = outcome_of(pair.given, pair.command)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is pair.earlier


@pairs
def test_the_later_reason_is_given_once_the_earlier_does_not_hold(pair: Pair) -> None:
    """Without this the table would prove nothing: the later reason must have been there all along."""
    outcome = outcome_of(pair.cured, pair.cured_command or pair.command)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is pair.later


def test_each_two_reasons_have_a_row_or_can_never_hold_at_once() -> None:
    covered = {(pair.earlier, pair.later) for pair in PAIRS}
    assert covered | set(IMPOSSIBLE) == set(combinations(Reason, 2))
    assert not covered & set(IMPOSSIBLE)
