"""What a batch writes: statements, in the one order in which everybody writes, each with its rows."""

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Insert, Update

from adapters.postgres import statements
from adapters.postgres.records import FENCE_INTENT, NO_METADATA, result_of
from wallet_core.canonical import canonical_json, canonical_metadata
from wallet_core.model import Decision, Fence, Kind, Rejection, Transaction, Wallet
from wallet_core.ports import Changes

Arrays = Mapping[str, Sequence[Any]]
"""The values that a statement brings along, by column."""

Write = tuple[Insert | Update, int, Arrays]
"""A statement, how many rows it has to write, and these."""

OUTCOMES: Final[Mapping[type[Decision], str]] = {Transaction: "applied", Rejection: "rejected", Fence: "fenced"}


def writes_of(changes: Changes) -> Iterator[Write]:
    """Wallets first, because those may be locked before anything is written, then transactions, then entries; each in
    one order of keys in every process, so that two batches which share wallets, keys or reversed transactions wait for
    one another instead of dead-locking.

    The rows of a write are put together when it is its turn.
    """
    yield from wallet_writes(changes)
    decisions = sorted(changes.decisions, key=_order_of_writing)
    yield _decisions(decisions, changes.results)
    yield from _entries([decision for decision in decisions if isinstance(decision, Transaction)])
    yield from _holds(changes)


def _decisions(decisions: Sequence[Decision], results: Mapping[UUID, str]) -> Write:
    return (
        statements.INSERT_TRANSACTIONS,
        len(decisions),
        {
            "id": [decision.id for decision in decisions],
            "created_at": [decision.created_at for decision in decisions],
            "reverses": [decision.reverses if isinstance(decision, Transaction) else None for decision in decisions],
            "idempotency_key": [decision.key for decision in decisions],
            "outcome": [OUTCOMES[type(decision)] for decision in decisions],
            "kind": ["fence" if isinstance(decision, Fence) else decision.kind.value for decision in decisions],
            "intent": [FENCE_INTENT if isinstance(decision, Fence) else decision.intent for decision in decisions],
            "result": [results.get(decision.id) or result_of(decision) for decision in decisions],
        },
    )


def wallet_writes(changes: Changes) -> Iterator[Write]:
    """The writes of wallets alone."""
    updated = sorted(changes.updated_wallets, key=lambda guarded: guarded[1].id)
    if updated:
        # One statement for all of them: two could lock wallets in another order than other writers do.
        changed = any(isinstance(d, Transaction) and d.kind is Kind.CHANGE for d in changes.decisions)
        wallets = [wallet for _, wallet in updated]
        loaded_versions = {"loaded_version": [loaded_version for loaded_version, _ in updated]}
        columns = loaded_versions | _moving(wallets) | (_settings(wallets) if changed else {})
        yield statements.UPDATE_WALLETS if changed else statements.UPDATE_BALANCES, len(updated), columns
    opened = sorted(changes.opened_wallets, key=attrgetter("id"))
    if opened:
        made: Arrays = {
            "currency": [wallet.currency for wallet in opened],
            "created_at": [wallet.created_at for wallet in opened],
        }
        yield statements.INSERT_WALLETS, len(opened), {**made, **_moving(opened), **_settings(opened)}


def _entries(transactions: Sequence[Transaction]) -> Iterator[Write]:
    rows = [(entry, transaction) for transaction in transactions for entry in transaction.entries]
    if rows:
        columns: Arrays = {
            "wallet_id": [entry.wallet_id for entry, _ in rows],
            "version": [entry.version for entry, _ in rows],
            "transaction_id": [transaction.id for _, transaction in rows],
            "change": [entry.change for entry, _ in rows],
            "held_change": [entry.held_change for entry, _ in rows],
            "balance_after": [entry.balance_after for entry, _ in rows],
            "held_after": [entry.held_after for entry, _ in rows],
            "created_at": [transaction.created_at for _, transaction in rows],
            "hash": [entry.hash for entry, _ in rows],
        }
        yield statements.INSERT_ENTRIES, len(rows), columns


def _holds(changes: Changes) -> Iterator[Write]:
    placed, updated = changes.placed_holds, changes.updated_holds
    columns: Arrays
    if placed:
        columns = {
            "id": [hold.id for hold in placed],
            "wallet_id": [hold.wallet_id for hold in placed],
            "destination": [hold.destination for hold in placed],
            "amount": [hold.amount for hold in placed],
            "captured": [hold.captured for hold in placed],
            "expires_at": [hold.expires_at for hold in placed],
            "created_at": [hold.created_at for hold in placed],
            "status": [hold.status.value for hold in placed],
        }
        yield statements.INSERT_HOLDS, len(placed), columns
    if updated:
        columns = {
            "id": [hold.id for hold in updated],
            "captured": [hold.captured for hold in updated],
            "status": [hold.status.value for hold in updated],
        }
        yield statements.UPDATE_HOLDS, len(updated), columns


def _order_of_writing(decision: Decision) -> tuple[bytes, str]:
    # A reversal takes two unique values: its key, and what it reverses, of which there is one row whatever the key.
    reverses = decision.reverses if isinstance(decision, Transaction) else None
    return b"" if reverses is None else reverses.bytes, decision.key


def _moving(wallets: Sequence[Wallet]) -> dict[str, Sequence[Any]]:
    return {
        "id": [wallet.id for wallet in wallets],
        "version": [wallet.version for wallet in wallets],
        "balance": [wallet.balance for wallet in wallets],
        "held": [wallet.held for wallet in wallets],
        "updated_at": [wallet.updated_at for wallet in wallets],
        "head": [wallet.head for wallet in wallets],
    }


def _settings(wallets: Sequence[Wallet]) -> dict[str, Sequence[Any]]:
    return {
        "floor": [wallet.floor for wallet in wallets],
        "ceiling": [wallet.ceiling for wallet in wallets],
        "status": [wallet.status.value for wallet in wallets],
        "metadata": [
            canonical_json({**canonical_metadata(wallet.metadata)}) if wallet.metadata else NO_METADATA
            for wallet in wallets
        ],
    }
