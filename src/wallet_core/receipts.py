"""What stored receipts and intents say of one wallet, read from their text, for its proof.

Whoever tampered with them may have written anything; what makes no sense is ``Unreadable``.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

import attrs

from wallet_core.canonical import canonical_json, canonical_metadata
from wallet_core.model import HoldStatus, Kind, WalletStatus

Members = Mapping[str, Any]

_decode = json.JSONDecoder().raw_decode
_NONSENSE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


class Unreadable(Exception):
    """The text is not what the ledger writes."""


@attrs.frozen
class Receipt:
    """What a transaction's result says: in all, and of the wallet in question. Amounts in minor units.

    ``entries`` are all that the transaction names, by wallet and version; ``entered`` and ``left`` what crossed the
    border to the outside; ``hold`` is given if it is the wallet's.
    """

    entries: Sequence[Sequence[Any]]
    change: int
    held_change: int
    hold: Members | None
    entered: Sequence[tuple[str, int]]
    left: Sequence[tuple[str, int]]


def read_members(text: str) -> Members:
    """The members of a JSON object. Raises ``Unreadable``."""
    try:
        members, _ = _decode(text)
    except _NONSENSE as error:
        raise Unreadable from error
    if not isinstance(members, dict):
        raise Unreadable
    return members


def read_receipt(wallet_id: str, kind: str, result: str) -> Receipt:
    """What the result of a transaction of this kind says. Raises ``Unreadable``."""
    members = read_members(result)
    try:
        change = 0
        entered: list[tuple[str, int]] = []
        left: list[tuple[str, int]] = []
        for posting in members["postings"]:
            source, destination, amount = posting["source"], posting["destination"], _integer(posting["amount"])
            if source == wallet_id:
                change -= amount
            if destination == wallet_id:
                change += amount
            if source is None:
                entered.append((_text(posting["currency"]), amount))
            if destination is None:
                left.append((_text(posting["currency"]), amount))
        entries: Sequence[Sequence[Any]] = members["entries"]
        if type(entries) is not list or not entries:
            raise Unreadable
        hold = members.get("hold")
        if hold is None or hold["wallet_id"] != wallet_id:
            return Receipt(entries, change, 0, None, entered, left)
        return Receipt(entries, change, _held_change(kind, change, hold), hold, entered, left)
    except _NONSENSE as error:
        raise Unreadable from error


def _held_change(kind: str, change: int, hold: Members) -> int:
    """By how much the held amount changes, given the hold as the transaction left it."""
    rest: int = hold["amount"] - hold["captured"]
    match kind:
        case Kind.HOLD:
            return rest
        case Kind.CAPTURE:
            return change if hold["status"] == HoldStatus.ACTIVE else change - rest
        case _:
            return -rest


@attrs.frozen
class Terms:
    """What a wallet was given on opening, and what its changes made of it. ``floor`` and ``ceiling`` in minor units."""

    currency: str
    floor: int
    ceiling: int | None
    status: str
    metadata_sha256: str
    """In hex, of the canonical JSON."""
    created_at: str

    @classmethod
    def opened(cls, intent: str, created_at: str) -> Self:
        """What the intent of an opening gives. Raises ``Unreadable``."""
        members = read_members(intent)
        try:
            return cls(
                _text(members["currency"]),
                _integer(members["floor"]),
                _limit(members["ceiling"]),
                WalletStatus.ACTIVE.value,
                _sha256(members["metadata"]),
                created_at,
            )
        except _NONSENSE as error:
            raise Unreadable from error

    def changed(self, intent: str) -> Self:
        """What the intent of a change makes of it. Raises ``Unreadable``."""
        members = read_members(intent)
        try:
            return attrs.evolve(
                self,
                floor=_integer(members.get("floor", self.floor)),
                ceiling=_limit(members.get("ceiling", self.ceiling)),
                status=_text(members.get("status", self.status)),
                metadata_sha256=_sha256(members["metadata"]) if "metadata" in members else self.metadata_sha256,
            )
        except _NONSENSE as error:
            raise Unreadable from error

    def differences(self, row: Self) -> list[str]:
        """What of a wallet's row is not so, in words."""
        said, true = attrs.asdict(row), attrs.asdict(self)
        return [
            f"{name} is {said[name]}; by its history it is {true[name]}" for name in said if said[name] != true[name]
        ]


def _sha256(metadata: Mapping[str, str]) -> str:
    return hashlib.sha256(canonical_json({**canonical_metadata(metadata)}).encode()).hexdigest()


def _text(value: Any) -> str:
    if type(value) is not str:
        raise Unreadable
    return value


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise Unreadable
    return value


def _limit(value: Any) -> int | None:
    return None if value is None else _integer(value)
