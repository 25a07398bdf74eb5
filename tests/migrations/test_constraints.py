"""The database refuses what the core must never do: each constraint has a row here that only it refuses."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from adapters.postgres.schema import RATE_LIMIT_MAX, metadata
from wallet_core.money import AMOUNT_MAX

Row = Mapping[str, Any]

THEN = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
HASH = bytes(32)
TENANT, OTHER_TENANT, UNKNOWN = UUID(int=1), UUID(int=2), UUID(int=99)
WALLET, EMPTY_WALLET, TRANSACTION = UUID(int=3), UUID(int=4), UUID(int=5)

VALID: dict[str, Row] = {
    "tenants": {"id": TENANT, "name": "acme", "created_at": THEN, "suspended_at": THEN},
    "api_keys": {
        "tenant_id": TENANT,
        "id": UUID(int=7),
        "secret_sha256": HASH,
        "name": "till",
        "scopes": ["read", "write"],
        "created_at": THEN,
        "revoked_at": None,
        "expires_at": THEN + timedelta(seconds=1),
        "rate_limit_per_s": 1,
    },
    "wallets": {
        "tenant_id": TENANT,
        "id": WALLET,
        "version": 1,
        "balance": 5,
        "held": 1,
        "floor": -2,
        "ceiling": 9,
        "created_at": THEN,
        "updated_at": THEN,
        "currency": "EUR",
        "status": "active",
        "head": HASH,
        "metadata": "{}",
    },
    "transactions": {
        "tenant_id": TENANT,
        "id": TRANSACTION,
        "created_at": THEN,
        "reverses": None,
        "idempotency_key": "key",
        "outcome": "applied",
        "kind": "post",
        "intent": "{}",
        "result": "{}",
    },
    "entries": {
        "tenant_id": TENANT,
        "wallet_id": WALLET,
        "version": 1,
        "transaction_id": TRANSACTION,
        "change": 5,
        "held_change": 1,
        "balance_after": 5,
        "held_after": 1,
        "created_at": THEN,
        "hash": HASH,
    },
    "holds": {
        "tenant_id": TENANT,
        "id": TRANSACTION,
        "wallet_id": WALLET,
        "destination": EMPTY_WALLET,
        "amount": 3,
        "captured": 2,
        "expires_at": THEN + timedelta(seconds=1),
        "created_at": THEN,
        "status": "active",
    },
    "replay_secret": {"id": 1, "secret": HASH},
    "event_clock": {"id": 1, "base": 0},
    "audit_log": {
        "tenant_id": TENANT,
        "id": UUID(int=9),
        "at": THEN,
        "actor": "root@host",
        "database_user": "owner",
        "action": "key.created",
        "subject": UUID(int=7),
        "details": "{}",
    },
}
PARENTS: list[tuple[str, Row]] = [
    ("tenants", VALID["tenants"]),
    ("tenants", {**VALID["tenants"], "id": OTHER_TENANT, "name": "other"}),
    ("wallets", {**VALID["wallets"], "id": EMPTY_WALLET, "balance": 0, "held": 0}),
]
"""What is there already in each case."""
NEEDED = {
    "tenants": [],
    "api_keys": [],
    "wallets": [],
    "transactions": [],
    "entries": ["wallets", "transactions"],
    "holds": ["wallets", "transactions"],
    "replay_secret": [],
    "event_clock": [],
    "audit_log": [],
}
"""Whose valid row is put there before a row of the table."""

NEVER_EMPTY = {"tenants", "replay_secret", "event_clock"}
"""Tables that have a row in each case: a parent, and those whose one row the migrations made."""

REVERSAL = {"id": UUID(int=8), "idempotency_key": "again", "kind": "reversal", "reverses": TRANSACTION}
TOO_MUCH = AMOUNT_MAX + 1

REFUSED: list[tuple[str, Row]] = [
    ("tenants_name_check", {"id": UNKNOWN, "name": "Acme"}),
    ("tenants_suspended_at_check", {"id": UNKNOWN, "suspended_at": THEN - timedelta(microseconds=1)}),
    ("tenants_pkey", {"name": "acme-2"}),
    ("api_keys_secret_sha256_check", {"secret_sha256": bytes(31)}),
    ("api_keys_scopes_check", {"scopes": ["read", "root"]}),
    ("api_keys_scopes_check", {"scopes": []}),
    ("api_keys_expires_at_check", {"expires_at": THEN}),
    ("api_keys_rate_limit_per_s_check", {"rate_limit_per_s": 0}),
    ("api_keys_rate_limit_per_s_check", {"rate_limit_per_s": RATE_LIMIT_MAX + 1}),
    ("api_keys_pkey", {"secret_sha256": bytes([1] * 32)}),
    ("api_keys_tenant_id_secret_sha256_key", {"id": UNKNOWN}),
    ("api_keys_tenant_id_fkey", {"tenant_id": UNKNOWN}),
    ("wallets_version_check", {"version": 0}),
    ("wallets_balance_range_check", {"balance": TOO_MUCH, "ceiling": None}),
    ("wallets_balance_range_check", {"balance": -TOO_MUCH, "held": 0, "floor": -TOO_MUCH}),
    ("wallets_held_range_check", {"held": -1}),
    ("wallets_held_range_check", {"balance": AMOUNT_MAX, "held": TOO_MUCH, "floor": -1, "ceiling": None}),
    ("wallets_floor_range_check", {"floor": 1}),
    ("wallets_floor_range_check", {"floor": -TOO_MUCH}),
    ("wallets_ceiling_range_check", {"balance": -2, "held": 0, "ceiling": -1}),
    ("wallets_ceiling_range_check", {"ceiling": TOO_MUCH}),
    ("wallets_floor_check", {"balance": 0, "held": 3}),
    ("wallets_ceiling_check", {"balance": 10}),
    ("wallets_currency_check", {"currency": "eur"}),
    ("wallets_status_check", {"status": "open"}),
    ("wallets_closed_is_empty_check", {"status": "closed", "held": 0}),
    ("wallets_closed_is_empty_check", {"status": "closed", "balance": 0}),
    ("wallets_time_check", {"updated_at": THEN - timedelta(microseconds=1)}),
    ("wallets_head_check", {"head": bytes(33)}),
    ("wallets_pkey", {}),
    ("wallets_tenant_id_fkey", {"tenant_id": UNKNOWN}),
    ("transactions_idempotency_key_check", {"idempotency_key": ""}),
    ("transactions_idempotency_key_check", {"idempotency_key": "k" * 256}),
    ("transactions_outcome_check", {"outcome": "pending"}),
    ("transactions_kind_check", {"kind": "payment"}),
    ("transactions_fence_check", {"outcome": "fenced"}),
    ("transactions_fence_check", {"kind": "fence"}),
    ("transactions_reverses_check", {**REVERSAL, "kind": "post"}),
    ("transactions_reverses_check", {**REVERSAL, "outcome": "rejected"}),
    ("transactions_pkey", {"idempotency_key": "other"}),
    ("transactions_tenant_id_idempotency_key_key", {"id": UNKNOWN}),
    ("transactions_reverses_key", {**REVERSAL, "id": UNKNOWN, "idempotency_key": "third"}),
    ("transactions_tenant_id_reverses_fkey", {**REVERSAL, "reverses": UNKNOWN}),
    ("transactions_tenant_id_reverses_fkey", {**REVERSAL, "tenant_id": OTHER_TENANT}),
    ("entries_version_check", {"version": 0}),
    ("entries_change_range_check", {"change": TOO_MUCH}),
    ("entries_change_range_check", {"change": -TOO_MUCH}),
    ("entries_held_change_range_check", {"held_change": TOO_MUCH}),
    ("entries_held_change_range_check", {"held_change": -TOO_MUCH}),
    ("entries_balance_after_range_check", {"balance_after": TOO_MUCH}),
    ("entries_balance_after_range_check", {"balance_after": -TOO_MUCH}),
    ("entries_held_after_range_check", {"held_after": -1}),
    ("entries_held_after_range_check", {"held_after": TOO_MUCH}),
    ("entries_hash_check", {"hash": b""}),
    ("entries_pkey", {}),
    ("entries_tenant_id_wallet_id_fkey", {"wallet_id": UNKNOWN}),
    ("entries_tenant_id_transaction_id_fkey", {"transaction_id": UNKNOWN}),
    ("holds_amount_check", {"amount": 0, "captured": 0, "status": "released"}),
    ("holds_amount_check", {"amount": TOO_MUCH}),
    ("holds_captured_check", {"captured": -1}),
    ("holds_captured_check", {"captured": 4, "status": "captured"}),
    ("holds_status_check", {"status": "pending"}),
    ("holds_active_check", {"captured": 3}),
    ("holds_destination_check", {"destination": WALLET}),
    ("holds_expires_at_check", {"expires_at": THEN}),
    ("holds_pkey", {}),
    ("holds_tenant_id_wallet_id_fkey", {"wallet_id": UNKNOWN}),
    ("holds_tenant_id_destination_fkey", {"destination": UNKNOWN}),
    ("holds_tenant_id_id_fkey", {"id": UNKNOWN}),
    ("replay_secret_id_check", {"id": 2}),
    ("replay_secret_secret_check", {"secret": bytes(31)}),
    ("replay_secret_pkey", {}),
    ("event_clock_id_check", {"id": 2}),
    ("event_clock_base_check", {"base": -1}),
    ("event_clock_pkey", {}),
    ("audit_log_actor_check", {"actor": ""}),
    ("audit_log_actor_check", {"actor": "a" * 201}),
    ("audit_log_action_check", {"action": "wallet.opened"}),
    ("audit_log_pkey", {}),
    ("audit_log_tenant_id_fkey", {"tenant_id": UNKNOWN}),
]


def table_of(constraint: str) -> str:
    return next(name for name in VALID if constraint.startswith(f"{name}_"))


async def put(connection: asyncpg.Connection, table: str, row: Row) -> None:
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", *row.values())


async def put_parents(connection: asyncpg.Connection, table: str) -> None:
    for parent, row in PARENTS:
        await put(connection, parent, row)
    for parent in NEEDED[table]:
        await put(connection, parent, VALID[parent])


def there_before(constraint: str) -> list[Row]:
    """The rows of its own table without which a constraint has nothing to refuse a row for."""
    valid = VALID[table_of(constraint)]
    match constraint.rpartition("_"):
        case ("transactions_reverses", _, "key"):
            return [valid, {**valid, **REVERSAL}]
        case ("transactions_tenant_id_reverses", _, "fkey"):
            return [valid]
        case (table, _, "pkey" | "key") if table not in NEVER_EMPTY:
            return [valid]
    return []


def test_each_constraint_has_a_row_that_it_refuses() -> None:
    all_names = {str(constraint.name) for table in metadata.tables.values() for constraint in table.constraints}
    all_names |= {str(index.name) for table in metadata.tables.values() for index in table.indexes if index.unique}
    assert {name for name, _ in REFUSED} == all_names


@pytest.mark.parametrize("table", VALID)
async def test_a_valid_row_is_taken(owner: asyncpg.Connection, table: str) -> None:
    await put_parents(owner, table)
    if table not in NEVER_EMPTY:
        await put(owner, table, VALID[table])
    assert await owner.fetchval(f"SELECT count(*) FROM {table}") >= 1


@pytest.mark.parametrize(("constraint", "changed"), REFUSED)
async def test_a_row_that_breaks_one_rule_is_refused_by_that_rule(
    owner: asyncpg.Connection, constraint: str, changed: Row
) -> None:
    table = table_of(constraint)
    await put_parents(owner, table)
    for row in there_before(constraint):
        await put(owner, table, row)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as caught:
        await put(owner, table, {**VALID[table], **changed})
    assert caught.value.constraint_name == constraint
