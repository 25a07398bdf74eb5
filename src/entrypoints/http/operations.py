"""Every operation of the API, in one table: the routes are made of it, and so is the OpenAPI document."""

from collections.abc import Sequence
from typing import Final

import attrs

from entrypoints.http import bodies, events, shapes
from entrypoints.http import problem_types as types
from entrypoints.http.batches import BatchBody
from entrypoints.http.operation import BODY, KEYED, Operation, Parameter, read, write
from entrypoints.http.paging import LIMIT_DEFAULT, LIMIT_MAX
from entrypoints.http.problem_types import ProblemType
from entrypoints.http.rejection_types import OF_REASON
from entrypoints.http.verification import DESCRIPTION as VERIFICATION
from entrypoints.http.verification import WalletVerification
from wallet_core.checks import KEY_LENGTH_MAX
from wallet_core.model import Kind, Reason, WalletStatus
from wallet_core.money import AMOUNT_MAX, CURRENCY_PATTERN


def _reasons(*reasons: Reason) -> list[ProblemType]:
    return [OF_REASON[reason] for reason in reasons]


_CURRENCY: Final = {"type": "string", "pattern": f"^{CURRENCY_PATTERN.pattern}$"}
_UUID: Final = {"type": "string", "format": "uuid"}
_KEY: Final = {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH_MAX, "pattern": "^[!-~]+$"}
_PAGE: Final = (
    Parameter(
        "limit", {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT}, "items on a page"
    ),
    Parameter("cursor", {"type": "string"}, "next_cursor of the page before, of the same list with the same filters"),
)

_STOPPED: Final = _reasons(Reason.WALLET_CLOSED, Reason.WALLET_FROZEN)
_LIMITS: Final = _reasons(Reason.CEILING_EXCEEDED, Reason.AMOUNT_OUT_OF_RANGE)

