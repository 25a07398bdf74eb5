"""The statements of a proof. See ``postgres.audit``.

As everywhere, how rows are found is written into the statements: each row of a page looks up its own, so that entries
come in the order of their wallets and versions, and begin to come at once.
"""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Integer,
    ScalarSelect,
    Select,
    Table,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    column,
    func,
    literal_column,
    select,
    true,
)

from adapters.postgres.schema import entries, holds, tenants, transactions, wallets
from adapters.postgres.statements import ACTIVE, APPLIED, TENANT, each, rows_of

_FORMAT = literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'""", Text())


def _hex(column: ColumnElement[Any]) -> ColumnElement[str]:
    return func.encode(column, literal_column("'hex'"))


def _time(column: ColumnElement[Any]) -> ColumnElement[str]:
    # Sessions run with UTC as their time zone, so this text is the canonical one; of infinity there is no such text.
    return func.coalesce(func.to_char(column, _FORMAT), cast(column, Text))


def _uuid_or_null(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The UUID that a text spells. Nonsense, which only a tampered row has, must be found and not end the proof."""
    form = literal_column("'^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'", Text())
    return case((text.regexp_match(form), cast(text, Uuid)))


def _member(json: ColumnElement[Any], name: str | int) -> ColumnElement[Any]:
    """A member of a JSON object, or an item of an array, as text; NULL if there is none."""
    key = literal_column(f"'{name}'", Text()) if isinstance(name, str) else literal_column(str(name), Integer())
    return json.op("->>", return_type=Text())(key)


def _wallets_query() -> Select[Any]:
    remaining = holds.c.amount - holds.c.captured
    reserved = func.coalesce(func.sum(remaining).filter(holds.c.status == ACTIVE), 0)
    of_wallet = each(
        select(reserved.label("reserved"), func.count().label("holds")).where(
            holds.c.tenant_id == TENANT, holds.c.wallet_id == wallets.c.id
        ),
        "h",
    )
    return (
        select(
            cast(wallets.c.id, Text).label("id"),
            wallets.c.currency,
            wallets.c.balance,
            wallets.c.held,
            wallets.c.floor,
            wallets.c.ceiling,
            wallets.c.status,
            wallets.c.version,
            _hex(wallets.c.head).label("head"),
            cast(wallets.c.metadata, Text).label("metadata"),
            _time(wallets.c.created_at).label("created_at"),
            _time(wallets.c.updated_at).label("updated_at"),
            of_wallet.c.reserved,
            of_wallet.c.holds,
        )
        .select_from(wallets.join(of_wallet, true()))
        .where(wallets.c.tenant_id == TENANT)
    )


_WALLETS = _wallets_query()
_LIMIT = bindparam("limit", type_=BigInteger)
WALLET = _WALLETS.where(wallets.c.id == bindparam("id", type_=Uuid))
FIRST_WALLETS = _WALLETS.order_by(wallets.c.id).limit(_LIMIT)
NEXT_WALLETS = FIRST_WALLETS.where(wallets.c.id > bindparam("after", type_=Uuid))


def _entries_query() -> Select[Any]:
    x = rows_of({"wallet_id": Uuid(), "version": BigInteger()})
    since = (entries.c.wallet_id == x.c.wallet_id, entries.c.version >= x.c.version)
    e = each(select(entries).where(entries.c.tenant_id == TENANT, *since).order_by(entries.c.version), "e")
    by_id = (transactions.c.tenant_id == TENANT, transactions.c.id == e.c.transaction_id)
    t = each(select(transactions).where(*by_id), "t")
    h = each(_hold_of(t), "h")
    reverses = case((t.c.kind == literal_column("'reversal'"), _member(t.c.intent, "transaction")))
    agrees = and_(
        e.c.created_at == t.c.created_at,
        t.c.outcome == APPLIED,
        cast(t.c.reverses, Text).is_not_distinct_from(reverses),
    )
    return select(
        cast(e.c.wallet_id, Text).label("wallet_id"),
        e.c.version,
        e.c.change,
        e.c.held_change,
        e.c.balance_after,
        e.c.held_after,
        _hex(e.c.hash).label("hash"),
        agrees.label("agrees"),
        cast(t.c.id, Text).label("transaction_id"),
        t.c.idempotency_key.label("key"),
        t.c.kind,
        _time(t.c.created_at).label("created_at"),
        cast(t.c.intent, Text).label("intent"),
        cast(t.c.result, Text).label("result"),
        h.c.hold,
    ).select_from(x.join(e, true()).join(t, true()).outerjoin(h, true()))


def _hold_of(t: Any) -> Select[Any]:
    """The hold that a transaction placed or changed, as its row is now, with the members that a result has of it."""
    named = _uuid_or_null(_member(t.c.intent, "hold"))
    id = case(
        (t.c.kind == literal_column("'hold'"), t.c.id),
        (t.c.kind.in_([literal_column(f"'{kind}'") for kind in ("capture", "release", "expiry")]), named),
    )
    members = {
        "amount": holds.c.amount,
        "captured": holds.c.captured,
        "created_at": _time(holds.c.created_at),
        "destination": holds.c.destination,
        "expires_at": _time(holds.c.expires_at),
        "id": holds.c.id,
        "status": holds.c.status,
        "wallet_id": holds.c.wallet_id,
    }
    pairs = [part for name, value in members.items() for part in (literal_column(f"'{name}'"), value)]
    row = cast(func.json_build_object(*pairs), Text).label("hold")
    return select(row).where(holds.c.tenant_id == TENANT, holds.c.id == id)


ENTRIES = _entries_query()


def _missing_query() -> Select[Any]:
    """Entries that an applied transaction names, and that are not there; and transactions that name none."""
    named = transactions.c.result.op("->")(literal_column("'entries'", Text()))
    array = case(
        (func.json_typeof(named) == literal_column("'array'"), named), else_=cast(literal_column("'[]'"), JSON)
    )
    n = func.json_array_elements(array).table_valued(column("value", JSON())).render_derived(name="n")
    number = literal_column("'^[0-9]{1,18}$'", Text())
    wallet_id = _uuid_or_null(_member(n.c.value, 0))
    version = case((_member(n.c.value, 1).regexp_match(number), cast(_member(n.c.value, 1), BigInteger)))
    by_version = (entries.c.wallet_id == wallet_id, entries.c.version == version)
    found = each(select(entries.c.transaction_id).where(entries.c.tenant_id == TENANT, *by_version), "found")
    return (
        select(
            cast(transactions.c.id, Text).label("transaction_id"),
            cast(wallet_id, Text).label("wallet_id"),
            version.label("version"),
        )
        .select_from(transactions.outerjoin(n, true()).outerjoin(found, true()))
        .where(
            transactions.c.tenant_id == TENANT,
            transactions.c.outcome == APPLIED,
            found.c.transaction_id.is_distinct_from(transactions.c.id),
        )
    )


MISSING = _missing_query().limit(_LIMIT)

OWNERLESS = (
    select(cast(entries.c.wallet_id, Text).label("wallet_id"), func.count().label("entries"))
    .where(
        entries.c.tenant_id == TENANT,
        ~select(wallets.c.id).where(wallets.c.tenant_id == TENANT, wallets.c.id == entries.c.wallet_id).exists(),
    )
    .group_by(entries.c.wallet_id)
    .order_by(entries.c.wallet_id)
    .limit(_LIMIT)
)


def _count(table: Table, which: ColumnElement[bool]) -> ScalarSelect[int]:
    return select(func.count()).select_from(table).where(which).scalar_subquery()


TENANTS = select(tenants.c.name, tenants.c.id).order_by(tenants.c.name)
TOTALS = select(
    _count(wallets, wallets.c.tenant_id == TENANT).label("wallets"),
    _count(entries, entries.c.tenant_id == TENANT).label("entries"),
    _count(transactions, and_(transactions.c.tenant_id == TENANT, transactions.c.outcome == APPLIED)).label(
        "transactions"
    ),
    func.now().label("at"),
)
