"""Receipts as the cache keeps them: sealed, so that only what this service put there is ever taken for a receipt.

What is kept is the row of the decision and its entries, and it is read back by the code that reads the database, so
that a replay has the same bytes wherever it comes from.
"""

import hmac
import json
from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

from adapters.postgres.records import DecisionRecord, result_of
from wallet_core.canonical import time_text
from wallet_core.model import Entry, Fence, Rejection, Transaction
from wallet_core.ports import History

FORMAT: Final = b"\x01"
"""The first byte of what is kept. A release that changes what follows counts on; the others then find nothing."""

SEAL_BYTES: Final = 32
RECEIPT_BYTES_MAX: Final = 8192
"""What is larger is not kept: a batch of the largest would not arrive in time. An ordinary receipt has about 1 KB."""

_ENTRY_TYPES: Final = (str, int, int, int, int, int, str)
_NONSENSE: Final = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def store_key(history: History, tenant: UUID, key: str) -> bytes:
    """Where the receipt of a key is kept."""
    return b"wallet:%s:%s:%s" % (history.name.encode(), str(tenant).encode(), key.encode())


def sealed(decision: Transaction | Rejection, kept_at: bytes, history: History) -> bytes | None:
    """What is kept of a decision under a key of the store; None if that is too much."""
    body = _body(decision).encode()
    if len(FORMAT) + SEAL_BYTES + len(body) > RECEIPT_BYTES_MAX:
        return None
    return FORMAT + _seal(body, kept_at, history) + body


def unsealed(value: object, kept_at: bytes, key: str, history: History) -> Transaction | Rejection | None:
    """The decision that was kept; None if this is anything else, whatever it is."""
    if not isinstance(value, bytes) or len(value) > RECEIPT_BYTES_MAX or not value.startswith(FORMAT):
        return None
    seal, body = value[len(FORMAT) : len(FORMAT) + SEAL_BYTES], value[len(FORMAT) + SEAL_BYTES :]
    if not hmac.compare_digest(seal, _seal(body, kept_at, history)):
        return None
    try:
        decision = _decision(json.loads(body))
    except _NONSENSE:
        return None
    return decision if decision.key == key else None


def _seal(body: bytes, kept_at: bytes, history: History) -> bytes:
    """A keyed hash over what is kept and where: a receipt that was moved to another key is none there."""
    mac = blake2b(key=history.secret, digest_size=SEAL_BYTES, person=b"wallet receipt")
    # The length keeps the two apart, so that nothing can pass from the end of one to the start of the other.
    mac.update(b"%s%d:" % (FORMAT, len(kept_at)))
    mac.update(kept_at)
    mac.update(body)
    return mac.digest()


def _body(decision: Transaction | Rejection) -> str:
    reverses: str | None = None
    entries: Sequence[Entry] = ()
    outcome = "rejected"
    if isinstance(decision, Transaction):
        reverses = None if decision.reverses is None else str(decision.reverses)
        entries = decision.entries
        outcome = "applied"
    return _encode(
        {
            "id": str(decision.id),
            "idempotency_key": decision.key,
            "outcome": outcome,
            "kind": decision.kind.value,
            "reverses": reverses,
            "created_at": time_text(decision.created_at),
            "intent": decision.intent,
            "result": result_of(decision),
            "entries": [_entry_members(entry) for entry in entries],
        }
    )


def _entry_members(entry: Entry) -> list[str | int]:
    return [
        str(entry.wallet_id),
        entry.version,
        entry.change,
        entry.held_change,
        entry.balance_after,
        entry.held_after,
        entry.hash.hex(),
    ]


def _decision(body: Any) -> Transaction | Rejection:
    if body["outcome"] not in ("applied", "rejected"):
        raise ValueError("a fence is never kept")
    row = {
        **body,
        "id": UUID(body["id"]),
        "reverses": None if body["reverses"] is None else UUID(body["reverses"]),
        "created_at": datetime.fromisoformat(body["created_at"]),
    }
    entries = [_entry(members) for members in body["entries"]]
    decision = DecisionRecord(row).decision({(entry.wallet_id, entry.version): entry for entry in entries})
    if isinstance(decision, Fence) or time_text(decision.created_at) != body["created_at"]:
        raise ValueError("not as it was written")
    return decision


def _entry(members: Any) -> Entry:
    if tuple(map(type, members)) != _ENTRY_TYPES:
        raise TypeError("not an entry")
    wallet_id, version, change, held_change, balance_after, held_after, hash_hex = members
    return Entry(UUID(wallet_id), version, change, held_change, balance_after, held_after, bytes.fromhex(hash_hex))
