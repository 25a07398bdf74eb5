"""The JSON of what the service answers: the contract's shapes, made of the core's model.

The classes are encoded member by member in the order written here, and are the source of the OpenAPI schemas.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from wallet_core import model
from wallet_core.canonical import time_text
from wallet_core.commands import OpenWallet
from wallet_core.model import HoldStatus, Kind, WalletStatus
from wallet_core.money import AMOUNT_MAX
from wallet_core.ports import EntryRecord, PastWallet

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"}, description="RFC 3339, UTC, microseconds")]
Amount = Annotated[int, Meta(ge=1, le=AMOUNT_MAX, description="in minor units")]
Units = Annotated[int, Meta(ge=-AMOUNT_MAX, le=AMOUNT_MAX, description="in minor units")]
Version = Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]
ProblemMembers = Annotated[dict[str, Any], Meta(extra_json_schema={"$ref": "#/components/schemas/Problem"})]


class Wallet(Struct):
    """A wallet as it is. ``available`` = balance − held − floor. Its version is the number of its entries."""

    id: UUID
    currency: str
    balance: Units
    held: Units
    available: Annotated[int, Meta(description="in minor units")]
    floor: Units
    ceiling: Units | None
    status: WalletStatus
    version: Version
    metadata: dict[str, str]
    created_at: Time
    updated_at: Time


class PastWalletState(Struct):
    """A wallet as one of its entries left it; ``at`` is that entry's time."""

    id: UUID
    currency: str
    balance: Units
    held: Units
    version: Version
    at: Time


class Posting(Struct):
    """A movement that was carried out. No source: it came from outside. No destination: it left."""

    source: UUID | None
    destination: UUID | None
    amount: Amount
    currency: str


class Entry(Struct):
    """What a transaction did to one wallet, and the hash that chains it to the wallet's entry before."""

    wallet_id: UUID
    version: Version
    change: Units
    held_change: Units
    balance_after: Units
    held_after: Units
    hash: Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9a-f]{64}$"})]


class WalletEntry(Entry):
    """An entry of a wallet, with what its transaction says of it."""

    transaction_id: UUID
    kind: Kind
    created_at: Time


class Hold(Struct):
    """An amount set aside. ``remaining`` is what it still reserves: 0 unless it is active."""

    id: UUID
    wallet_id: UUID
    destination: UUID | None
    amount: Amount
    captured: Units
    remaining: Units
    status: HoldStatus
    expires_at: Time | None
    created_at: Time


class Transaction(Struct):
    """A receipt: what one command did. It never changes."""

    id: UUID
    kind: Kind
    idempotency_key: str
    postings: list[Posting]
    entries: list[Entry]
    hold: Hold | None
    reverses: UUID | None
    metadata: dict[str, str]
    created_at: Time


class Decided(Struct, omit_defaults=True):
    """What was decided under an idempotency key."""

    key: str
    outcome: Literal["applied", "rejected", "fenced"]
    transaction: Transaction | UnsetType = UNSET
    problem: ProblemMembers | UnsetType = UNSET


class BatchResult(Struct, omit_defaults=True):
    """The answer to one command of a batch: what it would have got as a request of its own."""

    status: Annotated[int, Meta(ge=200, le=599)]
    replayed: bool
    transaction: Transaction | UnsetType = UNSET
    problem: ProblemMembers | UnsetType = UNSET


class BatchResults(Struct):
    """One result per command, in order."""

    results: list[BatchResult]


class WalletPage(Struct):
    """A page of wallets."""

    items: list[Wallet]
    next_cursor: str | None


class EntryPage(Struct):
    """A page of a wallet's entries, newest first."""

    items: list[WalletEntry]
    next_cursor: str | None


class TransactionPage(Struct):
    """A page of transactions, newest first."""

    items: list[Transaction]
    next_cursor: str | None


class Event(Struct):
    """A transaction of the tenant, and the cursor to go on from after it."""

    cursor: str
    transaction: Transaction


class EventPage(Struct):
    """Events in their order, and the cursor to go on from, whether or not there are any."""

    items: list[Event]
    next_cursor: str


class HoldPage(Struct):
    """A page of a wallet's holds, newest first."""

    items: list[Hold]
    next_cursor: str | None


class Health(Struct, omit_defaults=True):
    """How the service is, and what it lacks."""

    status: Literal["ok", "unavailable"]
    missing: list[Literal["database"]] = []


encode = msgspec.json.Encoder().encode
"""Any of these shapes as JSON."""


class _OpenIntent(Struct):
    """What the intent of an open transaction says; see ``commands.OpenWallet.intent``."""

    currency: str
    floor: int
    ceiling: int | None


_open_intent = msgspec.json.Decoder(_OpenIntent).decode


def wallet(wallet: model.Wallet) -> Wallet:
    """A wallet as it is."""
    return Wallet(
        wallet.id,
        wallet.currency,
        wallet.balance,
        wallet.held,
        wallet.available,
        wallet.floor,
        wallet.ceiling,
        wallet.status,
        wallet.version,
        dict(wallet.metadata),
        time_text(wallet.created_at),
        time_text(wallet.updated_at),
    )


def opened_wallet(transaction: model.Transaction) -> Wallet:
    """The wallet that an open transaction opened, as it was then: a function of the transaction alone, so that a
    replay has the same bytes whatever has happened to the wallet since."""
    if transaction.kind is not OpenWallet.kind:
        raise ValueError(f"a transaction of the kind {transaction.kind} opens no wallet")
    (entry,) = transaction.entries
    intent = _open_intent(transaction.intent)
    opened_at = time_text(transaction.created_at)
    return Wallet(
        entry.wallet_id,
        intent.currency,
        entry.balance_after,
        entry.held_after,
        entry.balance_after - entry.held_after - intent.floor,
        intent.floor,
        intent.ceiling,
        WalletStatus.ACTIVE,
        entry.version,
        dict(transaction.metadata),
        opened_at,
        opened_at,
    )


def past_wallet(past: PastWallet) -> PastWalletState:
    """A wallet as it was."""
    return PastWalletState(past.id, past.currency, past.balance, past.held, past.version, time_text(past.at))


def transaction(transaction: model.Transaction) -> Transaction:
    """A receipt."""
    return Transaction(
        transaction.id,
        transaction.kind,
        transaction.key,
        [Posting(move.source, move.destination, move.amount, move.currency) for move in transaction.moves],
        _entries(transaction.entries),
        None if transaction.hold is None else hold(transaction.hold),
        transaction.reverses,
        dict(transaction.metadata),
        time_text(transaction.created_at),
    )


def hold(hold: model.Hold) -> Hold:
    """A hold."""
    return Hold(
        hold.id,
        hold.wallet_id,
        hold.destination,
        hold.amount,
        hold.captured,
        hold.remaining,
        hold.status,
        None if hold.expires_at is None else time_text(hold.expires_at),
        time_text(hold.created_at),
    )


def wallet_entry(record: EntryRecord) -> WalletEntry:
    """An entry in the list of its wallet's."""
    entry = record.entry
    return WalletEntry(
        entry.wallet_id,
        entry.version,
        entry.change,
        entry.held_change,
        entry.balance_after,
        entry.held_after,
        entry.hash.hex(),
        record.transaction_id,
        record.kind,
        time_text(record.created_at),
    )


def _entries(entries: Sequence[model.Entry]) -> list[Entry]:
    return [
        Entry(
            entry.wallet_id,
            entry.version,
            entry.change,
            entry.held_change,
            entry.balance_after,
            entry.held_after,
            entry.hash.hex(),
        )
        for entry in entries
    ]
