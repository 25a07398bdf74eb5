"""A ledger of 100,000 wallets in seconds: written by the database itself, past the service."""

import hashlib
from typing import Final
from uuid import UUID

ROWS: Final = 100_000
TENANT: Final = UUID(int=0x7E0)


def wallet_id(number: int) -> UUID:
    """The id of a wallet, from 1 up. Ids are spread over the whole range, as if made in any order."""
    return UUID(hashlib.md5(b"wallet %d" % number, usedforsecurity=False).hexdigest())


def transaction_id(number: int) -> UUID:
    """The id of the only transaction of a wallet, and of the hold on it."""
    return UUID(hashlib.md5(b"transaction %d" % number, usedforsecurity=False).hexdigest())


def key(number: int) -> str:
    """The idempotency key of that transaction."""
    return f"key-{number}"


def tenant_statements() -> list[str]:
    """SQL that makes the tenant, and sees to it that there are no statistics but those that a test asks for."""
    tables = ("wallets", "transactions", "entries", "holds", "tenants")
    return [
        *(f"ALTER TABLE {table} SET (autovacuum_enabled = off)" for table in tables),
        f"INSERT INTO tenants (id, name, created_at) VALUES ('{TENANT}', 'filled', now())",
    ]


def fill_statements(last: int = ROWS, first: int = 1) -> list[str]:
    """SQL that makes the wallets of these numbers, of 1000 with a hold of 10, with a transaction and an entry each."""
    wallet, transaction = "md5('wallet ' || n)::uuid", "md5('transaction ' || n)::uuid"
    numbers = f"generate_series({first}, {last}) AS n"
    tenant, zeros = f"'{TENANT}'::uuid", f"'\\x{'00' * 32}'::bytea"
    result = f"""('{{"entries":[["' || {wallet} || '",1]],"postings":[{{"amount":1000,"currency":"EUR","destination":"'
        || {wallet} || '","source":null}}]}}')::json"""
    return [
        # Foreign keys are checked by triggers, which would take most of the time. What is written here observes them.
        "SET session_replication_role = replica",
        f"""INSERT INTO wallets (tenant_id, id, version, balance, held, floor, ceiling, created_at, updated_at,
            currency, status, head, metadata)
            SELECT {tenant}, {wallet}, 1, 1000, 10, 0, NULL, now(), now(), 'EUR', 'active', {zeros}, '{{}}'
            FROM {numbers}""",
        f"""INSERT INTO transactions (tenant_id, id, created_at, idempotency_key, outcome, kind, intent, result)
            SELECT {tenant}, {transaction}, now(), 'key-' || n, 'applied', 'post', '{{}}', {result} FROM {numbers}""",
        f"""INSERT INTO entries (tenant_id, wallet_id, version, transaction_id, change, held_change, balance_after,
            held_after, created_at, hash)
            SELECT {tenant}, {wallet}, 1, {transaction}, 1000, 10, 1000, 10, now(), {zeros} FROM {numbers}""",
        f"""INSERT INTO holds (tenant_id, id, wallet_id, amount, captured, expires_at, created_at, status)
            SELECT {tenant}, {transaction}, {wallet}, 10, 0, now() + interval '1 hour', now(), 'active'
            FROM {numbers}""",
        "SET session_replication_role = origin",
    ]
