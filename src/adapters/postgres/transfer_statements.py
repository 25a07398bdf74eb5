"""The statements by which a tenant's ledger is moved. See ``postgres.transfer``.

Each list is read page by page, in the order of an index and from a place in it on, so that it may be as long as it
likes, and is neither sorted nor held in memory.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Select,
    Table,
    Uuid,
    bindparam,
    func,
    select,
    tuple_,
)

from adapters.postgres.events import APPLIED_ONES, HERE, IN_ORDER, PLACE
from adapters.postgres.schema import entries, holds, transactions, wallets
from adapters.postgres.statements import APPLIED, TENANT, columns_read, look_up, rows_of

_LIMIT: Final = bindparam("limit", type_=BigInteger)
_AFTER: Final = bindparam("after", type_=Uuid)

NEXT_TRANSACTIONS: Final = (
    select(*columns_read(transactions), *PLACE[:2])
    .where(*IN_ORDER, tuple_(*PLACE) > HERE)
    .order_by(*PLACE)
    .limit(_LIMIT)
)

TRANSACTIONS_SO_FAR: Final = (
    select(func.count().label("transactions")).select_from(transactions).where(*IN_ORDER, tuple_(*PLACE) <= HERE)
)

PLACE_OF: Final = select(*PLACE).where(*APPLIED_ONES, transactions.c.id == bindparam("id", type_=Uuid))

NEXT_DECISIONS: Final = (
    select(*columns_read(transactions))
    .where(transactions.c.tenant_id == TENANT, transactions.c.outcome != APPLIED, transactions.c.id > _AFTER)
    .order_by(transactions.c.id)
    .limit(_LIMIT)
)
"""What was refused or fenced."""


def _first(table: Table) -> Select[Any]:
    return select(*columns_read(table)).where(table.c.tenant_id == TENANT).order_by(table.c.id).limit(_LIMIT)


FIRST_WALLETS: Final = _first(wallets)
NEXT_WALLETS: Final = FIRST_WALLETS.where(wallets.c.id > _AFTER)
FIRST_HOLDS: Final = _first(holds)
NEXT_HOLDS: Final = FIRST_HOLDS.where(holds.c.id > _AFTER)


def _named(table: Table) -> Select[Any]:
    x = rows_of({"id": Uuid()})
    return look_up(select(*columns_read(table)).where(table.c.tenant_id == TENANT, table.c.id == x.c.id), x)


NAMED_TRANSACTIONS: Final = _named(transactions)
NAMED_WALLETS: Final = _named(wallets)
NAMED_HOLDS: Final = _named(holds)


def _count(table: Table) -> Any:
    return select(func.count()).select_from(table).where(table.c.tenant_id == TENANT).scalar_subquery()


COUNTS: Final = select(
    _count(wallets).label("wallets"),
    select(func.count()).select_from(transactions).where(*APPLIED_ONES).scalar_subquery().label("transactions"),
    _count(transactions).label("decisions"),
    _count(entries).label("entries"),
    _count(holds).label("holds"),
    func.now().label("at"),
)
"""``decisions`` counts everything that a key stands for: applied, refused, fenced."""
