"""The problems that are judgements: one for each reason for which a rule refuses a command."""

from collections.abc import Mapping
from typing import Final

from entrypoints.http.problem_types import ProblemType
from wallet_core.model import Reason


def _rejected(reason: Reason, title: str, detail: str, description: str, *carries: str) -> ProblemType:
    """A rule refused the command, and the refusal is remembered under its key."""
    return ProblemType(reason.value, 422, title, "rejected", "new_key", detail, description, carries)


OF_REASON: Final[Mapping[Reason, ProblemType]] = {
    Reason(type_.slug): type_
    for type_ in (
        _rejected(
            Reason.WALLET_CLOSED,
            "The wallet is closed",
            "Wallet {wallet_id} is closed.",
            "Nothing moves in a closed wallet, and it cannot be opened again.",
            "wallet_id",
            "wallet_status",
        ),
        _rejected(
            Reason.WALLET_FROZEN,
            "The wallet is frozen",
            "Wallet {wallet_id} is frozen.",
            "Nothing may leave a frozen wallet or be held in it. Credits may arrive, and holds may be released.",
            "wallet_id",
            "wallet_status",
        ),
        _rejected(
            Reason.WALLET_NOT_EMPTY,
            "The wallet is not empty",
            "Wallet {wallet_id} has a balance of {balance}, of which {held} is held.",
            "Only a wallet with a balance of 0 and nothing held can be closed.",
            "wallet_id",
            "balance",
            "held",
        ),
        _rejected(
            Reason.HOLD_NOT_ACTIVE,
            "The hold is not active",
            "Hold {hold_id} is {hold_status}.",
            "A hold that was captured, released or has expired reserves nothing any more.",
            "hold_id",
            "hold_status",
        ),
        _rejected(
            Reason.CAPTURE_EXCEEDS_HOLD,
            "The capture exceeds the hold",
            "Hold {hold_id} has {remaining} left, less than {amount}.",
            "A capture takes at most what the hold still reserves.",
            "hold_id",
            "remaining",
            "amount",
        ),
        _rejected(
            Reason.ALREADY_REVERSED,
            "The transaction is reversed already",
            "Transaction {transaction_id} is reversed already.",
            "A transaction can be reversed once.",
            "transaction_id",
        ),
        _rejected(
            Reason.NOT_REVERSIBLE,
            "The transaction cannot be reversed",
            "Transaction {transaction_id} is of the kind {kind}.",
            "Only transactions that moved money by a post or a capture can be reversed.",
            "transaction_id",
            "kind",
        ),
        _rejected(
            Reason.CURRENCY_MISMATCH,
            "The currencies differ",
            "Wallet {source} is in {source_currency}, wallet {destination} in {destination_currency}.",
            "Money moves only between wallets of one currency.",
            "source",
            "source_currency",
            "destination",
            "destination_currency",
        ),
        _rejected(
            Reason.INSUFFICIENT_FUNDS,
            "There is not enough money",
            "Wallet {wallet_id} has {available} available, less than {needed}.",
            "What is available is the balance, less what is held, above the floor. The refusal is remembered: topping "
            "the wallet up does not let the same key through, so an old retry cannot spend unexpectedly.",
            "wallet_id",
            "available",
            "needed",
        ),
        _rejected(
            Reason.CEILING_EXCEEDED,
            "The ceiling is exceeded",
            "Wallet {wallet_id} would hold {balance}, above its ceiling of {ceiling}.",
            "The balance may not rise above the wallet's ceiling.",
            "wallet_id",
            "ceiling",
            "balance",
        ),
        _rejected(
            Reason.AMOUNT_OUT_OF_RANGE,
            "The amount is out of range",
            "Wallet {wallet_id} with {balance} cannot change by {change}: amounts go up to {amount_max}.",
            "Balances and amounts stay within the integers that every JSON client represents exactly.",
            "wallet_id",
            "amount_max",
            "balance",
            "change",
        ),
    )
}
