"""What the modelled PostgreSQL has committed: rows as the real one holds them, by names of columns."""

from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

import asyncpg
import attrs

from tests.concurrency.contents import Contents, EntryRow, HoldRow, TransactionRow, WalletRow

Row = Mapping[str, Any]
Key = tuple[str, Any, UUID]
"""What a transaction may have to wait for: an index or a table, a value in the index or an id, and the tenant."""


def _columns(type_: type[Any]) -> "itemgetter[str]":
    return itemgetter(*(field.name for field in attrs.fields(type_)))


_WALLET, _TRANSACTION, _ENTRY, _HOLD = (_columns(type_) for type_ in (WalletRow, TransactionRow, EntryRow, HoldRow))

TRANSACTION_KEY: Final = "transactions (tenant_id, idempotency_key)"
TRANSACTION_REVERSES: Final = "transactions (tenant_id, reverses)"
ENTRY_VERSION: Final = "entries (tenant_id, wallet_id, version)"


@attrs.define
class Tables:
    """The rows of one tenant, and the unique indexes that can be missing from them (``lacking``)."""

    tenant: UUID
    wallets: dict[UUID, Row] = attrs.field(factory=dict)
    transactions: dict[UUID, Row] = attrs.field(factory=dict)
    decided: dict[str, list[Row]] = attrs.field(factory=dict)
    reversed: set[UUID] = attrs.field(factory=set)
    entries: dict[tuple[UUID, int], list[Row]] = attrs.field(factory=dict)
    holds: dict[UUID, Row] = attrs.field(factory=dict)
    lacking: frozenset[str] = frozenset()

    def copy(self) -> "Tables":
        """The same rows, to go on from. Rows themselves never change."""
        return Tables(
            self.tenant,
            dict(self.wallets),
            dict(self.transactions),
            {key: list(rows) for key, rows in self.decided.items()},
            set(self.reversed),
            {key: list(rows) for key, rows in self.entries.items()},
            dict(self.holds),
            self.lacking,
        )

    def put(self, table: str, row: Row) -> None:
        """Have the row as committed; one that is updated is replaced."""
        if table == "wallets":
            self.wallets[row["id"]] = row
        elif table == "transactions":
            self.transactions[row["id"]] = row
            self.decided.setdefault(row["idempotency_key"], []).append(row)
            if row["reverses"] is not None:
                self.reversed.add(row["reverses"])
        elif table == "entries":
            self.entries.setdefault((row["wallet_id"], row["version"]), []).append(row)
        else:
            self.holds[row["id"]] = row

    def unique(self, table: str, row: Row) -> Iterator[Key]:
        """The row's values in the unique indexes of its table."""
        if table == "entries":
            if ENTRY_VERSION not in self.lacking:
                yield ENTRY_VERSION, (row["wallet_id"], row["version"]), self.tenant
            return
        yield table, row["id"], self.tenant
        if table == "transactions":
            if TRANSACTION_KEY not in self.lacking:
                yield TRANSACTION_KEY, row["idempotency_key"], self.tenant
            if row["reverses"] is not None and TRANSACTION_REVERSES not in self.lacking:
                yield TRANSACTION_REVERSES, row["reverses"], self.tenant

    def has(self, key: Key) -> bool:
        """Whether a committed row has this value."""
        index, value, _ = key
        if index == TRANSACTION_KEY:
            return value in self.decided
        if index == TRANSACTION_REVERSES:
            return value in self.reversed
        if index == ENTRY_VERSION:
            return value in self.entries
        if index == "transactions":
            return value in self.transactions
        return value in (self.wallets if index == "wallets" else self.holds)

    def contents(self) -> Contents:
        """All rows, as the checks of the tests with a real database take them."""
        entries = sorted(
            (row for rows in self.entries.values() for row in rows), key=itemgetter("wallet_id", "version")
        )
        transactions = sorted((row for rows in self.decided.values() for row in rows), key=itemgetter("id"))
        return Contents(
            [WalletRow(*_WALLET(row)) for row in sorted(self.wallets.values(), key=itemgetter("id"))],
            [TransactionRow(*_TRANSACTION(row)) for row in transactions],
            [EntryRow(*_ENTRY(row)) for row in entries],
            [HoldRow(*_HOLD(row)) for row in sorted(self.holds.values(), key=itemgetter("id"))],
        )


def check(table: str, row: Row) -> None:
    """The constraints that a wrong decision would run into. What they refuse is a bug of the core."""
    if table == "wallets":
        ceiling = row["ceiling"]
        fine = (
            row["held"] >= 0
            and row["balance"] - row["held"] >= row["floor"]
            and (ceiling is None or row["balance"] <= ceiling)
            and row["updated_at"] >= row["created_at"]
            and (row["status"] != "closed" or (row["balance"] == 0 and row["held"] == 0))
        )
    elif table == "holds":
        captured, amount = row["captured"], row["amount"]
        fine = 0 <= captured <= amount and (row["status"] != "active" or captured < amount)
    else:
        return
    if not fine:
        raise asyncpg.CheckViolationError(f"{table}: {row}")
