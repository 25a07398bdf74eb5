"""The table of ``test_rules_precedence``: for each two reasons that can hold at once, a situation in which they do."""

from collections.abc import Sequence

import attrs

from tests.support.builders import (
    HOLD,
    PAST,
    USD,
    A,
    B,
    Stored,
    closed,
    frozen,
    hold,
    past,
    snapshot,
    wallet,
)
from wallet_core import (
    AMOUNT_MAX,
    CaptureHold,
    ChangeWallet,
    Command,
    HoldStatus,
    Kind,
    NewCeiling,
    Post,
    Posting,
    Reason,
    Reverse,
    WalletStatus,
    credit,
    debit,
    transfer,
)
from wallet_core.ports import Snapshot


@attrs.frozen
class Pair:
    """In ``given``, ``command`` is rejected for ``earlier``, although ``later`` holds too: in ``cured``, where nothing
    else has changed than that ``earlier`` does not hold, it is rejected for ``later``."""

    earlier: Reason
    later: Reason
    command: Command
    given: Snapshot
    cured: Snapshot
    cured_command: Command | None = None


def _pair(earlier: Reason, later: Reason, command: Command, given: Sequence[Stored], cure: Stored) -> Pair:
    """Here the cure is one thing in another state."""
    return Pair(earlier, later, command, snapshot(*given), snapshot(*given, cure))


def _reversed_pair(later: Reason, given: Sequence[Stored]) -> Pair:
    """Here the cure is that there is no reversal yet."""
    return Pair(Reason.ALREADY_REVERSED, later, REVERSE, snapshot(*given, reversed=[PAST]), snapshot(*given))


def _closing_pair(later: Reason, change: ChangeWallet, given: Stored) -> Pair:
    closing = attrs.evolve(change, status=WalletStatus.CLOSED)
    return Pair(Reason.WALLET_NOT_EMPTY, later, closing, snapshot(given), snapshot(given), change)


CAPTURE_3 = CaptureHold("k", HOLD, 3)
REVERSE = Reverse("k", PAST)
A_TO_B = transfer("k", A, B, 5)

FULL = AMOUNT_MAX
RELEASED = hold(5, destination=B, status=HoldStatus.RELEASED)
ACTIVE_2 = hold(2, destination=B)
ACTIVE_5 = hold(5, destination=B)
CREDITED = past(Posting(None, A, 5))
DEBITED = past(Posting(A, None, 5))
REVERSED_DEBIT = past(Posting(None, A, 5), kind=Kind.REVERSAL)
REVERSED_CREDIT = past(Posting(A, None, 5), kind=Kind.REVERSAL)

