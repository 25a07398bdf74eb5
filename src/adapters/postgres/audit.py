"""A consistent view of a tenant for its proof: repeatable read, read only, streamed. See ``verify.AuditView``."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any
from typing import cast as cast_type
from uuid import UUID

from sqlalchemy import Executable, Row, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.audit_statements import ENTRIES, MISSING, OWNERLESS, TOTALS, WALLETS
from adapters.postgres.errors import translating
from adapters.postgres.schema import tenants, wallets
from adapters.postgres.statements import parameters
from wallet_core.audit import AuditEntry, AuditWallet
from wallet_core.ports import StaleSnapshot, Unavailable
from wallet_core.verify import AuditTotals, AuditView, Unaccounted

ENTRIES_PER_FETCH = 500


@contextmanager
def _reading() -> Iterator[None]:
    """Raise ``Unavailable`` for whatever keeps the database from being read."""
    try:
        with translating():
            yield
    except StaleSnapshot as error:
        raise Unavailable from error


class PostgresAudit:
    """An ``AuditSource`` over a pool of connections."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def tenants(self) -> Mapping[str, UUID]:
        """All tenants, by name, in the order of their names. Raises ``Unavailable``."""
        with _reading():
            async with self._engine.connect() as connection:
                rows = await connection.execute(select(tenants.c.name, tenants.c.id).order_by(tenants.c.name))
                return {row.name: row.id for row in rows}

    def view(self, tenant: UUID) -> AbstractAsyncContextManager[AuditView]:
        return self._view(tenant)

    @asynccontextmanager
    async def _view(self, tenant: UUID) -> AsyncIterator[AuditView]:
        async with AsyncExitStack() as stack:
            # Not around the use of the view: what its user cannot read or write is no failure of the database.
            with _reading():
                connection = await stack.enter_async_context(self._engine.connect())
                snapshot = await connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            yield _PostgresView(snapshot, tenant)


class _PostgresView:
    def __init__(self, connection: AsyncConnection, tenant: UUID) -> None:
        self._connection = connection
        self._tenant = tenant

    async def totals(self) -> AuditTotals:
        (row,) = await self._rows(TOTALS)
        return AuditTotals(*row)

    async def wallets(self, *, after: UUID | None, limit: int) -> Sequence[AuditWallet]:
        query = WALLETS.order_by(wallets.c.id).limit(limit)
        if after is not None:
            query = query.where(wallets.c.id > after)
        return [_wallet(row) for row in await self._rows(query)]

    async def wallet(self, wallet_id: UUID) -> AuditWallet | None:
        rows = await self._rows(WALLETS.where(wallets.c.id == wallet_id))
        return _wallet(rows[0]) if rows else None

    async def entries(self, first_versions: Mapping[str, int]) -> AsyncGenerator[Sequence[AuditEntry], None]:
        columns: dict[str, Sequence[Any]] = {
            "wallet_id": [UUID(wallet_id) for wallet_id in first_versions],
            "version": list(first_versions.values()),
        }
        with _reading():
            async with self._connection.stream(ENTRIES, parameters(self._tenant, columns)) as result:
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

    async def unaccounted(self, limit: int) -> Unaccounted:
        missing = await self._rows(MISSING.limit(limit))
        ownerless = await self._rows(OWNERLESS.limit(limit))
        return Unaccounted([tuple(row) for row in missing], [tuple(row) for row in ownerless])

    async def _rows(self, query: Executable) -> Sequence[Any]:
        with _reading():
            rows: Sequence[Any] = (await self._connection.execute(query, {"tenant": self._tenant})).all()
            return rows


def _wallet(row: Row[Any]) -> AuditWallet:
    # A sum of integers is a decimal to the database.
    return AuditWallet(**{**row._mapping, "reserved": int(row.reserved)})
