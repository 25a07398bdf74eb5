"""The adapter's statements, each as the modelled PostgreSQL carries it out: reads on what is committed at that moment,
writes row by row, with the locks that they take and the conditions that they look at once more after a wait."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

import asyncpg
import attrs
from sqlalchemy import ClauseElement, Table

from adapters.postgres import statements
from adapters.postgres.schema import entries, holds, transactions, wallets
from tests.simulation.log import Log
from tests.simulation.tables import Row, Tables, check
from tests.simulation.transactions import Transaction
from wallet_core.ports import DUE_HOLDS_MAX

Parameters = Mapping[str, Any]

GUARD: Final = "the version guard of the update"

_HOLD_COLUMNS: Final = [c.name for c in holds.c if c.name != "tenant_id"]
_NOTHING: Final = dict.fromkeys(
    [
        "now",
        "id",
        *(f"{statements.HOLD}{name}" for name in _HOLD_COLUMNS),
        *(f"{statements.DECISION}{c.name}" for c in transactions.c),
    ]
)


# ------------------------------------------------------------------ reads


def _load_hold_wallets(tables: Tables, p: Parameters, _: datetime) -> list[Row]:
    return [tables.holds[id] for id in p["x_id"] if id in tables.holds]


def _load_transactions(tables: Tables, p: Parameters, _: datetime) -> list[Row]:
    found = (tables.transactions[id] for id in p["x_id"] if id in tables.transactions)
    return [row for row in found if row["outcome"] == "applied"]


def _load_batch(tables: Tables, p: Parameters, now: datetime) -> list[Row]:
    rows: list[Row] = [{**_NOTHING, "now": now}]
    found = [tables.wallets[id] for id in p["x_wallet_id"] if id in tables.wallets]
    rows.extend({**_NOTHING, **wallet} for wallet in found)
    held = [hold for wallet in found if wallet["held"] > 0 for hold in _due(tables, wallet, now)]
    held += [tables.holds[id] for id in p["x_hold_id"] if id in tables.holds]
    rows.extend({**_NOTHING, **{f"{statements.HOLD}{name}": hold[name] for name in _HOLD_COLUMNS}} for hold in held)
    decided = (row for key in p["x_key"] for row in tables.decided.get(key, ()))
    rows.extend({**_NOTHING, **{f"{statements.DECISION}{c}": value for c, value in row.items()}} for row in decided)
    return rows


def _due(tables: Tables, wallet: Row, now: datetime) -> list[Row]:
    due = [
        hold
        for hold in tables.holds.values()
        if hold["wallet_id"] == wallet["id"]
        and hold["status"] == "active"
        and hold["expires_at"] is not None
        and hold["expires_at"] <= now
    ]
    return sorted(due, key=itemgetter("expires_at"))[: DUE_HOLDS_MAX + 1]


def _load_reversed(tables: Tables, p: Parameters, _: datetime) -> list[Row]:
    return [{"reverses": id} for id in p["x_id"] if id in tables.reversed]


def _load_entries(tables: Tables, p: Parameters, _: datetime) -> list[Row]:
    named = zip(p["x_wallet_id"], p["x_version"], strict=True)
    return [row for entry_id in named for row in tables.entries.get(entry_id, ())]


# ------------------------------------------------------------------ writes


@attrs.frozen
class Writing:
    """What a write works with. ``between_rows`` lets others run, as they do on the server's other cores."""

    tables: Tables
    transaction: Transaction
    log: Log
    between_rows: Callable[[], Coroutine[Any, Any, None]]
    lacking: frozenset[str]


def _insert(table: str, schema: Table) -> "Write":
    parameters = [(c.name, f"x_{c.name}") for c in statements.brought(schema)]

    async def insert(w: Writing, p: Parameters) -> int:
        computed = w.transaction.place(w.lacking) if table == "transactions" else {}
        for place in range(len(p["x_created_at"])):
            if place:
                await w.between_rows()
            row = {**{name: p[parameter][place] for name, parameter in parameters}, **computed}
            check(table, row)
            if not await w.transaction.claim(list(w.tables.unique(table, row)), w.tables):
                raise asyncpg.UniqueViolationError("duplicate key value violates unique constraint")
            w.transaction.write(w.tables, table, row)
        return len(p["x_created_at"])

    return insert


