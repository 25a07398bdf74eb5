"""A consistent view of a tenant for its proof: repeatable read, read only, streamed. See ``verify.AuditView``."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from typing import Any
from typing import cast as cast_type
from uuid import UUID

from sqlalchemy import ClauseElement
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.audit_statements import (
    ENTRIES,
    FIRST_WALLETS,
    MISSING,
    NEXT_WALLETS,
    OWNERLESS,
    TENANTS,
    TOTALS,
    WALLET,
)
from adapters.postgres.errors import reading
from adapters.postgres.session import Session, open_session
from adapters.postgres.statements import parameters
from wallet_core.audit import AuditEntry, AuditWallet
from wallet_core.verify import AuditTotals, AuditView, Unaccounted

ENTRIES_PER_FETCH = 200
"""As many as fit into the socket's buffer (208 KiB on Linux), so that the database can be done with a portion while the
one before is proved. With 1000 it waits for a reader half of the time, and a proof takes 1.4 times as long."""


class PostgresAudit:
    """An ``AuditSource`` over a pool of connections."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def tenants(self) -> Mapping[str, UUID]:
        """All tenants, by name, in the order of their names. Raises ``Unavailable``."""
        with reading():
            async with open_session(self._engine) as session:
                return {row["name"]: row["id"] for row in await session.fetch(TENANTS, {})}

    def view(self, tenant: UUID) -> AbstractAsyncContextManager[AuditView]:
        return self._view(tenant)

    @asynccontextmanager
    async def _view(self, tenant: UUID) -> AsyncIterator[AuditView]:
        async with AsyncExitStack() as stack:
            # Not around the use of the view: what its user cannot read or write is no failure of the database.
            with reading():
                session = await stack.enter_async_context(open_session(self._engine))
                await session.begin_snapshot()
            yield PostgresView(session, tenant)


class PostgresView:
    """A tenant, as the snapshot of a session shows it."""

    def __init__(self, session: Session, tenant: UUID) -> None:
        self._session = session
        self._tenant = tenant

    async def totals(self) -> AuditTotals:
        (row,) = await self._rows(TOTALS)
        return AuditTotals(**row)

    async def wallets(self, *, after: UUID | None, limit: int) -> Sequence[AuditWallet]:
        if after is None:
            rows = await self._rows(FIRST_WALLETS, limit=limit)
        else:
            rows = await self._rows(NEXT_WALLETS, after=after, limit=limit)
        return [_wallet(row) for row in rows]

    async def wallet(self, wallet_id: UUID) -> AuditWallet | None:
        rows = await self._rows(WALLET, id=wallet_id)
        return _wallet(rows[0]) if rows else None

    async def entries(self, first_versions: Mapping[str, int]) -> AsyncGenerator[Sequence[AuditEntry], None]:
        columns: dict[str, Sequence[Any]] = {
            "wallet_id": [UUID(wallet_id) for wallet_id in first_versions],
            "version": list(first_versions.values()),
        }
        portions = self._session.stream(ENTRIES, parameters(self._tenant, columns), ENTRIES_PER_FETCH)
        with reading():
            async with aclosing(portions):
                async for rows in portions:
                    # A row has the members of an AuditEntry in their order; copying it would cost a tenth.
                    yield cast_type(Sequence[AuditEntry], rows)

    async def unaccounted(self, limit: int) -> Unaccounted:
        missing = await self._rows(MISSING, limit=limit)
        ownerless = await self._rows(OWNERLESS, limit=limit)
        return Unaccounted(
            [(row["transaction_id"], row["wallet_id"], row["version"]) for row in missing],
            [(row["wallet_id"], row["entries"]) for row in ownerless],
        )

    async def _rows(self, query: ClauseElement, **values: Any) -> Sequence[Any]:
        with reading():
            return await self._session.fetch(query, {"tenant": self._tenant, **values})


def _wallet(row: Mapping[str, Any]) -> AuditWallet:
    # A sum of integers is a decimal to the database.
    return AuditWallet(**{**row, "reserved": int(row["reserved"])})
