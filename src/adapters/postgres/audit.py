"""A consistent view of a tenant for its proof: repeatable read, read only, streamed. See ``verify.AuditView``."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from typing import cast as cast_type
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Text, Uuid, cast, func, select, true
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.errors import translating
from adapters.postgres.schema import entries, holds, transactions, wallets
from adapters.postgres.statements import TENANT, parameters, rows_of
from wallet_core.audit import AuditEntry, AuditWallet
from wallet_core.verify import AuditTotals, AuditView

ENTRIES_PER_FETCH = 1000

_TIME = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'


def _hex(column: ColumnElement[Any]) -> ColumnElement[str]:
    return func.encode(column, "hex")


_WALLETS = select(
    cast(wallets.c.id, Text).label("id_text"),
    wallets.c.currency,
    wallets.c.balance,
    wallets.c.held,
    wallets.c.floor,
    wallets.c.ceiling,
    wallets.c.version,
    _hex(wallets.c.head),
    select(func.coalesce(func.sum(holds.c.amount - holds.c.captured), 0))
    .where(holds.c.tenant_id == TENANT, holds.c.wallet_id == wallets.c.id, holds.c.status == "active")
    .correlate(wallets)
    .scalar_subquery(),
).where(wallets.c.tenant_id == TENANT)


def _entries_query() -> Any:
    x = rows_of({"wallet_id": Uuid(), "version": BigInteger()})
    # Sessions run with UTC as their time zone, so this text is the canonical one.
    chain = (
        select(entries)
        .where(entries.c.tenant_id == TENANT, entries.c.wallet_id == x.c.wallet_id, entries.c.version >= x.c.version)
        .order_by(entries.c.version)
        .correlate(x)
        .lateral("e")
    )
    same = (transactions.c.tenant_id == TENANT) & (transactions.c.id == chain.c.transaction_id)
    return select(
        cast(chain.c.wallet_id, Text).label("wallet_id"),
        chain.c.version,
        chain.c.change,
        chain.c.held_change,
        chain.c.balance_after,
        chain.c.held_after,
        _hex(chain.c.hash).label("hash"),
        (chain.c.created_at == transactions.c.created_at).label("same_time"),
        cast(transactions.c.id, Text).label("transaction_id"),
        transactions.c.idempotency_key.label("key"),
        transactions.c.kind,
        func.to_char(transactions.c.created_at, _TIME).label("created_at"),
        cast(transactions.c.intent, Text).label("intent"),
        cast(transactions.c.result, Text).label("result"),
    ).select_from(x.join(chain, true()).join(transactions, same))


_ENTRIES = _entries_query()


class PostgresAudit:
    """An ``AuditSource`` over a pool of connections."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    def view(self, tenant: UUID) -> AbstractAsyncContextManager[AuditView]:
        return self._view(tenant)

    @asynccontextmanager
    async def _view(self, tenant: UUID) -> AsyncIterator[AuditView]:
        with translating():
            async with self._engine.connect() as connection:
                snapshot = await connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
                yield _PostgresView(snapshot, tenant)


class _PostgresView:
    def __init__(self, connection: AsyncConnection, tenant: UUID) -> None:
        self._connection = connection
        self._tenant = tenant

    async def totals(self) -> AuditTotals:
        applied = (transactions.c.tenant_id == TENANT) & (transactions.c.outcome == "applied")
        query = select(
            select(func.count()).select_from(wallets).where(wallets.c.tenant_id == TENANT).scalar_subquery(),
            select(func.count()).select_from(entries).where(entries.c.tenant_id == TENANT).scalar_subquery(),
            select(func.count()).select_from(transactions).where(applied).scalar_subquery(),
        )
        row = (await self._connection.execute(query, {"tenant": self._tenant})).one()
        return AuditTotals(*row)

    async def wallets(self, *, after: UUID | None, limit: int) -> Sequence[AuditWallet]:
        query = _WALLETS.order_by(wallets.c.id).limit(limit)
        if after is not None:
            query = query.where(wallets.c.id > after)
        rows = (await self._connection.execute(query, {"tenant": self._tenant})).all()
        return [_wallet(row) for row in rows]

    async def wallet(self, wallet_id: UUID) -> AuditWallet | None:
        query = _WALLETS.where(wallets.c.id == wallet_id)
        row = (await self._connection.execute(query, {"tenant": self._tenant})).one_or_none()
        return None if row is None else _wallet(row)

    async def entries(self, first_versions: Mapping[str, int]) -> AsyncIterator[Sequence[AuditEntry]]:
        columns: dict[str, Sequence[Any]] = {
            "wallet_id": [UUID(wallet_id) for wallet_id in first_versions],
            "version": list(first_versions.values()),
        }
        async with self._connection.stream(_ENTRIES, parameters(self._tenant, columns)) as result:
            portions = aiter(result.partitions(ENTRIES_PER_FETCH))
            following = asyncio.ensure_future(anext(portions, None))
            try:
                while (rows := await following) is not None:
                    # The database works on the next portion while this one is proved.
                    following = asyncio.ensure_future(anext(portions, None))
                    await asyncio.sleep(0)
                    # A row has the members of an AuditEntry, by name and in order; copying it would cost a tenth.
                    yield cast_type(Sequence[AuditEntry], rows)
            finally:
                await following


def _wallet(row: Sequence[Any]) -> AuditWallet:
    id, currency, balance, held, floor, ceiling, version, head, reserved = row
    return AuditWallet(id, currency, balance, held, floor, ceiling, version, head, int(reserved))
