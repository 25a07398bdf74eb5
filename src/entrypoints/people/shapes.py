"""What was written, in the shapes of the API: see ``docs/command-line.md``. What is read is passed on as it came."""

from typing import Any

from wallet_core.canonical import time_text
from wallet_core.model import Hold, Transaction, Wallet

Members = dict[str, Any]


def wallet(wallet: Wallet) -> Members:
    """A wallet."""
    return {
        "id": str(wallet.id),
        "currency": wallet.currency,
        "balance": wallet.balance,
        "held": wallet.held,
        "available": wallet.available,
        "floor": wallet.floor,
        "ceiling": wallet.ceiling,
        "status": wallet.status.value,
        "version": wallet.version,
        "metadata": dict(wallet.metadata),
        "created_at": time_text(wallet.created_at),
        "updated_at": time_text(wallet.updated_at),
    }


def transaction(transaction: Transaction) -> Members:
    """A receipt."""
    return {
        "id": str(transaction.id),
        "kind": transaction.kind.value,
        "idempotency_key": transaction.key,
        "postings": [
            {
                "source": None if move.source is None else str(move.source),
                "destination": None if move.destination is None else str(move.destination),
                "amount": move.amount,
                "currency": move.currency,
            }
            for move in transaction.moves
        ],
        "entries": [
            {
                "wallet_id": str(entry.wallet_id),
                "version": entry.version,
                "change": entry.change,
                "held_change": entry.held_change,
                "balance_after": entry.balance_after,
                "held_after": entry.held_after,
                "hash": entry.hash.hex(),
            }
            for entry in transaction.entries
        ],
        "hold": None if transaction.hold is None else _hold(transaction.hold),
        "reverses": None if transaction.reverses is None else str(transaction.reverses),
        "metadata": dict(transaction.metadata),
        "created_at": time_text(transaction.created_at),
    }


def _hold(hold: Hold) -> Members:
    return {
        "id": str(hold.id),
        "wallet_id": str(hold.wallet_id),
        "destination": None if hold.destination is None else str(hold.destination),
        "amount": hold.amount,
        "captured": hold.captured,
        "remaining": hold.remaining,
        "status": hold.status.value,
        "expires_at": None if hold.expires_at is None else time_text(hold.expires_at),
        "created_at": time_text(hold.created_at),
    }
