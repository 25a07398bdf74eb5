"""The statements by which a tenant's ledger is moved. See ``postgres.transfer``.

Each list is read page by page, in the order of an index and from a place in it on, so that it may be as long as it
likes, and is neither sorted nor held in memory.
"""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Table,
    Text,
    Uuid,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    true,
    tuple_,
)

from adapters.postgres.schema import entries, holds, transactions, wallets
from adapters.postgres.statements import APPLIED, TENANT, brought, each, rows_of

Place = tuple[int, int, UUID]
"""Where a transaction stands in the order of events: position, how much had been logged, id."""

FIRST: Final[Place] = (-1, -1, UUID(int=0))

_PLACE: Final = (transactions.c.position, transactions.c.lsn, transactions.c.id)
_HERE: Final = tuple_(
    bindparam("position", type_=BigInteger), bindparam("lsn", type_=BigInteger), bindparam("id", type_=Uuid)
)
_LIMIT: Final = bindparam("limit", type_=BigInteger)
_AFTER: Final = bindparam("after", type_=Uuid)
_APPLIED: Final = (transactions.c.tenant_id == TENANT, transactions.c.outcome == APPLIED)
# As the partial index of the events has it.
_IN_ORDER: Final = (*_APPLIED, transactions.c.position >= literal_column("0", Integer()))


def _columns(table: Table) -> list[ColumnElement[Any]]:
    """A table's columns but the tenant's and the order of events, JSON as its text."""
    return [cast(c, Text).label(c.name) if isinstance(c.type, JSON) else c for c in brought(table)]


NEXT_TRANSACTIONS: Final = (
    select(*_columns(transactions), *_PLACE[:2])
    .where(*_IN_ORDER, tuple_(*_PLACE) > _HERE)
    .order_by(*_PLACE)
    .limit(_LIMIT)
)

TRANSACTIONS_SO_FAR: Final = (
    select(func.count().label("transactions")).select_from(transactions).where(*_IN_ORDER, tuple_(*_PLACE) <= _HERE)
)

PLACE: Final = select(*_PLACE).where(*_APPLIED, transactions.c.id == bindparam("id", type_=Uuid))

NEXT_DECISIONS: Final = (
    select(*_columns(transactions))
    .where(transactions.c.tenant_id == TENANT, transactions.c.outcome != APPLIED, transactions.c.id > _AFTER)
    .order_by(transactions.c.id)
    .limit(_LIMIT)
)
"""What was refused or fenced."""


def _first(table: Table) -> Select[Any]:
    return select(*_columns(table)).where(table.c.tenant_id == TENANT).order_by(table.c.id).limit(_LIMIT)


FIRST_WALLETS: Final = _first(wallets)
NEXT_WALLETS: Final = FIRST_WALLETS.where(wallets.c.id > _AFTER)
FIRST_HOLDS: Final = _first(holds)
NEXT_HOLDS: Final = FIRST_HOLDS.where(holds.c.id > _AFTER)


def _named(table: Table) -> Select[Any]:
    x = rows_of({"id": Uuid()})
    f = each(select(*_columns(table)).where(table.c.tenant_id == TENANT, table.c.id == x.c.id), "f")
    return select(f).select_from(x.join(f, true()))


NAMED_TRANSACTIONS: Final = _named(transactions)
NAMED_WALLETS: Final = _named(wallets)
NAMED_HOLDS: Final = _named(holds)


def _count(table: Table) -> Any:
    return select(func.count()).select_from(table).where(table.c.tenant_id == TENANT).scalar_subquery()


COUNTS: Final = select(
    _count(wallets).label("wallets"),
    select(func.count()).select_from(transactions).where(*_APPLIED).scalar_subquery().label("transactions"),
    _count(transactions).label("decisions"),
    _count(entries).label("entries"),
    _count(holds).label("holds"),
    func.now().label("at"),
)
"""``decisions`` counts everything that a key stands for: applied, refused, fenced."""
