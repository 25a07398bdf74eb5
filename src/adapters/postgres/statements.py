"""The statements of a batch: set-based, a fixed number however large the batch is.

They keep to what a sharded PostgreSQL can route to one shard: each names its tenant for every table, inserts select
the tenant from its table, and nothing volatile is called but for the order of events. Arrays come in through
``unnest``. Rows are written in the order of the arrays, which the unit of work sorts, so that two batches lock what
they share in one order.

How rows are found is written into the statements and not left to the planner. Of tables without statistics, or those
that have grown since a plan was made and kept, it believes that a tenant has one row, and would go through all of a
tenant's rows for each batch. See ``engine.INDEX_ONLY_PLANS`` for the settings that go with this.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    Column,
    ColumnElement,
    CompoundSelect,
    DateTime,
    FromClause,
    Insert,
    Integer,
    LargeBinary,
    ScalarSelect,
    Select,
    Subquery,
    Table,
    Text,
    Update,
    Uuid,
    and_,
    any_,
    bindparam,
    cast,
    func,
    insert,
    literal_column,
    null,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.types import JSON, TypeEngine

from adapters.postgres.schema import entries, event_clock, holds, tenants, transactions, wallets
from wallet_core.ports import DUE_HOLDS_MAX

TENANT = bindparam("tenant", type_=Uuid)
# In the text of a statement, so that the planner can tell that a partial index covers it, also in a plan it keeps.
ACTIVE = literal_column("'active'", Text())
APPLIED = literal_column("'applied'", Text())


def from_base(xid: str) -> ScalarSelect[Any]:
    """An id of a transaction, as SQL, as a position of events: counted from the base."""
    position = event_clock.c.base + literal_column(xid, BigInteger())
    return select(position).where(event_clock.c.id == literal_column("1", Integer())).scalar_subquery()


POSITION = from_base(
    "GREATEST(pg_current_xact_id()::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)"
)
"""Where the transactions that a statement inserts stand in the order of events (``docs/decisions/0015``): no lower than
any transaction that has ended by now, and no lower than this one's own id, below which no reader looks before it ends.
"""

LSN = select(literal_column("(pg_current_wal_insert_lsn() - '0/0')::bigint", BigInteger())).scalar_subquery()
"""What decides between two of the same position: how much had been logged when the rows were inserted."""

# A sub-query that refers to nothing outside is carried out once for the statement, however many rows there are.
_COMPUTED: dict[str, ColumnElement[Any]] = {"position": POSITION, "lsn": LSN}

PLACE: Final = "place"
"""The number of a row among those that are brought along, where their order has to be kept."""

DECISION = "decision_"
"""What the columns of a decision are called, in a row that has others as well, begins with this."""

HOLD = "hold_"
"""The same for a hold."""

_CARRIED: dict[type[TypeEngine[Any]], TypeEngine[Any]] = {
    Uuid: Uuid(),
    BigInteger: BigInteger(),
    DateTime: DateTime(timezone=True),
    LargeBinary: LargeBinary(),
    Text: Text(),
    JSON: JSON(),
}
"""As which type a column's values travel in an array."""


def rows_of(columns: dict[str, TypeEngine[Any]], name: str = "x") -> Subquery:
    """``unnest`` of one array parameter for each column, side by side: the rows that a batch brings along.

    As a function in FROM it would first be written, array by array, to stores of rows that it is then read from. In a
    list of columns PostgreSQL takes it row by row, in half of the time.
    """
    rows = (func.unnest(_array(column, type_), type_=type_).label(column) for column, type_ in columns.items())
    return select(*rows).subquery(name)


def _array(column_name: str, type_: TypeEngine[Any]) -> BindParameter[Any]:
    return bindparam(f"x_{column_name}", type_=ARRAY(type_))


def each(found: Select[Any], name: str) -> FromClause:
    """What is found for each row of the table or array that ``found`` refers to, looked up row by row.

    OFFSET 0 keeps the planner from merging the look-up into the whole query, where it could turn the join around.
    """
    return found.offset(literal_column("0", Integer())).lateral(name)


