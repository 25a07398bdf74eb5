"""The lines of an exported ledger: JSON, one object a line. ``docs/command-line.md`` describes them.

What the hash chain covers stands in a line byte for byte as it is stored.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
from msgspec import Raw, Struct

from wallet_core.canonical import time_text

FORMAT: Final = "wallet export 1"
PORTION: Final = 2_000
"""Transactions between two marks. A mark is a place at which an export can go on, and an import knows that all lines
before it came as they were written."""
LINE_BYTES_MAX: Final = 1024 * 1024
"""Far above any line that the ledger makes: a hundred postings and 4 KiB of metadata."""


class FormatError(Exception):
    """The file is no export, or has been damaged. The message is for whoever brought it."""


class Row(Protocol):
    """A row, by names of columns."""

    def __getitem__(self, name: str, /) -> Any:
        """The column's value."""
        ...


class Tenant(Struct, forbid_unknown_fields=True):
    """Whose ledger it is."""

    id: UUID
    name: str


class Header(Struct, forbid_unknown_fields=True):
    """The first line."""

    format: str
    tenant: Tenant


class Entry(Struct, forbid_unknown_fields=True):
    """An entry of a transaction."""

    wallet_id: str
    version: int
    change: int
    held_change: int
    balance_after: int
    held_after: int
    hash: str


class Transaction(Struct, forbid_unknown_fields=True):
    """What was decided under a key: applied, rejected or fenced."""

    id: str
    key: str
    kind: str
    outcome: str
    created_at: str
    reverses: str | None
    intent: Raw
    result: Raw
    entries: list[Entry]


class Mark(Struct, forbid_unknown_fields=True):
    """How much came before, and its SHA-256 in hex."""

    transactions: int
    entries: int
    sha256: str


class End(Struct, forbid_unknown_fields=True):
    """The last line: how much there is of everything, the time of it, and the SHA-256 of all lines before."""

    at: str
    transactions: int
    decisions: int
    entries: int
    wallets: int
    holds: int
    sha256: str


class Line(Struct, forbid_unknown_fields=True):
    """Any line but the first: exactly one of these."""

    transaction: Transaction | None = None
    mark: Mark | None = None
    # Empty if it is neither.
    wallet: Raw = Raw()
    hold: Raw = Raw()
    end: End | None = None


class Named(Struct):
    """Something that has an id."""

    id: UUID


class _Result(Struct):
    entries: list[tuple[str, int]]


_header = msgspec.json.Decoder(Header).decode
_line = msgspec.json.Decoder(Line).decode
_named = msgspec.json.Decoder(Named).decode
_entries = msgspec.json.Decoder(_Result).decode
_quoted = json.encoder.encode_basestring


def read_header(text: bytes) -> Header:
    """The first line. Raises ``FormatError``."""
    try:
        header = _header(text)
    except (msgspec.MsgspecError, ValueError) as error:
        raise FormatError("the first line is none of an export") from error
    if header.format != FORMAT:
        raise FormatError(f"the format is {header.format!r}, and {FORMAT!r} is what can be read here")
    return header


def read_line(text: bytes, number: int) -> Line:
    """A line. Raises ``FormatError``."""
    try:
        return _line(text)
    except (msgspec.MsgspecError, ValueError) as error:
        raise FormatError(f"line {number} is none of an export: {error}") from error


def id_of(members: Raw, number: int) -> UUID:
    """The id of a wallet or hold. Raises ``FormatError``."""
    try:
        return _named(members).id
    except (msgspec.MsgspecError, ValueError) as error:
        raise FormatError(f"line {number} has no id") from error


def header_line(id: UUID, name: str) -> bytes:
    """The first line."""
    return _compact({"format": FORMAT, "tenant": {"id": str(id), "name": name}})


def transaction_line(row: Row, entries: Iterable[Row]) -> str:
    """A transaction with its entries, as its rows are."""
    told = ",".join(
        f'{{"wallet_id":"{entry["wallet_id"]}","version":{entry["version"]},"change":{entry["change"]},'
        f'"held_change":{entry["held_change"]},"balance_after":{entry["balance_after"]},'
        f'"held_after":{entry["held_after"]},"hash":"{entry["hash"].hex()}"}}'
        for entry in entries
    )
    reverses = "null" if row["reverses"] is None else f'"{row["reverses"]}"'
    return (
        f'{{"transaction":{{"id":"{row["id"]}","key":{_quoted(row["idempotency_key"])},"kind":"{row["kind"]}",'
        f'"outcome":"{row["outcome"]}","created_at":"{time_text(row["created_at"])}","reverses":{reverses},'
        f'"intent":{row["intent"]},"result":{row["result"]},"entries":[{told}]}}}}\n'
    )


def wallet_line(row: Row) -> str:
    """A wallet, as its row is."""
    members = {
        "id": str(row["id"]),
        "currency": row["currency"],
        "balance": row["balance"],
        "held": row["held"],
        "floor": row["floor"],
        "ceiling": row["ceiling"],
        "status": row["status"],
        "version": row["version"],
        "head": row["head"].hex(),
        "created_at": time_text(row["created_at"]),
        "updated_at": time_text(row["updated_at"]),
        "metadata": json.loads(row["metadata"]),
    }
    return _compact({"wallet": members}).decode()


def hold_line(row: Row) -> str:
    """A hold, as its row is."""
    members = {
        "id": str(row["id"]),
        "wallet_id": str(row["wallet_id"]),
        "destination": None if row["destination"] is None else str(row["destination"]),
        "amount": row["amount"],
        "captured": row["captured"],
        "status": row["status"],
        "expires_at": None if row["expires_at"] is None else time_text(row["expires_at"]),
        "created_at": time_text(row["created_at"]),
    }
    return _compact({"hold": members}).decode()


def mark_line(transactions: int, entries: int, sha256: str) -> bytes:
    """A mark."""
    return _compact({"mark": {"transactions": transactions, "entries": entries, "sha256": sha256}})


def end_line(counts: Mapping[str, int], at: str, sha256: str) -> bytes:
    """The last line."""
    return _compact({"end": {"at": at, **counts, "sha256": sha256}})


def entries_named(results: Sequence[str]) -> list[list[tuple[str, int]]]:
    """The entries that each result of a transaction names, by wallet and version."""
    return [[(wallet_id, version) for wallet_id, version in _entries(result).entries] for result in results]


def _compact(members: Mapping[str, Any]) -> bytes:
    return (json.dumps(members, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
