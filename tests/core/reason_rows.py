"""The table of ``test_rules_reasons``: for each reason, situations in which it alone applies."""

from collections.abc import Mapping

import attrs

from tests.support.builders import (
    EUR,
    HALF,
    HOLD,
    PAST,
    USD,
    A,
    B,
    closed,
    frozen,
    hold,
    past,
    snapshot,
    wallet,
)
from tests.support.time import later
from wallet_core import (
    AMOUNT_MAX,
    CaptureHold,
    ChangeWallet,
    Command,
    HoldStatus,
    Kind,
    NewCeiling,
    PlaceHold,
    Post,
    Posting,
    Reason,
    ReleaseHold,
    Reverse,
    WalletStatus,
    credit,
    debit,
    transfer,
)
from wallet_core.ports import Snapshot


@attrs.frozen
class Row:
    """In ``given``, ``command`` is rejected for ``reason`` with ``details``."""

    name: str
    given: Snapshot
    command: Command
    reason: Reason
    details: Mapping[str, str | int | None]


IS_CLOSED = {"status": "closed", "wallet_id": str(A)}
IS_FROZEN = {"status": "frozen", "wallet_id": str(A)}

ROWS = [
    # ---------------------------------------------------------------- closed: nothing moves, for good
    Row("credit", snapshot(closed(A)), credit("k", A, 1), Reason.WALLET_CLOSED, IS_CLOSED),
    Row("transfer to", snapshot(closed(A), wallet(B, 9)), transfer("k", B, A, 1), Reason.WALLET_CLOSED, IS_CLOSED),
    Row("hold", snapshot(closed(A)), PlaceHold("k", A, 1), Reason.WALLET_CLOSED, IS_CLOSED),
    Row(
        "hold for",
        snapshot(closed(A), wallet(B, 9)),
        PlaceHold("k", B, 1, destination=A),
        Reason.WALLET_CLOSED,
        IS_CLOSED,
    ),
    Row(
        "capture for",
        snapshot(closed(A), wallet(B, 9, held=5), hold(5, wallet_id=B, destination=A)),
        CaptureHold("k", HOLD),
        Reason.WALLET_CLOSED,
        IS_CLOSED,
    ),
    Row(
        "reverse",
        snapshot(closed(A), past(Posting(A, None, 5))),
        Reverse("k", PAST),
        Reason.WALLET_CLOSED,
        IS_CLOSED,
    ),
    Row("reopen", snapshot(closed(A)), ChangeWallet("k", A, WalletStatus.ACTIVE), Reason.WALLET_CLOSED, IS_CLOSED),
    Row("close", snapshot(closed(A)), ChangeWallet("k", A, WalletStatus.CLOSED), Reason.WALLET_CLOSED, IS_CLOSED),
    Row("note", snapshot(closed(A)), ChangeWallet("k", A, metadata={}), Reason.WALLET_CLOSED, IS_CLOSED),
    # ---------------------------------------------------------------- frozen: nothing leaves, nothing new is held
    Row("debit", snapshot(frozen(A, 9)), debit("k", A, 1), Reason.WALLET_FROZEN, IS_FROZEN),
    Row("transfer", snapshot(frozen(A, 9), wallet(B)), transfer("k", A, B, 1), Reason.WALLET_FROZEN, IS_FROZEN),
    Row("hold", snapshot(frozen(A, 9)), PlaceHold("k", A, 1), Reason.WALLET_FROZEN, IS_FROZEN),
    Row(
        "capture",
        snapshot(frozen(A, 9, held=5), hold(5)),
        CaptureHold("k", HOLD),
        Reason.WALLET_FROZEN,
        IS_FROZEN,
    ),
    Row(
        "reverse a credit",
        snapshot(frozen(A, 9), past(Posting(None, A, 5))),
        Reverse("k", PAST),
        Reason.WALLET_FROZEN,
        IS_FROZEN,
    ),
    Row(
        "post that gives more than it takes",
        snapshot(frozen(A, 9)),
        Post("k", [Posting(A, None, 1), Posting(None, A, 2)]),
        Reason.WALLET_FROZEN,
        IS_FROZEN,
    ),
    # ---------------------------------------------------------------- only an empty wallet may be closed
    Row(
        "balance",
        snapshot(wallet(A, 5)),
        ChangeWallet("k", A, WalletStatus.CLOSED),
        Reason.WALLET_NOT_EMPTY,
        {"balance": 5, "held": 0, "wallet_id": str(A)},
    ),
    Row(
        "overdraft",
        snapshot(wallet(A, -5, floor=-9)),
        ChangeWallet("k", A, WalletStatus.CLOSED),
        Reason.WALLET_NOT_EMPTY,
        {"balance": -5, "held": 0, "wallet_id": str(A)},
    ),
    Row(
        "held",
        snapshot(wallet(A, 0, held=5, floor=-9), hold(5)),
        ChangeWallet("k", A, WalletStatus.CLOSED),
        Reason.WALLET_NOT_EMPTY,
        {"balance": 0, "held": 5, "wallet_id": str(A)},
    ),
    # ---------------------------------------------------------------- a hold is captured or released while active
    *(
        Row(
            f"{command.kind} {status}",
            snapshot(wallet(A, 9), hold(5, captured=captured, status=status)),
            command,
            Reason.HOLD_NOT_ACTIVE,
            {"hold_id": str(HOLD), "status": status.value},
        )
        for command in (CaptureHold("k", HOLD), ReleaseHold("k", HOLD))
        for status, captured in ((HoldStatus.CAPTURED, 5), (HoldStatus.RELEASED, 0), (HoldStatus.EXPIRED, 2))
    ),
    *(
        Row(
            f"{command.kind} at its expiry, which nothing has written down",
            snapshot(wallet(A, 9, held=5), hold(5, expires_at=later(60)), now=later(60)),
            command,
            Reason.HOLD_NOT_ACTIVE,
            {"hold_id": str(HOLD), "status": "expired"},
        )
        for command in (CaptureHold("k", HOLD), ReleaseHold("k", HOLD))
    ),
    # ---------------------------------------------------------------- no more than is left of it
    Row(
        "nothing captured yet, wallet empty but for the hold",
        snapshot(wallet(A, 5, held=5), hold(5)),
        CaptureHold("k", HOLD, 6),
        Reason.CAPTURE_EXCEEDS_HOLD,
        {"amount": 6, "hold_id": str(HOLD), "remaining": 5},
    ),
    Row(
        "some captured before",
        snapshot(wallet(A, 99, held=2), hold(5, captured=3)),
        CaptureHold("k", HOLD, 3, final=False),
        Reason.CAPTURE_EXCEEDS_HOLD,
        {"amount": 3, "hold_id": str(HOLD), "remaining": 2},
    ),
    # ---------------------------------------------------------------- a reversal happens once, to what moved money
    Row(
        "once",
        snapshot(wallet(A, 99), past(Posting(None, A, 5)), reversed=[PAST]),
        Reverse("k", PAST),
        Reason.ALREADY_REVERSED,
        {"transaction_id": str(PAST)},
    ),
    *(
        Row(
            kind.value,
            snapshot(wallet(A, 99), past(kind=kind)),
            Reverse("k", PAST),
            Reason.NOT_REVERSIBLE,
            {"kind": kind.value, "transaction_id": str(PAST)},
        )
        for kind in Kind
        if kind not in (Kind.POST, Kind.CAPTURE)
    ),
    # ---------------------------------------------------------------- one currency per posting
    Row(
        "transfer",
        snapshot(wallet(A, 9), wallet(B, currency=USD)),
        transfer("k", A, B, 1),
        Reason.CURRENCY_MISMATCH,
        {"destination": str(B), "destination_currency": USD, "source": str(A), "source_currency": EUR},
    ),
    Row(
        "hold",
        snapshot(wallet(A, 9), wallet(B, currency=USD)),
        PlaceHold("k", A, 1, destination=B),
        Reason.CURRENCY_MISMATCH,
        {"destination": str(B), "destination_currency": USD, "source": str(A), "source_currency": EUR},
    ),
    # ---------------------------------------------------------------- funds
    Row(
        "debit of what is held",
        snapshot(wallet(A, 9, held=5), hold(5)),
        debit("k", A, 5),
        Reason.INSUFFICIENT_FUNDS,
        {"available": 4, "needed": 5, "wallet_id": str(A)},
    ),
    Row(
        "debit beyond the overdraft",
        snapshot(wallet(A, 9, floor=-10)),
        debit("k", A, 20),
        Reason.INSUFFICIENT_FUNDS,
        {"available": 19, "needed": 20, "wallet_id": str(A)},
    ),
    Row(
        "net change of several postings",
        snapshot(wallet(A, 9), wallet(B)),
        Post("k", [Posting(A, B, 8), Posting(A, None, 4), Posting(None, A, 2)]),
        Reason.INSUFFICIENT_FUNDS,
        {"available": 9, "needed": 10, "wallet_id": str(A)},
    ),
    Row(
        "hold",
        snapshot(wallet(A, 9, held=5), hold(5)),
        PlaceHold("k", A, 5),
        Reason.INSUFFICIENT_FUNDS,
        {"available": 4, "needed": 5, "wallet_id": str(A)},
    ),
    Row(
        "reversal of what was spent since",
        snapshot(wallet(A, 4), past(Posting(None, A, 5))),
        Reverse("k", PAST),
        Reason.INSUFFICIENT_FUNDS,
        {"available": 4, "needed": 5, "wallet_id": str(A)},
    ),
    Row(
        "floor above the balance",
        snapshot(wallet(A, -5, floor=-10)),
        ChangeWallet("k", A, floor=-4),
        Reason.INSUFFICIENT_FUNDS,
        {"available": 5, "needed": 6, "wallet_id": str(A)},
    ),
    Row(
        "floor above what is not held",
        snapshot(wallet(A, 5, held=10, floor=-10), hold(10)),
        ChangeWallet("k", A, floor=-4),
        Reason.INSUFFICIENT_FUNDS,
        {"available": 5, "needed": 6, "wallet_id": str(A)},
    ),
    # ---------------------------------------------------------------- ceiling
    Row(
        "credit",
        snapshot(wallet(A, 9, ceiling=10)),
        credit("k", A, 2),
        Reason.CEILING_EXCEEDED,
        {"balance": 11, "ceiling": 10, "wallet_id": str(A)},
    ),
    Row(
        "capture",
        snapshot(wallet(A, 9, held=5), hold(5, destination=B), wallet(B, 9, ceiling=10)),
        CaptureHold("k", HOLD, 2),
        Reason.CEILING_EXCEEDED,
        {"balance": 11, "ceiling": 10, "wallet_id": str(B)},
    ),
    Row(
        "reversal",
        snapshot(wallet(A, 9, ceiling=10), past(Posting(A, None, 5))),
        Reverse("k", PAST),
        Reason.CEILING_EXCEEDED,
        {"balance": 14, "ceiling": 10, "wallet_id": str(A)},
    ),
    Row(
        "ceiling below the balance",
        snapshot(wallet(A, 9)),
        ChangeWallet("k", A, ceiling=NewCeiling(8)),
        Reason.CEILING_EXCEEDED,
        {"balance": 9, "ceiling": 8, "wallet_id": str(A)},
    ),
    # ---------------------------------------------------------------- range: what every JSON client represents exactly
    Row(
        "balance",
        snapshot(wallet(A, AMOUNT_MAX)),
        credit("k", A, 1),
        Reason.AMOUNT_OUT_OF_RANGE,
        {"amount_max": AMOUNT_MAX, "balance": AMOUNT_MAX, "change": 1, "wallet_id": str(A)},
    ),
    Row(
        "net change, though the balance would be in range",
        snapshot(wallet(A, -AMOUNT_MAX, floor=-AMOUNT_MAX)),
        Post("k", [Posting(None, A, AMOUNT_MAX), Posting(None, A, 1)]),
        Reason.AMOUNT_OUT_OF_RANGE,
        {"amount_max": AMOUNT_MAX, "balance": -AMOUNT_MAX, "change": AMOUNT_MAX + 1, "wallet_id": str(A)},
    ),
    Row(
        "held",
        snapshot(wallet(A, HALF, held=HALF, floor=-AMOUNT_MAX), hold(HALF)),
        PlaceHold("k", A, HALF),
        Reason.AMOUNT_OUT_OF_RANGE,
        {"amount_max": AMOUNT_MAX, "balance": HALF, "change": 0, "wallet_id": str(A)},
    ),
    Row(
        "capture",
        snapshot(wallet(A, 9, held=5), hold(5, destination=B), wallet(B, AMOUNT_MAX)),
        CaptureHold("k", HOLD),
        Reason.AMOUNT_OUT_OF_RANGE,
        {"amount_max": AMOUNT_MAX, "balance": AMOUNT_MAX, "change": 5, "wallet_id": str(B)},
    ),
    Row(
        "reversal",
        snapshot(wallet(A, AMOUNT_MAX), past(Posting(A, None, 5))),
        Reverse("k", PAST),
        Reason.AMOUNT_OUT_OF_RANGE,
        {"amount_max": AMOUNT_MAX, "balance": AMOUNT_MAX, "change": 5, "wallet_id": str(A)},
    ),
]