OPERATIONS: Final[Sequence[Operation]] = (
    attrs.evolve(
        write("openWallet", "POST", "/v1/wallets", "Wallets", "Open a wallet", bodies.OpenWalletBody),
        answers=shapes.Wallet,
        problems=(*KEYED, types.WALLET_EXISTS),
    ),
    read(
        "listWallets",
        "/v1/wallets",
        "Wallets",
        "List wallets",
        shapes.WalletPage,
        query=(
            *_PAGE,
            Parameter("currency", _CURRENCY, "only those in this currency"),
            Parameter("status", {"enum": [status.value for status in WalletStatus]}, "only those with this status"),
        ),
    ),
    attrs.evolve(
        read(
            "getWallet",
            "/v1/wallets/{id}",
            "Wallets",
            "Read a wallet",
            shapes.Wallet,
            types.WALLET_NOT_FOUND,
            types.NOT_FOUND,
            query=(
                Parameter("version", {"type": "integer", "minimum": 1, "maximum": AMOUNT_MAX}, "as of this version"),
                Parameter("at", {"type": "string", "format": "date-time"}, "as of this time"),
            ),
        ),
        answers=(shapes.Wallet, shapes.PastWalletState),
        description="With `version` or `at` (not both): the wallet as it was.",
    ),
    write(
        "changeWallet",
        "PATCH",
        "/v1/wallets/{id}",
        "Wallets",
        "Change a wallet's status, limits or metadata",
        bodies.ChangeWalletBody,
        types.WALLET_NOT_FOUND,
        types.VERSION_CONFLICT,
        *_reasons(Reason.WALLET_CLOSED, Reason.WALLET_NOT_EMPTY, Reason.INSUFFICIENT_FUNDS, Reason.CEILING_EXCEEDED),
    ),
    write(
        "creditWallet",
        "POST",
        "/v1/wallets/{id}/credits",
        "Wallets",
        "Credit a wallet: money enters from outside",
        bodies.AmountBody,
        types.WALLET_NOT_FOUND,
        types.VERSION_CONFLICT,
        *_reasons(Reason.WALLET_CLOSED),
        *_LIMITS,
    ),
    write(
        "debitWallet",
        "POST",
        "/v1/wallets/{id}/debits",
        "Wallets",
        "Debit a wallet: money leaves to the outside",
        bodies.AmountBody,
        types.WALLET_NOT_FOUND,
        types.VERSION_CONFLICT,
        *_STOPPED,
        *_reasons(Reason.INSUFFICIENT_FUNDS),
    ),
    read(
        "listEntries",
        "/v1/wallets/{id}/entries",
        "Wallets",
        "List a wallet's entries, newest first",
        shapes.EntryPage,
        types.WALLET_NOT_FOUND,
        query=_PAGE,
    ),
    attrs.evolve(
        read(
            "verifyWallet",
            "/v1/wallets/{id}/verification",
            "Wallets",
            "Prove a wallet's whole history",
            WalletVerification,
            types.WALLET_NOT_FOUND,
        ),
        description=VERIFICATION,
    ),
    write(
        "placeHold",
        "POST",
        "/v1/wallets/{id}/holds",
        "Holds",
        "Set an amount aside",
        bodies.HoldBody,
        types.WALLET_NOT_FOUND,
        types.VERSION_CONFLICT,
        *_STOPPED,
        *_reasons(Reason.CURRENCY_MISMATCH, Reason.INSUFFICIENT_FUNDS, Reason.AMOUNT_OUT_OF_RANGE),
    ),
    read(
        "listHolds",
        "/v1/wallets/{id}/holds",
        "Holds",
        "List a wallet's holds, newest first",
        shapes.HoldPage,
        types.WALLET_NOT_FOUND,
        query=_PAGE,
    ),
    read("getHold", "/v1/holds/{id}", "Holds", "Read a hold", shapes.Hold, types.HOLD_NOT_FOUND),
    attrs.evolve(
        write(
            "captureHold",
            "POST",
            "/v1/holds/{id}/capture",
            "Holds",
            "Take a held amount",
            bodies.CaptureBody,
            types.HOLD_NOT_FOUND,
            *_STOPPED,
            *_reasons(Reason.HOLD_NOT_ACTIVE, Reason.CAPTURE_EXCEEDS_HOLD),
            *_LIMITS,
        ),
        body_required=False,
    ),
    attrs.evolve(
        write(
            "releaseHold",
            "POST",
            "/v1/holds/{id}/release",
            "Holds",
            "Give back what a hold still reserves",
            bodies.ReleaseBody,
            types.HOLD_NOT_FOUND,
            *_reasons(Reason.WALLET_CLOSED, Reason.HOLD_NOT_ACTIVE),
        ),
        body_required=False,
    ),
    write(
        "postTransaction",
        "POST",
        "/v1/transactions",
        "Transactions",
        "Move money by several postings, all or nothing",
        bodies.PostBody,
        types.WALLET_NOT_FOUND,
        types.VERSION_CONFLICT,
        *_STOPPED,
        *_reasons(Reason.CURRENCY_MISMATCH, Reason.INSUFFICIENT_FUNDS),
        *_LIMITS,
    ),
    read(
        "listTransactions",
        "/v1/transactions",
        "Transactions",
        "List transactions, newest first",
        shapes.TransactionPage,
        query=(
            *_PAGE,
            Parameter("kind", {"enum": [kind.value for kind in Kind]}, "only those of this kind"),
            Parameter("wallet_id", _UUID, "only those that touched this wallet"),
        ),
    ),
    read(
        "getTransaction",
        "/v1/transactions/{id}",
        "Transactions",
        "Read a transaction",
        shapes.Transaction,
        types.TRANSACTION_NOT_FOUND,
    ),
    attrs.evolve(
        write(
            "reverseTransaction",
            "POST",
            "/v1/transactions/{id}/reversal",
            "Transactions",
            "Move back what a transaction moved, once",
            bodies.ReversalBody,
            types.TRANSACTION_NOT_FOUND,
            *_STOPPED,
            *_reasons(Reason.ALREADY_REVERSED, Reason.NOT_REVERSIBLE, Reason.INSUFFICIENT_FUNDS),
            *_LIMITS,
        ),
        body_required=False,
    ),
    attrs.evolve(
        write("runBatch", "POST", "/v1/batches", "Batches", "Carry out up to 1000 commands", BatchBody, *BODY),
        status=200,
        answers=shapes.BatchResults,
        keyed=False,
        problems=BODY,
        description=(
            "Each command is decided on its own, in order, and has a result in its place. "
            "Its idempotency key is in the command, so the request has none."
        ),
    ),
    attrs.evolve(
        write("fenceKey", "POST", "/v1/fences", "Idempotency keys", "Fence a key", bodies.FenceBody),
        status=200,
        answers=shapes.Decided,
        keyed=False,
        problems=(*BODY, types.CONTENTION),
        description="Learn what was decided under a key, or make sure that nothing ever is. May be repeated.",
    ),
    read(
        "getDecision",
        "/v1/idempotency-keys",
        "Idempotency keys",
        "Learn what was decided under a key",
        shapes.Decided,
        types.NOT_FOUND,
        query=(Parameter("key", _KEY, "the idempotency key", required=True),),
    ),
    attrs.evolve(
        read("listEvents", "/v1/events", "Events", "Follow the transactions", shapes.EventPage, query=events.QUERY),
        description=events.DESCRIPTION,
        streams=True,
    ),
    Operation(
        id="live",
        method="GET",
        path="/health/live",
        tag="Health",
        summary="Whether the service runs",
        status=200,
        answers=shapes.Health,
        scope=None,
        problems=(),
    ),
    Operation(
        id="ready",
        method="GET",
        path="/health/ready",
        tag="Health",
        summary="Whether the service can do its work",
        status=200,
        answers=shapes.Health,
        scope=None,
        problems=(),
        other_answers={503: shapes.Health},
    ),
)
