"""Fills a ledger with credits of 1, by SQL of its own that writes what the service would have written.

Rows, ids, receipts and hash chains are valid: ``wallet verify`` proves a filled ledger. Two things differ from one that
grew: foreign keys are not checked while it is filled, and indexes are built at the end, those that grow in no order
with the free space that random insertion leaves.
"""

import asyncio
from typing import Any, Final
from uuid import UUID

import asyncpg

from benchmarks.ledger import Ledger

WRITERS: Final = 2
"""Each has its share of the wallets."""

FILL_AFTER_RANDOM_INSERTION: Final = 70
"""Per cent. Pages that split in the middle are from half to entirely full."""

INDEXES: Final = {
    "transactions": ("transactions_pkey", "transactions_tenant_id_idempotency_key_key"),
    "entries": ("entries_pkey",),
}
IN_ORDER: Final = ("transactions_pkey",)

FORGET_INDEX: Final = """
    UPDATE pg_index SET indisready = false, indisvalid = false WHERE indexrelid = ANY($1::text[]::regclass[])
"""

STATE: Final = """
    CREATE TEMP TABLE state_0 AS
        SELECT id AS wallet_id, version, balance, held, head, updated_at AS at, currency FROM (
            SELECT *, row_number() OVER (ORDER BY id) AS place FROM wallets WHERE tenant_id = $1
        ) AS placed WHERE place % $2 = $3
"""

ROUND: Final = """
    WITH named AS MATERIALIZED (
        SELECT wallet_id, version + 1 AS version, balance + 1 AS balance, held, head, currency, now() AS at,
            to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at_text,
            overlay(overlay(gen_random_uuid()::text PLACING $2 FROM 1 FOR 13) PLACING '7' FROM 15)::uuid AS id,
            gen_random_uuid()::text AS key,
            '{"kind":"post","metadata":{},"postings":[{"amount":1,"destination":"' || wallet_id || '","source":null}]}'
                AS intent,
            '{"entries":[["' || wallet_id || '",' || (version + 1) || ']],"postings":[{"amount":1,"currency":"'
                || currency || '","destination":"' || wallet_id || '","source":null}]}' AS result
        FROM state_FROM
    ), made AS MATERIALIZED (
        SELECT *, sha256((
            E'wallet entry 1\n' || encode(head, 'hex') || E'\n' || wallet_id || E'\n' || version || E'\n1\n0\n'
            || balance || E'\n' || held || E'\n' || encode(sha256((
                E'wallet transaction 1\n' || id || E'\n' || key || E'\npost\n' || at_text || E'\n' || intent || E'\n'
                || result
            )::bytea), 'hex')
        )::bytea) AS hash FROM named
    ), inserted_transactions AS (
        INSERT INTO transactions (tenant_id, id, created_at, idempotency_key, outcome, kind, intent, result)
        SELECT $1, id, at, key, 'applied', 'post', intent::json, result::json FROM made
    ), inserted_entries AS (
        INSERT INTO entries (tenant_id, wallet_id, version, transaction_id, change, held_change, balance_after,
            held_after, created_at, hash)
        SELECT $1, wallet_id, version, id, 1, 0, balance, held, at, hash FROM made
    )
    INSERT INTO state_TO SELECT wallet_id, version, balance, held, hash, at, currency FROM made
"""

FINISH: Final = """
    UPDATE wallets SET version = s.version, balance = s.balance, head = s.head, updated_at = s.at
    FROM state_FROM AS s WHERE tenant_id = $1 AND id = s.wallet_id
"""


def fill(ledger: Ledger, transactions: int) -> int:
    """Add about so many transactions: as many to each wallet. Nobody may write meanwhile. Returns how many it were."""
    rounds = round(transactions / ledger.wallets)
    asyncio.run(_fill(ledger, rounds))
    return rounds * ledger.wallets


async def _fill(ledger: Ledger, rounds: int) -> None:
    connections = [await _connect(ledger.dsn) for _ in range(WRITERS)]
    owner = connections[0]
    try:
        names = [name for named in INDEXES.values() for name in named]
        await owner.execute(FORGET_INDEX, names)
        await asyncio.gather(
            *(_write(connection, ledger.tenant, rounds, place) for place, connection in enumerate(connections))
        )
        pairs = zip(connections, INDEXES.values(), strict=True)
        await asyncio.gather(*(_rebuild(connection, named) for connection, named in pairs))
        await owner.execute("VACUUM ANALYZE")
        await owner.execute("CHECKPOINT")
    finally:
        for connection in connections:
            await connection.close()


async def _connect(dsn: str) -> "asyncpg.Connection[Any]":
    # Statements take minutes; a foreign key's trigger would make that hours.
    settings = {
        "statement_timeout": "0",
        "session_replication_role": "replica",
        "work_mem": "256MB",
        "maintenance_work_mem": "1GB",
        "synchronous_commit": "off",
        "jit": "off",
    }
    return await asyncpg.connect(dsn, server_settings=settings)


async def _write(connection: "asyncpg.Connection[Any]", tenant: UUID, rounds: int, place: int) -> None:
    await connection.execute(STATE, tenant, WRITERS, place)
    await connection.execute("CREATE TEMP TABLE state_1 (LIKE state_0)")
    for number in range(rounds):
        source, target = number % 2, (number + 1) % 2
        async with connection.transaction():
            time_hex = await connection.fetchval(
                "SELECT lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0')"
            )
            written = ROUND.replace("state_FROM", f"state_{source}").replace("state_TO", f"state_{target}")
            await connection.execute(written, tenant, f"{time_hex[:8]}-{time_hex[8:]}")
            await connection.execute(f"TRUNCATE state_{source}")
    await connection.execute(FINISH.replace("state_FROM", f"state_{rounds % 2}"), tenant)


async def _rebuild(connection: "asyncpg.Connection[Any]", names: tuple[str, ...]) -> None:
    for name in names:
        if name not in IN_ORDER:
            await connection.execute(f"ALTER INDEX {name} SET (fillfactor = {FILL_AFTER_RANDOM_INSERTION})")
        await connection.execute(f"REINDEX INDEX {name}")
        await connection.execute(f"ALTER INDEX {name} RESET (fillfactor)")