R = Reason
PAIRS = [
    _pair(R.WALLET_CLOSED, R.WALLET_FROZEN, A_TO_B, [frozen(A, 9), closed(B)], wallet(B)),
    _pair(R.WALLET_CLOSED, R.HOLD_NOT_ACTIVE, CAPTURE_3, [wallet(A, 9), RELEASED, closed(B)], wallet(B)),
    _pair(R.WALLET_CLOSED, R.CAPTURE_EXCEEDS_HOLD, CAPTURE_3, [wallet(A, 9, held=2), ACTIVE_2, closed(B)], wallet(B)),
    Pair(
        R.WALLET_CLOSED,
        R.ALREADY_REVERSED,
        REVERSE,
        snapshot(closed(A), DEBITED, reversed=[PAST]),
        snapshot(wallet(A), DEBITED, reversed=[PAST]),
    ),
    _pair(R.WALLET_CLOSED, R.NOT_REVERSIBLE, REVERSE, [closed(A), past(kind=Kind.OPEN)], wallet(A)),
    _pair(
        R.WALLET_CLOSED, R.CURRENCY_MISMATCH, A_TO_B, [wallet(A, 9), closed(B, currency=USD)], wallet(B, currency=USD)
    ),
    _pair(R.WALLET_CLOSED, R.INSUFFICIENT_FUNDS, debit("k", A, 5), [closed(A)], wallet(A)),
    _pair(R.WALLET_CLOSED, R.CEILING_EXCEEDED, credit("k", A, 5), [closed(A, ceiling=4)], wallet(A, ceiling=4)),
    _pair(
        R.WALLET_CLOSED,
        R.AMOUNT_OUT_OF_RANGE,
        Post("k", [Posting(None, A, 5), Posting(None, B, 5)]),
        [wallet(A, FULL), closed(B)],
        wallet(B),
    ),
    _pair(R.WALLET_FROZEN, R.HOLD_NOT_ACTIVE, CAPTURE_3, [frozen(A, 9), RELEASED, wallet(B)], wallet(A, 9)),
    _pair(
        R.WALLET_FROZEN,
        R.CAPTURE_EXCEEDS_HOLD,
        CAPTURE_3,
        [frozen(A, 9, held=2), ACTIVE_2, wallet(B)],
        wallet(A, 9, held=2),
    ),
    Pair(
        R.WALLET_FROZEN,
        R.ALREADY_REVERSED,
        REVERSE,
        snapshot(frozen(A, 9), CREDITED, reversed=[PAST]),
        snapshot(wallet(A, 9), CREDITED, reversed=[PAST]),
    ),
    _pair(R.WALLET_FROZEN, R.NOT_REVERSIBLE, REVERSE, [frozen(A, 9), REVERSED_DEBIT], wallet(A, 9)),
    _pair(R.WALLET_FROZEN, R.CURRENCY_MISMATCH, A_TO_B, [frozen(A, 9), wallet(B, currency=USD)], wallet(A, 9)),
    _pair(R.WALLET_FROZEN, R.INSUFFICIENT_FUNDS, debit("k", A, 5), [frozen(A, 4)], wallet(A, 4)),
    _pair(R.WALLET_FROZEN, R.CEILING_EXCEEDED, A_TO_B, [frozen(A, 9), wallet(B, ceiling=4)], wallet(A, 9)),
    _pair(R.WALLET_FROZEN, R.AMOUNT_OUT_OF_RANGE, A_TO_B, [frozen(A, 9), wallet(B, FULL)], wallet(A, 9)),
    # An empty wallet is within any limits that may be set: here the cure is not to close it.
    _closing_pair(R.INSUFFICIENT_FUNDS, ChangeWallet("k", A, floor=0), wallet(A, -5, floor=-9)),
    _closing_pair(R.CEILING_EXCEEDED, ChangeWallet("k", A, ceiling=NewCeiling(4)), wallet(A, 5)),
    _pair(
        R.HOLD_NOT_ACTIVE,
        R.CAPTURE_EXCEEDS_HOLD,
        CAPTURE_3,
        [wallet(A, 9), hold(2, status=HoldStatus.RELEASED)],
        hold(2),
    ),
    _pair(R.HOLD_NOT_ACTIVE, R.CEILING_EXCEEDED, CAPTURE_3, [wallet(A, 9), RELEASED, wallet(B, ceiling=2)], ACTIVE_5),
    _pair(R.HOLD_NOT_ACTIVE, R.AMOUNT_OUT_OF_RANGE, CAPTURE_3, [wallet(A, 9), RELEASED, wallet(B, FULL)], ACTIVE_5),
    _pair(
        R.CAPTURE_EXCEEDS_HOLD,
        R.CEILING_EXCEEDED,
        CAPTURE_3,
        [wallet(A, 9, held=2), ACTIVE_2, wallet(B, ceiling=2)],
        ACTIVE_5,
    ),
    _pair(
        R.CAPTURE_EXCEEDS_HOLD,
        R.AMOUNT_OUT_OF_RANGE,
        CAPTURE_3,
        [wallet(A, 9, held=2), ACTIVE_2, wallet(B, FULL)],
        ACTIVE_5,
    ),
    _reversed_pair(R.INSUFFICIENT_FUNDS, [wallet(A, 4), CREDITED]),
    _reversed_pair(R.CEILING_EXCEEDED, [wallet(A, ceiling=4), DEBITED]),
    _reversed_pair(R.AMOUNT_OUT_OF_RANGE, [wallet(A, FULL), DEBITED]),
    _pair(R.NOT_REVERSIBLE, R.INSUFFICIENT_FUNDS, REVERSE, [wallet(A, 4), REVERSED_DEBIT], CREDITED),
    _pair(R.NOT_REVERSIBLE, R.CEILING_EXCEEDED, REVERSE, [wallet(A, ceiling=4), REVERSED_CREDIT], DEBITED),
    _pair(R.NOT_REVERSIBLE, R.AMOUNT_OUT_OF_RANGE, REVERSE, [wallet(A, FULL), REVERSED_CREDIT], DEBITED),
    _pair(R.CURRENCY_MISMATCH, R.INSUFFICIENT_FUNDS, A_TO_B, [wallet(A, 4), wallet(B, currency=USD)], wallet(B)),
    _pair(
        R.CURRENCY_MISMATCH,
        R.CEILING_EXCEEDED,
        A_TO_B,
        [wallet(A, 9), wallet(B, ceiling=4, currency=USD)],
        wallet(B, ceiling=4),
    ),
    _pair(
        R.CURRENCY_MISMATCH,
        R.AMOUNT_OUT_OF_RANGE,
        A_TO_B,
        [wallet(A, 9), wallet(B, FULL, currency=USD)],
        wallet(B, FULL),
    ),
    _pair(R.INSUFFICIENT_FUNDS, R.CEILING_EXCEEDED, A_TO_B, [wallet(A, 4), wallet(B, ceiling=4)], wallet(A, 9)),
    _pair(
        R.INSUFFICIENT_FUNDS,
        R.CEILING_EXCEEDED,
        # The wallet that is short comes last, so that the order of wallets cannot stand in for the order of reasons.
        Post("k", [Posting(None, B, 5), Posting(A, None, 5)]),
        [wallet(A, 4), wallet(B, ceiling=4)],
        wallet(A, 9),
    ),
    _pair(
        R.INSUFFICIENT_FUNDS,
        R.CEILING_EXCEEDED,
        ChangeWallet("k", A, floor=0, ceiling=NewCeiling(4)),
        [wallet(A, 5, held=9, floor=-9), hold(9)],
        wallet(A, 5, floor=-9),
    ),
    _pair(R.INSUFFICIENT_FUNDS, R.AMOUNT_OUT_OF_RANGE, A_TO_B, [wallet(A, 4), wallet(B, FULL)], wallet(A, 9)),
    _pair(
        R.CEILING_EXCEEDED,
        R.AMOUNT_OUT_OF_RANGE,
        Post("k", [Posting(None, A, 5), Posting(None, B, 5)]),
        [wallet(A, FULL), wallet(B, ceiling=4)],
        wallet(B),
    ),
    _pair(
        R.CEILING_EXCEEDED,
        R.AMOUNT_OUT_OF_RANGE,
        credit("k", A, 5),
        [wallet(A, FULL, ceiling=FULL)],
        wallet(A, FULL),
    ),
]

