"""Reads of what is committed, each in one short transaction. See ``ports.Reader``."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import attrs
from sqlalchemy import Row, Select, func, literal, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.errors import translating
from adapters.postgres.records import DecisionRecord, entry_of, fetch_entries, hold_of, wallet_of
from adapters.postgres.schema import entries, holds, transactions, wallets
from adapters.postgres.statements import TENANT
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
        holds.c.status == "active",
        holds.c.expires_at <= func.now(),
    )
    .correlate(wallets)
    .scalar_subquery()
    .label("lapsed"),
).where(wallets.c.tenant_id == TENANT)

_HOLDS = select(
    holds, ((holds.c.status == "active") & func.coalesce(holds.c.expires_at <= func.now(), False)).label("lapsed")
).where(holds.c.tenant_id == TENANT)

_APPLIED = select(transactions).where(transactions.c.tenant_id == TENANT, transactions.c.outcome == "applied")

_ENTRIES = (
    select(entries, transactions.c.kind)
    .select_from(entries)
    .join(
        transactions,
        (transactions.c.tenant_id == TENANT) & (transactions.c.id == entries.c.transaction_id),
    )
    .where(entries.c.tenant_id == TENANT)
)


class PostgresReader:
    """A ``Reader`` over a pool of connections."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def ready(self) -> None:
        async with self._connect() as connection:
            read_only = (await connection.execute(text("SHOW transaction_read_only"))).scalar_one()
            if read_only == "on":
                raise Unavailable("the database takes no writes")

    async def wallet(self, tenant: UUID, wallet_id: UUID) -> Wallet | None:
        rows = await self._rows(tenant, _WALLETS.where(wallets.c.id == wallet_id))
        return _effective_wallet(rows[0]) if rows else None

    async def wallets(
        self, tenant: UUID, *, before: UUID | None, limit: int, currency: str | None, status: WalletStatus | None
    ) -> Sequence[Wallet]:
        query = _WALLETS.order_by(wallets.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(wallets.c.id < before)
        if currency is not None:
            query = query.where(wallets.c.currency == currency)
        if status is not None:
            query = query.where(wallets.c.status == status.value)
        return [_effective_wallet(row) for row in await self._rows(tenant, query)]

    async def wallet_at_version(self, tenant: UUID, wallet_id: UUID, version: int) -> PastWallet | None:
        async with self._connect() as connection:
            return await _past_wallet(connection, tenant, wallet_id, version)

    async def wallet_at_time(self, tenant: UUID, wallet_id: UUID, at: datetime) -> PastWallet | None:
        async with self._connect() as connection:
            head = select(wallets.c.version).where(wallets.c.tenant_id == TENANT, wallets.c.id == wallet_id)
            high = (await connection.execute(head, {"tenant": tenant})).scalar()
            found: PastWallet | None = None
            # Versions are contiguous and times never run backwards in a wallet, so halving finds the entry by its
            # primary key: no index on the time, which every write would have to maintain.
            low = 1
            while high is not None and low <= high:
                middle = (low + high) // 2
                past = await _past_wallet(connection, tenant, wallet_id, middle)
                if past is not None and past.at <= at:
                    found, low = past, middle + 1
                else:
                    high = middle - 1
            return found

    async def entries(self, tenant: UUID, wallet_id: UUID, *, before: int | None, limit: int) -> Sequence[EntryRecord]:
        query = _ENTRIES.where(entries.c.wallet_id == wallet_id).order_by(entries.c.version.desc()).limit(limit)
        if before is not None:
            query = query.where(entries.c.version < before)
        rows = await self._rows(tenant, query)
        return [EntryRecord(entry_of(row), row.transaction_id, Kind(row.kind), row.created_at) for row in rows]

    async def transaction(self, tenant: UUID, transaction_id: UUID) -> Transaction | None:
        found = await self._transactions(tenant, _APPLIED.where(transactions.c.id == transaction_id))
        return found[0] if found else None

    async def transactions(
        self, tenant: UUID, *, before: UUID | None, limit: int, kind: Kind | None
    ) -> Sequence[Transaction]:
        query = _of_kind(_APPLIED, kind).order_by(transactions.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(transactions.c.id < before)
        return await self._transactions(tenant, query)

    async def wallet_transactions(
        self, tenant: UUID, wallet_id: UUID, *, before: int | None, limit: int, kind: Kind | None
    ) -> Sequence[Transaction]:
        query = (
            _of_kind(_APPLIED, kind)
            .join(
                entries,
                (entries.c.tenant_id == TENANT) & (entries.c.transaction_id == transactions.c.id),
            )
            .where(entries.c.wallet_id == wallet_id)
            .order_by(entries.c.version.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(entries.c.version < before)
        return await self._transactions(tenant, query)

    async def hold(self, tenant: UUID, hold_id: UUID) -> Hold | None:
        rows = await self._rows(tenant, _HOLDS.where(holds.c.id == hold_id))
        return _effective_hold(rows[0]) if rows else None

    async def holds(self, tenant: UUID, wallet_id: UUID, *, before: UUID | None, limit: int) -> Sequence[Hold]:
        query = _HOLDS.where(holds.c.wallet_id == wallet_id).order_by(holds.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(holds.c.id < before)
        return [_effective_hold(row) for row in await self._rows(tenant, query)]

    async def decision(self, tenant: UUID, key: str) -> Decision | None:
        query = select(transactions).where(transactions.c.tenant_id == TENANT, transactions.c.idempotency_key == key)
        found = await self._decisions(tenant, query)
        return found[0] if found else None

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[AsyncConnection]:
        with translating():
            async with self._engine.connect() as connection:
                yield connection

    async def _rows(self, tenant: UUID, query: Select[Any]) -> Sequence[Row[Any]]:
        async with self._connect() as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(query, {"tenant": tenant})).all()
            return rows

    async def _decisions(self, tenant: UUID, query: Select[Any]) -> list[Decision]:
        async with self._connect() as connection:
            rows = (await connection.execute(query, {"tenant": tenant})).all()
            records = [DecisionRecord(row) for row in rows]
            found = await fetch_entries(connection, tenant, records)
            return [record.decision(found) for record in records]

    async def _transactions(self, tenant: UUID, query: Select[Any]) -> list[Transaction]:
        decisions = await self._decisions(tenant, query)
        return [decision for decision in decisions if isinstance(decision, Transaction)]


def _of_kind(query: Select[Any], kind: Kind | None) -> Select[Any]:
    if kind is None:
        return query
    # The kind stands in the statement's text, so that the planner can tell that the partial index of kinds applies.
    return query.where(transactions.c.kind == literal(kind.value, literal_execute=True))


async def _past_wallet(connection: AsyncConnection, tenant: UUID, wallet_id: UUID, version: int) -> PastWallet | None:
    query = (
        select(entries, wallets.c.currency)
        .select_from(entries)
        .join(wallets, (wallets.c.tenant_id == TENANT) & (wallets.c.id == entries.c.wallet_id))
        .where(entries.c.tenant_id == TENANT, entries.c.wallet_id == wallet_id, entries.c.version == version)
    )
    row = (await connection.execute(query, {"tenant": tenant})).one_or_none()
    if row is None:
        return None
    return PastWallet(
        row.wallet_id, Currency(row.currency), row.balance_after, row.held_after, row.version, row.created_at
    )


def _effective_wallet(row: Row[Any]) -> Wallet:
    wallet = wallet_of(row)
    return attrs.evolve(wallet, held=wallet.held - int(row.lapsed)) if row.lapsed else wallet


def _effective_hold(row: Row[Any]) -> Hold:
    return hold_of(row, HoldStatus.EXPIRED if row.lapsed else None)