def look_up(found: Select[Any], x: Subquery) -> Select[Any]:
    """All that is found, row by row of ``x``."""
    f = each(found, "f")
    return select(f).select_from(x.join(f, true()))


def parameters(tenant: UUID, rows: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The parameters of a statement of this module: the tenant, and for each column its values, row by row."""
    return {"tenant": tenant, **{f"x_{name}": values for name, values in rows.items()}}


def brought(table: Table) -> list[Column[Any]]:
    """The columns of a table whose values a batch brings along."""
    return [c for c in table.c if c.name != "tenant_id" and (table is not transactions or c.name not in _COMPUTED)]


def _carried(c: Column[Any]) -> TypeEngine[Any]:
    return next(carried for type_, carried in _CARRIED.items() if isinstance(c.type, type_))


def _insert(table: Table, *, in_order: bool = False) -> Insert:
    columns = {c.name: _carried(c) for c in brought(table)}
    x = rows_of(columns | ({PLACE: BigInteger()} if in_order else {}))
    values: list[ColumnElement[Any]] = [x.c[name] for name in columns]
    names = ["tenant_id", *columns]
    if table is transactions:
        computed = {**_COMPUTED, "lsn": _COMPUTED["lsn"] + x.c[PLACE]} if in_order else _COMPUTED
        values += computed.values()
        names += computed
    source = select(tenants.c.id, *values).select_from(tenants.join(x, true())).where(tenants.c.id == TENANT)
    # No ON CONFLICT: that looks into each unique index once more for each row, and writes more of the log for it.
    return insert(table).from_select(names, source, include_defaults=False)


INSERT_TRANSACTIONS = _insert(transactions)
INSERT_WALLETS = _insert(wallets)
INSERT_ENTRIES = _insert(entries)
INSERT_HOLDS = _insert(holds)

IMPORT_TRANSACTIONS = _insert(transactions, in_order=True)
"""Transactions that come in the order of events, with their ``PLACE`` in it. That is not the order of their ids, which
many processes made. What is inserted next comes behind them: each row takes more than one byte of the log."""


def _named(table: Table, x: Subquery) -> ColumnElement[bool]:
    """The rows of a table to be updated. An update cannot look up row by row; naming the ids once more as an array
    makes the index find exactly these, whichever way they are then joined. Only before PostgreSQL 17 may the planner
    still go through all of the tenant's, for as long as it has no statistics."""
    return and_(table.c.tenant_id == TENANT, table.c.id == any_(_array("id", Uuid())), table.c.id == x.c.id)


MOVING: Final = ("version", "balance", "held", "updated_at", "head")
"""What every transaction changes of a wallet."""

SETTINGS: Final = ("floor", "ceiling", "status", "metadata")
"""What only a change of the wallet itself does."""


def _update_wallets(*changing: str) -> Update:
    x = rows_of(
        {"id": Uuid(), "loaded_version": BigInteger(), **{name: _carried(wallets.c[name]) for name in changing}}
    )
    return (
        update(wallets)
        .values({name: x.c[name] for name in changing})
        .where(_named(wallets, x), wallets.c.version == x.c.loaded_version)
    )


UPDATE_BALANCES = _update_wallets(*MOVING)
"""The guard against lost updates: a wallet whose version has moved is not updated, and the row count tells."""

UPDATE_WALLETS = _update_wallets(*MOVING, *SETTINGS)
"""The same, where the settings of wallets have changed as well."""


def _update_holds() -> Update:
    # No guard of its own: every change to a hold also moves its wallet's version, which is guarded.
    x = rows_of({"id": Uuid(), "captured": BigInteger(), "status": Text()})
    return (
        update(holds).values(captured=x.c.captured, status=x.c.status).where(_named(holds, x), holds.c.status == ACTIVE)
    )


UPDATE_HOLDS = _update_holds()


def columns_read(table: Table) -> list[ColumnElement[Any]]:
    """A table's columns but the tenant's, JSON as its text: the driver would call back into Python for each value."""
    return [cast(c, Text).label(c.name) if isinstance(c.type, JSON) else c for c in brought(table)]


def _under(table: Table, c: Column[Any], name: str) -> Select[Any]:
    """What there is of a table under the ids, or other unique values, that an array parameter has."""
    x = rows_of({name: _carried(c)}, f"x_{name}")
    return look_up(select(*columns_read(table)).where(table.c.tenant_id == TENANT, c == x.c[name]), x)


def _load_batch() -> CompoundSelect[Any]:
    """The time; wallets; their due holds, and those that are named; and the decisions under the named keys. One
    statement, so all of it is of one instant, and it is one wait for the server instead of four.

    Each row is of one of these, and NULL in the columns of the others.
    """
    w = _under(wallets, wallets.c.id, "wallet_id").cte("w")
    due = each(
        select(*columns_read(holds))
        .where(
            holds.c.tenant_id == TENANT,
            holds.c.wallet_id == w.c.id,
            holds.c.status == ACTIVE,
            holds.c.expires_at <= func.now(),
        )
        .order_by(holds.c.expires_at)
        .limit(literal_column(str(DUE_HOLDS_MAX + 1), Integer())),
        "due",
    )
    named = _under(holds, holds.c.id, "hold_id").subquery("named")
    decided = _under(transactions, transactions.c.idempotency_key, "key").subquery("decided")
    now = func.now(type_=DateTime(timezone=True)).label("now")
    empty: list[ColumnElement[Any]] = [
        cast(null(), c.type).label(name)
        for part, prefix in ((w, ""), (named, HOLD), (decided, DECISION))
        for name, c in ((f"{prefix}{c.name}", c) for c in part.c)
    ]

    def rows(prefix: str, *given: ColumnElement[Any], at: ColumnElement[Any] | None = None) -> Select[Any]:
        found = {f"{prefix}{c.name}": c.label(f"{prefix}{c.name}") for c in given}
        time = cast(null(), now.type).label("now") if at is None else at
        return select(time, *(found.get(c.name, c) for c in empty))

    return union_all(
        rows("", at=now),
        rows("", *w.c),
        # Most wallets hold nothing, and nothing more is looked up for them.
        rows(HOLD, *due.c).select_from(w.join(due, true())).where(w.c.held > literal_column("0", Integer())),
        rows(HOLD, *named.c),
        rows(DECISION, *decided.c),
    )


LOAD_BATCH = _load_batch()


def _lock_wallets() -> Select[Any]:
    """In the order of ids, as updates lock them, and as an update that leaves the id alone does: foreign keys go on."""
    ids = any_(_array("id", Uuid()))
    found = select(wallets.c.id).where(wallets.c.tenant_id == TENANT, wallets.c.id == ids)
    return found.order_by(wallets.c.tenant_id, wallets.c.id).with_for_update(key_share=True)


LOCK_WALLETS = _lock_wallets()


def _load_transactions() -> Select[Any]:
    x = rows_of({"id": Uuid()})
    by_id = (transactions.c.tenant_id == TENANT, transactions.c.id == x.c.id)
    return look_up(select(*columns_read(transactions)).where(*by_id, transactions.c.outcome == APPLIED), x)


LOAD_TRANSACTIONS = _load_transactions()


def _load_reversed() -> Select[Any]:
    x = rows_of({"id": Uuid()})
    by_reversed = (transactions.c.tenant_id == TENANT, transactions.c.reverses == x.c.id)
    return look_up(select(transactions.c.reverses).where(*by_reversed), x)


LOAD_REVERSED = _load_reversed()


def _load_hold_wallets() -> Select[Any]:
    """Which wallets the named holds concern. This never changes, so it may be read before everything else."""
    x = rows_of({"id": Uuid()})
    by_id = (holds.c.tenant_id == TENANT, holds.c.id == x.c.id)
    return look_up(select(holds.c.id, holds.c.wallet_id, holds.c.destination).where(*by_id), x)


LOAD_HOLD_WALLETS = _load_hold_wallets()


def _load_entries() -> Select[Any]:
    x = rows_of({"wallet_id": Uuid(), "version": BigInteger()})
    by_version = (entries.c.wallet_id == x.c.wallet_id, entries.c.version == x.c.version)
    return look_up(select(entries).where(entries.c.tenant_id == TENANT, *by_version), x)


LOAD_ENTRIES = _load_entries()
