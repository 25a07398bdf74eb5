"""Rows of the ledger as the core's model, and back. What is stored is canonical JSON text, byte for byte."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

from asyncpg.pgproto import pgproto

from adapters.postgres.session import Columns, Session
from adapters.postgres.statements import LOAD_ENTRIES, parameters
from wallet_core.canonical import canonical_json, result_json
from wallet_core.model import (
    Decision,
    Entry,
    Fence,
    Hold,
    HoldStatus,
    Kind,
    Metadata,
    Move,
    Reason,
    Rejection,
    Transaction,
    Wallet,
    WalletStatus,
)
from wallet_core.money import Currency

EntryId = tuple[UUID, int]
"""A wallet and a version."""

FENCE_INTENT: Final = '{"kind":"fence"}'
NO_RESULT: Final = "{}"
NO_METADATA: Final = "{}"

_STATUSES: Final = {status.value: status for status in WalletStatus}


def wallet_of(row: Columns) -> Wallet:
    """The wallet in a row of the table."""
    return Wallet(
        row["id"],
        Currency(row["currency"]),
        row["balance"],
        row["held"],
        row["floor"],
        row["ceiling"],
        _STATUSES[row["status"]],
        row["version"],
        _metadata(row["metadata"]),
        row["created_at"],
        row["updated_at"],
        row["head"],
    )


def entry_of(row: Columns) -> Entry:
    """The entry in a row of the table."""
    return Entry(
        row["wallet_id"],
        row["version"],
        row["change"],
        row["held_change"],
        row["balance_after"],
        row["held_after"],
        row["hash"],
    )


def result_of(decision: Decision) -> str:
    """Canonical JSON of what a decision came to, as it is stored."""
    match decision:
        case Transaction():
            versions = ((entry.wallet_id, entry.version) for entry in decision.entries)
            return result_json(decision.moves, versions, decision.hold)
        case Rejection():
            return canonical_json({"details": decision.details, "reason": decision.reason.value})
        case Fence():
            return NO_RESULT


class DecisionRecord:
    """A row of ``transactions``, read as far as is possible without its entries. ``prefix`` is what the names of its
    columns begin with."""

    def __init__(self, row: Columns, prefix: str = "") -> None:
        self.id: UUID = row[prefix + "id"]
        self.key: str = row[prefix + "idempotency_key"]
        self._created_at: datetime = row[prefix + "created_at"]
        self._reverses: UUID | None = row[prefix + "reverses"]
        self._outcome: str = row[prefix + "outcome"]
        self._kind: str = row[prefix + "kind"]
        self._intent: str = row[prefix + "intent"]
        self._result: Mapping[str, Any] = json.loads(row[prefix + "result"])
        self.entry_ids: list[EntryId] = [(_uuid(wallet_id), version) for wallet_id, version in self._entries()]

    def _entries(self) -> list[tuple[str, int]]:
        entries: list[tuple[str, int]] = self._result.get("entries", [])
        return entries

    def decision(self, entries: Mapping[EntryId, Entry]) -> Decision:
        """The decision, given at least the entries that ``entry_ids`` names."""
        if self._outcome == "fenced":
            return Fence(self.id, self.key, self._created_at)
        kind = Kind(self._kind)
        result = self._result
        if self._outcome == "rejected":
            reason = Reason(result["reason"])
            return Rejection(self.id, kind, self.key, self._intent, reason, result["details"], self._created_at)
        return Transaction(
            self.id,
            kind,
            self.key,
            self._intent,
            tuple(_move(members) for members in result["postings"]),
            tuple(entries[entry_id] for entry_id in self.entry_ids),
            _hold(result["hold"]) if "hold" in result else None,
            self._reverses,
            json.loads(self._intent).get("metadata", {}),
            self._created_at,
        )


async def fetch_entries(session: Session, tenant: UUID, records: Iterable[DecisionRecord]) -> dict[EntryId, Entry]:
    """The entries that the records name. They never change, so it does not matter when they are read."""
    ids = list(dict.fromkeys(entry_id for record in records for entry_id in record.entry_ids))
    if not ids:
        return {}
    columns = {"wallet_id": list[Any](wallet_id for wallet_id, _ in ids), "version": [version for _, version in ids]}
    rows = await session.fetch(LOAD_ENTRIES, parameters(tenant, columns))
    return {(row["wallet_id"], row["version"]): entry_of(row) for row in rows}


def hold_of(row: Columns, status: HoldStatus | None = None, *, prefix: str = "") -> Hold:
    """The hold in a row of the table, or of one whose columns are called so behind a prefix; with another status if one
    is given."""
    return Hold(
        row[prefix + "id"],
        row[prefix + "wallet_id"],
        row[prefix + "destination"],
        row[prefix + "amount"],
        row[prefix + "captured"],
        HoldStatus(row[prefix + "status"]) if status is None else status,
        row[prefix + "expires_at"],
        row[prefix + "created_at"],
    )


def _metadata(text: str) -> Metadata:
    # Most wallets have none, and decoding that takes as long as all else in a row.
    return {} if text == NO_METADATA else cast(Metadata, json.loads(text))


def _move(members: Mapping[str, Any]) -> Move:
    return Move(
        _optional_uuid(members["source"]),
        _optional_uuid(members["destination"]),
        members["amount"],
        Currency(members["currency"]),
    )


def _hold(members: Mapping[str, Any]) -> Hold:
    return Hold(
        _uuid(members["id"]),
        _uuid(members["wallet_id"]),
        _optional_uuid(members["destination"]),
        members["amount"],
        members["captured"],
        HoldStatus(members["status"]),
        None if members["expires_at"] is None else datetime.fromisoformat(members["expires_at"]),
        datetime.fromisoformat(members["created_at"]),
    )


def _optional_uuid(text: str | None) -> UUID | None:
    return None if text is None else _uuid(text)


def _uuid(text: str) -> UUID:
    # The driver's kind, as in its rows: see ``adapters.ids``.
    return pgproto.UUID(text)