IMPOSSIBLE = {
    (R.WALLET_CLOSED, R.WALLET_NOT_EMPTY): "a closed wallet is empty",
    (R.WALLET_FROZEN, R.WALLET_NOT_EMPTY): "closing takes nothing out of a wallet, so it may be frozen",
    **{
        (R.WALLET_NOT_EMPTY, later): "closing a wallet names no hold, no transaction and no amount"
        for later in (
            R.HOLD_NOT_ACTIVE,
            R.CAPTURE_EXCEEDS_HOLD,
            R.ALREADY_REVERSED,
            R.NOT_REVERSIBLE,
            R.CURRENCY_MISMATCH,
            R.AMOUNT_OUT_OF_RANGE,
        )
    },
    **{
        (earlier, later): "one is of holds, the other of transactions"
        for earlier in (R.HOLD_NOT_ACTIVE, R.CAPTURE_EXCEEDS_HOLD)
        for later in (R.ALREADY_REVERSED, R.NOT_REVERSIBLE)
    },
    **{
        (earlier, R.CURRENCY_MISMATCH): "the currencies were compared when the hold was placed or the money moved"
        for earlier in (R.HOLD_NOT_ACTIVE, R.CAPTURE_EXCEEDS_HOLD, R.ALREADY_REVERSED, R.NOT_REVERSIBLE)
    },
    (R.HOLD_NOT_ACTIVE, R.INSUFFICIENT_FUNDS): "what a hold reserves is there",
    (R.CAPTURE_EXCEEDS_HOLD, R.INSUFFICIENT_FUNDS): "what a hold reserves is there",
    (R.ALREADY_REVERSED, R.NOT_REVERSIBLE): "only what is reversible is ever reversed",
}
"""The other pairs, and why no situation has both."""
