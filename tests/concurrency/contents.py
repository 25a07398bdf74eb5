"""What a tenant's ledger holds, row by row, read as the database's owner and without the code under test."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import attrs


@attrs.frozen
class WalletRow:
    """A row of ``wallets``, as far as entries explain it."""

    id: UUID
    currency: str
    balance: int
    held: int
    floor: int
    ceiling: int | None
    version: int
    head: bytes


@attrs.frozen
class TransactionRow:
    """A row of ``transactions``. ``intent`` and ``result`` are the stored bytes, as text."""

    id: UUID
    idempotency_key: str
    outcome: str
    kind: str
    intent: str
    result: str
    reverses: UUID | None
    created_at: datetime

    @property
    def asked(self) -> Mapping[str, Any]:
        """The intent, parsed."""
        parsed: Mapping[str, Any] = json.loads(self.intent)
        return parsed

    @property
    def came_to(self) -> Mapping[str, Any]:
        """The result, parsed."""
        parsed: Mapping[str, Any] = json.loads(self.result)
        return parsed


@attrs.frozen
class EntryRow:
    """A row of ``entries``."""

    wallet_id: UUID
    version: int
    transaction_id: UUID
    change: int
    held_change: int
    balance_after: int
    held_after: int
    hash: bytes


@attrs.frozen
class HoldRow:
    """A row of ``holds``."""

    id: UUID
    wallet_id: UUID
    amount: int
    captured: int
    status: str


@attrs.frozen
class Contents:
    """All rows of one tenant, at one instant. Entries are in order of wallet and version."""

    wallets: Sequence[WalletRow]
    transactions: Sequence[TransactionRow]
    entries: Sequence[EntryRow]
    holds: Sequence[HoldRow]


async def read_contents(dsn: str, tenant: UUID) -> Contents:
    """Everything that the tenant has, in one snapshot."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return Contents(
                await _rows(connection, WalletRow, "wallets", tenant, "id"),
                await _rows(connection, TransactionRow, "transactions", tenant, "id"),
                await _rows(connection, EntryRow, "entries", tenant, "wallet_id, version"),
                await _rows(connection, HoldRow, "holds", tenant, "id"),
            )
    finally:
        await connection.close()


async def _rows(connection: asyncpg.Connection, type_: type[Any], table: str, tenant: UUID, order: str) -> list[Any]:
    columns = ", ".join(field.name for field in attrs.fields(type_))
    rows = await connection.fetch(f"SELECT {columns} FROM {table} WHERE tenant_id = $1 ORDER BY {order}", tenant)
    return [type_(*row.values()) for row in rows]
