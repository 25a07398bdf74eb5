"""What may follow an answer: OpenAPI links, so that a tool (or a reader) can follow a wallet through its life.

A link says which operation takes what an answer tells, and where in the answer it stands (a runtime expression).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

ID: Final = "$response.body#/id"
HOLD_ID: Final = "$response.body#/hold/id"
KEY: Final = "$response.body#/idempotency_key"
FIRST_ID: Final = "$response.body#/items/0/id"
NEXT: Final = "$response.body#/next_cursor"
SAME_ID: Final = "$request.path.id"


@attrs.frozen
class Link:
    """One step on: ``parameters`` and ``body`` are of the operation that follows, and hold runtime expressions."""

    operation_id: str
    parameters: Mapping[str, str] = attrs.field(factory=dict)
    body: Mapping[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """The Link Object."""
        members: dict[str, Any] = {"operationId": self.operation_id}
        if self.parameters:
            members["parameters"] = dict(self.parameters)
        if self.body is not None:
            members["requestBody"] = dict(self.body)
        return members


def _with_id(expression: str, *operation_ids: str) -> Sequence[Link]:
    return [Link(operation_id, {"id": expression}) for operation_id in operation_ids]


_OF_WALLET: Final = (
    *_with_id(ID, "getWallet", "changeWallet", "creditWallet", "debitWallet", "placeHold"),
    *_with_id(ID, "listEntries", "listHolds", "verifyWallet"),
    Link("listTransactions", {"wallet_id": ID}),
    Link("postTransaction", body={"postings": [{"destination": ID, "amount": 1000}]}),
    Link(
        "runBatch",
        body={
            "commands": [
                {"type": "credit", "idempotency_key": "first", "wallet_id": ID, "amount": 500},
                {"type": "debit", "idempotency_key": "second", "wallet_id": ID, "amount": 200},
            ]
        },
    ),
)
_OF_TRANSACTION: Final = (
    *_with_id(ID, "getTransaction", "reverseTransaction"),
    Link("getDecision", {"key": KEY}),
    Link("fenceKey", body={"key": KEY}),
)
_OF_HOLD: Final = _with_id(HOLD_ID, "getHold", "captureHold", "releaseHold")

LINKS: Final[Mapping[str, Sequence[Link]]] = {
    "openWallet": _OF_WALLET,
    "listWallets": (*_with_id(FIRST_ID, "getWallet"), Link("listWallets", {"cursor": NEXT})),
    "changeWallet": (*_OF_TRANSACTION, *_with_id(SAME_ID, "getWallet", "verifyWallet")),
    "creditWallet": (*_OF_TRANSACTION, *_with_id(SAME_ID, "debitWallet", "placeHold", "listEntries", "verifyWallet")),
    "debitWallet": (*_OF_TRANSACTION, *_with_id(SAME_ID, "getWallet", "listEntries")),
    "postTransaction": _OF_TRANSACTION,
    "listTransactions": (*_with_id(FIRST_ID, "getTransaction"), Link("listTransactions", {"cursor": NEXT})),
    "reverseTransaction": _OF_TRANSACTION,
    "placeHold": (*_OF_TRANSACTION, *_OF_HOLD, *_with_id(SAME_ID, "debitWallet", "listHolds", "verifyWallet")),
    "listHolds": (*_with_id(FIRST_ID, "getHold"), Link("listHolds", {"id": SAME_ID, "cursor": NEXT})),
    "captureHold": (*_OF_TRANSACTION, *_OF_HOLD),
    "releaseHold": (*_OF_TRANSACTION, *_OF_HOLD),
    "listEntries": (Link("listEntries", {"id": SAME_ID, "cursor": NEXT}),),
}
"""What may follow the success of each operation, by its id."""


def links_of(operation_id: str) -> dict[str, Any]:
    """The links of an operation's success, by the id of the operation that follows."""
    return {link.operation_id: link.document() for link in LINKS.get(operation_id, ())}
