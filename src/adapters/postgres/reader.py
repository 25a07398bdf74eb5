"""Reads of what is committed: one statement each, or several about what never changes. See ``ports.Reader``.

Statements are made once for each set of filters that is asked for, so that there is a bounded number of them and the
server keeps them prepared.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

import attrs
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    Uuid,
    bindparam,
    func,
    literal_column,
    select,
    text,
    true,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.errors import translating
from adapters.postgres.records import DecisionRecord, entry_of, fetch_entries, hold_of, wallet_of
from adapters.postgres.schema import entries, holds, transactions, wallets
from adapters.postgres.session import Columns, Session, open_session
from adapters.postgres.statements import ACTIVE, APPLIED, TENANT, each
from wallet_core.model import Decision, Hold, HoldStatus, Kind, Transaction, Wallet, WalletStatus
from wallet_core.money import Currency
from wallet_core.ports import EntryRecord, PastWallet, Unavailable

_WALLETS = select(
    wallets,
    # What lapsed holds still reserve on paper. Most wallets hold nothing and need no look at their holds.
    select(func.coalesce(func.sum(holds.c.amount - holds.c.captured), 0))
    .where(
        wallets.c.held > 0,
        holds.c.tenant_id == TENANT,
        holds.c.wallet_id == wallets.c.id,
        holds.c.status == ACTIVE,
        holds.c.expires_at <= func.now(),
    )
    .correlate(wallets)
    .scalar_subquery()
    .label("lapsed"),
).where(wallets.c.tenant_id == TENANT)

_HOLDS = select(
    holds, ((holds.c.status == "active") & func.coalesce(holds.c.expires_at <= func.now(), False)).label("lapsed")
).where(holds.c.tenant_id == TENANT)

_APPLIED = select(transactions).where(transactions.c.tenant_id == TENANT, transactions.c.outcome == APPLIED)

_KIND = each(
    select(transactions.c.kind).where(
        transactions.c.tenant_id == TENANT, transactions.c.id == entries.c.transaction_id
    ),
    "t",
)
_ENTRIES = select(entries, _KIND.c.kind).join(_KIND, true()).where(entries.c.tenant_id == TENANT)


_ID: Final = bindparam("id", type_=Uuid)
_BEFORE_ID: Final = bindparam("before", type_=Uuid)
_BEFORE_VERSION: Final = bindparam("before", type_=BigInteger)
_LIMIT: Final = bindparam("limit", type_=BigInteger)

_WALLET = _WALLETS.where(wallets.c.id == _ID)
_HOLD = _HOLDS.where(holds.c.id == _ID)
_TRANSACTION = _APPLIED.where(transactions.c.id == _ID)
_DECISION = select(transactions).where(
    transactions.c.tenant_id == TENANT, transactions.c.idempotency_key == bindparam("key", type_=Text)
)
_CURRENCY = each(
    select(wallets.c.currency).where(wallets.c.tenant_id == TENANT, wallets.c.id == entries.c.wallet_id), "w"
)
_PAST_WALLET = (
    select(entries, _CURRENCY.c.currency)
    .join(_CURRENCY, true())
    .where(
        entries.c.tenant_id == TENANT,
        entries.c.wallet_id == _ID,
        entries.c.version == bindparam("version", type_=BigInteger),
    )
)
_READ_ONLY = text("SHOW transaction_read_only")


@cache
def _page_of_wallets(filters: frozenset[str]) -> Select[Any]:
    conditions = {
        "before": wallets.c.id < _BEFORE_ID,
        "currency": wallets.c.currency == bindparam("currency", type_=Text),
        "status": wallets.c.status == bindparam("status", type_=Text),
    }
    return _page(_WALLETS, conditions, filters, wallets.c.id)


@cache
def _page_of_entries(filters: frozenset[str]) -> Select[Any]:
    of_wallet = _ENTRIES.where(entries.c.wallet_id == _ID)
    return _page(of_wallet, {"before": entries.c.version < _BEFORE_VERSION}, filters, entries.c.version)


@cache
def _page_of_holds(filters: frozenset[str]) -> Select[Any]:
    of_wallet = _HOLDS.where(holds.c.wallet_id == _ID)
    return _page(of_wallet, {"before": holds.c.id < _BEFORE_ID}, filters, holds.c.id)


@cache
def _page_of_transactions(filters: frozenset[str], kind: Kind | None) -> Select[Any]:
    return _page(_of_kind(kind), {"before": transactions.c.id < _BEFORE_ID}, filters, transactions.c.id)


@cache
def _page_of_wallet_transactions(filters: frozenset[str], kind: Kind | None) -> Select[Any]:
    of_entry = each(_of_kind(kind).where(transactions.c.id == entries.c.transaction_id), "t")
    of_wallet = (
        select(of_entry)
        .select_from(entries.join(of_entry, true()))
        .where(entries.c.tenant_id == TENANT, entries.c.wallet_id == _ID)
    )
    return _page(of_wallet, {"before": entries.c.version < _BEFORE_VERSION}, filters, entries.c.version)


def _page(
    query: Select[Any],
    conditions: dict[str, ColumnElement[bool]],
    filters: frozenset[str],
    order: ColumnElement[Any],
) -> Select[Any]:
    """The newest first, of those that meet the conditions asked for."""
    return query.where(*(conditions[name] for name in sorted(filters))).order_by(order.desc()).limit(_LIMIT)


def _of_kind(kind: Kind | None) -> Select[Any]:
    if kind is None:
        return _APPLIED
    # The kind stands in the statement's text, so that the planner can tell that the partial index of kinds applies.
    return _APPLIED.where(transactions.c.kind == literal_column(f"'{kind.value}'"))


class PostgresReader:
    """A ``Reader`` over a pool of connections."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def ready(self) -> None:
        async with self._session() as session:
            (row,) = await session.fetch(_READ_ONLY, {})
            if row["transaction_read_only"] == "on":
                session.leave()
                raise Unavailable("the database takes no writes")

    async def wallet(self, tenant: UUID, wallet_id: UUID) -> Wallet | None:
        rows = await self._rows(_WALLET, tenant=tenant, id=wallet_id)
        return _effective_wallet(rows[0]) if rows else None

    async def wallets(
        self, tenant: UUID, *, before: UUID | None, limit: int, currency: str | None, status: WalletStatus | None
    ) -> Sequence[Wallet]:
        filters = _given(before=before, currency=currency, status=status)
        rows = await self._rows(_page_of_wallets(frozenset(filters)), tenant=tenant, limit=limit, **filters)
        return [_effective_wallet(row) for row in rows]

    async def wallet_at_version(self, tenant: UUID, wallet_id: UUID, version: int) -> PastWallet | None:
        async with self._session() as session:
            return await _past_wallet(session, tenant, wallet_id, version)

    async def wallet_at_time(self, tenant: UUID, wallet_id: UUID, at: datetime) -> PastWallet | None:
        async with self._session() as session:
            rows = await session.fetch(_WALLET, {"tenant": tenant, "id": wallet_id})
            found: PastWallet | None = None
            # Versions are contiguous and times never run backwards in a wallet, so halving finds the entry by its
            # primary key: no index on the time, which every write would have to maintain.
            low, high = 1, rows[0]["version"] if rows else 0
            while low <= high:
                middle = (low + high) // 2
                past = await _past_wallet(session, tenant, wallet_id, middle)
                if past is not None and past.at <= at:
                    found, low = past, middle + 1
                else:
                    high = middle - 1
            return found

    async def entries(self, tenant: UUID, wallet_id: UUID, *, before: int | None, limit: int) -> Sequence[EntryRecord]:
        filters = _given(before=before)
        query = _page_of_entries(frozenset(filters))
        rows = await self._rows(query, tenant=tenant, id=wallet_id, limit=limit, **filters)
        return [EntryRecord(entry_of(row), row["transaction_id"], Kind(row["kind"]), row["created_at"]) for row in rows]

    async def transaction(self, tenant: UUID, transaction_id: UUID) -> Transaction | None:
        found = await self._transactions(_TRANSACTION, tenant=tenant, id=transaction_id)
        return found[0] if found else None

    async def transactions(
        self, tenant: UUID, *, before: UUID | None, limit: int, kind: Kind | None
    ) -> Sequence[Transaction]:
        filters = _given(before=before)
        query = _page_of_transactions(frozenset(filters), kind)
        return await self._transactions(query, tenant=tenant, limit=limit, **filters)

    async def wallet_transactions(
        self, tenant: UUID, wallet_id: UUID, *, before: int | None, limit: int, kind: Kind | None
    ) -> Sequence[Transaction]:
        filters = _given(before=before)
        query = _page_of_wallet_transactions(frozenset(filters), kind)
        return await self._transactions(query, tenant=tenant, id=wallet_id, limit=limit, **filters)

    async def hold(self, tenant: UUID, hold_id: UUID) -> Hold | None:
        rows = await self._rows(_HOLD, tenant=tenant, id=hold_id)
        return _effective_hold(rows[0]) if rows else None

    async def holds(self, tenant: UUID, wallet_id: UUID, *, before: UUID | None, limit: int) -> Sequence[Hold]:
        filters = _given(before=before)
        query = _page_of_holds(frozenset(filters))
        rows = await self._rows(query, tenant=tenant, id=wallet_id, limit=limit, **filters)
        return [_effective_hold(row) for row in rows]

    async def decision(self, tenant: UUID, key: str) -> Decision | None:
        found = await self._decisions(_DECISION, tenant=tenant, key=key)
        return found[0] if found else None

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        with translating():
            async with open_session(self._engine) as session:
                yield session

    async def _rows(self, query: Select[Any], **parameters: Any) -> Sequence[Columns]:
        async with self._session() as session:
            return await session.fetch(query, parameters)

    async def _decisions(self, query: Select[Any], *, tenant: UUID, **parameters: Any) -> list[Decision]:
        async with self._session() as session:
            records = [DecisionRecord(row) for row in await session.fetch(query, {"tenant": tenant, **parameters})]
            found = await fetch_entries(session, tenant, records)
            return [record.decision(found) for record in records]

    async def _transactions(self, query: Select[Any], *, tenant: UUID, **parameters: Any) -> list[Transaction]:
        decisions = await self._decisions(query, tenant=tenant, **parameters)
        return [decision for decision in decisions if isinstance(decision, Transaction)]


def _given(**filters: Any) -> dict[str, Any]:
    return {name: value for name, value in filters.items() if value is not None}


async def _past_wallet(session: Session, tenant: UUID, wallet_id: UUID, version: int) -> PastWallet | None:
    rows = await session.fetch(_PAST_WALLET, {"tenant": tenant, "id": wallet_id, "version": version})
    if not rows:
        return None
    row = rows[0]
    return PastWallet(
        row["wallet_id"],
        Currency(row["currency"]),
        row["balance_after"],
        row["held_after"],
        row["version"],
        row["created_at"],
    )


def _effective_wallet(row: Columns) -> Wallet:
    wallet = wallet_of(row)
    return attrs.evolve(wallet, held=wallet.held - int(row["lapsed"])) if row["lapsed"] else wallet


def _effective_hold(row: Columns) -> Hold:
    return hold_of(row, HoldStatus.EXPIRED if row["lapsed"] else None)