async def _lock_wallets(w: Writing, p: Parameters) -> int:
    found = [id for id in p["x_id"] if id in w.tables.wallets]
    for number, id in enumerate(found):
        if number:
            await w.between_rows()
        await w.transaction.lock(("row of wallets", id, w.tables.tenant))
    return len(found)


async def _update_wallets(changing: Sequence[str], w: Writing, p: Parameters) -> int:
    """Rows are found as of the statement's beginning. A row that has been changed since is locked all the same, and
    its new state looked at once more."""
    loaded: Sequence[int] = p["x_loaded_version"]
    ids: Sequence[UUID] = p["x_id"]
    rows = w.tables.wallets
    unguarded = GUARD in w.lacking
    found = [
        place for place, id in enumerate(ids) if id in rows and (unguarded or rows[id]["version"] == loaded[place])
    ]
    if len(found) < len(ids):
        w.log.cover("the version had moved")
    written = 0
    for number, place in enumerate(found):
        if number:
            await w.between_rows()
        waited = await w.transaction.lock(("row of wallets", ids[place], w.tables.tenant))
        row = rows[ids[place]]
        if row["version"] != loaded[place] and not unguarded:
            w.log.cover("waited for a row: it had moved" if waited else "the version moved under way")
            continue
        if waited:
            w.log.cover("waited for a row: unmoved")
        after = {**row, **{name: p[f"x_{name}"][place] for name in changing}}
        check("wallets", after)
        w.transaction.write(w.tables, "wallets", after)
        written += 1
    return written


async def _update_holds(w: Writing, p: Parameters) -> int:
    rows = w.tables.holds
    found = [place for place, id in enumerate(p["x_id"]) if id in rows and rows[id]["status"] == "active"]
    written = 0
    for number, place in enumerate(found):
        if number:
            await w.between_rows()
        id: UUID = p["x_id"][place]
        await w.transaction.lock(("row of holds", id, w.tables.tenant))
        if rows[id]["status"] == "active":
            after = {**rows[id], "captured": p["x_captured"][place], "status": p["x_status"][place]}
            check("holds", after)
            w.transaction.write(w.tables, "holds", after)
            written += 1
    return written


Read = Callable[[Tables, Parameters, datetime], list[Row]]
Write = Callable[[Writing, Parameters], Coroutine[Any, Any, int]]

READS: Final[Mapping[ClauseElement, tuple[str, Read]]] = {
    statements.LOAD_HOLD_WALLETS: ("load-hold-wallets", _load_hold_wallets),
    statements.LOAD_TRANSACTIONS: ("load-transactions", _load_transactions),
    statements.LOAD_BATCH: ("load-batch", _load_batch),
    statements.LOAD_REVERSED: ("load-reversed", _load_reversed),
    statements.LOAD_ENTRIES: ("load-entries", _load_entries),
}
WRITES: Final[Mapping[ClauseElement, tuple[str, Write]]] = {
    statements.LOCK_WALLETS: ("lock-wallets", _lock_wallets),
    statements.INSERT_TRANSACTIONS: ("insert-transactions", _insert("transactions", transactions)),
    statements.INSERT_WALLETS: ("insert-wallets", _insert("wallets", wallets)),
    statements.UPDATE_BALANCES: ("update-wallets", partial(_update_wallets, statements.MOVING)),
    statements.UPDATE_WALLETS: ("update-wallets", partial(_update_wallets, (*statements.MOVING, *statements.SETTINGS))),
    statements.INSERT_ENTRIES: ("insert-entries", _insert("entries", entries)),
    statements.INSERT_HOLDS: ("insert-holds", _insert("holds", holds)),
    statements.UPDATE_HOLDS: ("update-holds", _update_holds),
}
