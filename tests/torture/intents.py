"""What clients intend: members as in a command of a batch, and two types that batches do not have, open and change."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from wallet_core import CaptureHold, ChangeWallet, Command, OpenWallet, PlaceHold, Posting, ReleaseHold, Reverse
from wallet_core.commands import FenceKey, NewCeiling, Post, credit, debit
from wallet_core.model import WalletStatus

Intent = Mapping[str, Any]

encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder(dict[str, Any]).decode

_PATHS: Final[Mapping[str, tuple[str, str, str]]] = {
    "open": ("POST", "/v1/wallets", ""),
    "change": ("PATCH", "/v1/wallets/{}", "wallet_id"),
    "credit": ("POST", "/v1/wallets/{}/credits", "wallet_id"),
    "debit": ("POST", "/v1/wallets/{}/debits", "wallet_id"),
    "post": ("POST", "/v1/transactions", ""),
    "hold": ("POST", "/v1/wallets/{}/holds", "wallet_id"),
    "capture": ("POST", "/v1/holds/{}/capture", "hold_id"),
    "release": ("POST", "/v1/holds/{}/release", "hold_id"),
    "reversal": ("POST", "/v1/transactions/{}/reversal", "transaction_id"),
}
"""Method, path, and the member that is in the path, by type."""


def request_of(intent: Intent) -> tuple[str, str, bytes]:
    """Method, path and body of the request that asks for it alone."""
    method, path, named = _PATHS[intent["type"]]
    apart = ("type", "idempotency_key", named)
    body = {name: value for name, value in intent.items() if name not in apart}
    return method, path.format(intent[named]) if named else path, encode(body)


def unguarded(intent: Intent) -> dict[str, Any]:
    """The same intent, whatever versions the wallets have."""
    return {name: value for name, value in intent.items() if not name.startswith("expected_version")}


def stored(intent: Intent) -> str:
    """The canonical JSON that has to be stored under the key."""
    command = _command_of(intent)
    if isinstance(command, FenceKey):
        raise TypeError("a fence is no intent")
    return command.intent()


def _command_of(intent: Intent) -> Command:
    key, metadata = intent["idempotency_key"], intent.get("metadata", {})
    match intent["type"]:
        case "open":
            return OpenWallet(
                key, intent["currency"], UUID(intent["id"]), intent.get("floor", 0), intent.get("ceiling"), metadata
            )
        case "change":
            return ChangeWallet(
                key,
                UUID(intent["wallet_id"]),
                status=WalletStatus(intent["status"]) if "status" in intent else None,
                floor=intent.get("floor"),
                ceiling=NewCeiling(intent["ceiling"]) if "ceiling" in intent else None,
                metadata=intent.get("metadata"),
            )
        case "credit":
            return credit(key, UUID(intent["wallet_id"]), intent["amount"], metadata=metadata)
        case "debit":
            return debit(key, UUID(intent["wallet_id"]), intent["amount"], metadata=metadata)
        case "post":
            postings = [
                Posting(_id(posting.get("source")), _id(posting.get("destination")), posting["amount"])
                for posting in intent["postings"]
            ]
            return Post(key, postings, metadata=metadata)
        case "hold":
            return PlaceHold(
                key,
                UUID(intent["wallet_id"]),
                intent["amount"],
                _id(intent.get("destination")),
                intent.get("expires_in"),
                metadata=metadata,
            )
        case "capture":
            return CaptureHold(key, UUID(intent["hold_id"]), intent.get("amount"), intent.get("final", True))
        case "release":
            return ReleaseHold(key, UUID(intent["hold_id"]))
        case "reversal":
            return Reverse(key, UUID(intent["transaction_id"]), metadata)
        case other:
            raise ValueError(f"there is no intent of the type {other!r}")


def _id(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)
