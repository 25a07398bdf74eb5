"""What the owner of a database can do to a ledger in it, and how to do it as inconspicuously as possible."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg
import attrs

from tests.verification.scene import TENANT
from wallet_core.findings import Check

Connection = asyncpg.Connection

_TIME: Final = """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""


@attrs.frozen
class Tampering:
    """Statements of the owner, and what becomes of them: ``found`` are the checks that fail, and no others do;
    ``place`` is a wallet, and a version if there is one, that a finding has to name.

    ``before`` takes away the constraints that would keep the owner from it.
    """

    name: str
    statements: Sequence[str]
    found: set[Check]
    place: tuple[UUID | None, int | None]
    before: Sequence[str] = ()


@attrs.frozen
class Owner:
    """The database's owner, in one transaction: whatever constraints are in place hold at its end."""

    connection: Connection

    async def do(self, *statements: str) -> None:
        """Run statements. Each must change something."""
        for statement in statements:
            tag = await self.connection.execute(statement)
            if tag.endswith(" 0"):
                raise AssertionError(f"nothing was changed by {statement}")

    async def ask(self, question: str) -> Any:
        """The one value that a query finds."""
        return await self.connection.fetchval(question)

    async def forget_wallet(self, wallet_id: UUID) -> None:
        """Delete a wallet which has dealings with the outside only, and every trace of it."""
        await self.do(
            f"CREATE TEMP TABLE doomed AS SELECT transaction_id AS id FROM entries WHERE {entries_of(wallet_id)}",
            f"DELETE FROM entries WHERE {entries_of(wallet_id)}",
            f"DELETE FROM wallets WHERE {row_of(wallet_id)}",
            f"DELETE FROM transactions WHERE tenant_id = '{TENANT}' AND id IN (SELECT id FROM doomed)",
            "DROP TABLE doomed",
        )

    async def rechain(self, wallet_id: UUID) -> None:
        """Work out the hashes of a wallet's entries anew, from what they and their transactions say now."""
        rows = await self.connection.fetch(
            "SELECT e.version, e.change, e.held_change, e.balance_after, e.held_after, t.id, t.idempotency_key AS key,"
            f" t.kind, to_char(t.created_at, {_TIME}) AS time, t.intent::text AS intent, t.result::text AS result"
            f" FROM (SELECT * FROM entries WHERE {entries_of(wallet_id)}) e"
            " JOIN transactions t ON t.tenant_id = e.tenant_id AND t.id = e.transaction_id ORDER BY e.version"
        )
        last = "0" * 64
        for row in rows:
            lines = ["wallet transaction 1", row["id"], row["key"], row["kind"], row["time"]]
            digest = _sha256(*lines, row["intent"], row["result"])
            numbers = [row[name] for name in ("version", "change", "held_change", "balance_after", "held_after")]
            last = _sha256("wallet entry 1", last, wallet_id, *numbers, digest)
            await self.do(rf"UPDATE entries SET hash = '\x{last}' WHERE {entry(wallet_id, row['version'])}")
        await self.do(rf"UPDATE wallets SET head = '\x{last}' WHERE {row_of(wallet_id)}")


def _sha256(*lines: object) -> str:
    return hashlib.sha256("\n".join(map(str, lines)).encode()).hexdigest()


def entries_of(wallet_id: UUID) -> str:
    """SQL: the entries of this wallet."""
    return f"tenant_id = '{TENANT}' AND wallet_id = '{wallet_id}'"


def entry(wallet_id: UUID, version: int) -> str:
    """SQL: one entry."""
    return f"{entries_of(wallet_id)} AND version = {version}"


def row_of(id: UUID) -> str:
    """SQL: the wallet, hold or transaction with this id."""
    return f"tenant_id = '{TENANT}' AND id = '{id}'"


def of(key: str) -> str:
    """SQL: the transaction with this key."""
    return f"tenant_id = '{TENANT}' AND idempotency_key = '{key}'"


def said(key: str, column: str, old: str, new: str) -> str:
    """SQL: write something else where a transaction's intent or result says something."""
    return (
        f"UPDATE transactions SET {column} = replace({column}::text, $old${old}$old$, $new${new}$new$)::json"
        f" WHERE {of(key)} AND strpos({column}::text, $old${old}$old$) > 0"
    )


async def tamper(dsn: str, change: Callable[[Owner], Awaitable[None]], *before: str) -> None:
    """Have the owner change the ledger; ``before`` takes constraints away first."""
    connection: Connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            for statement in before:
                await connection.execute(statement)
            await change(Owner(connection))
    finally:
        await connection.close()
