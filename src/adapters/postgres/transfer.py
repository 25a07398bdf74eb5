"""Moving a tenant's whole ledger: read at one instant, and written as its history goes on. As the service's role.

What is written goes through the statements of a batch, with their guards and constraints, and leaves the ledger after
each portion as it was at some time of its history.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import attrs
from sqlalchemy import ClauseElement, Insert, Update
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres import statements
from adapters.postgres import transfer_statements as transfers
from adapters.postgres.audit import PostgresView
from adapters.postgres.errors import reading, translating
from adapters.postgres.events import FIRST, Place
from adapters.postgres.session import Columns, Session, open_session
from wallet_core.ports import StaleSnapshot

__all__ = ["FIRST", "Place", "PostgresTransfer", "Reading", "Rows", "TornTransfer", "Writing"]

Rows = Mapping[str, Sequence[Any]]
"""Columns by name, each with its values row by row."""


class TornTransfer(Exception):
    """Somebody else writes to the tenant. Nothing of the portion was kept."""


@attrs.frozen
class Reading:
    """A tenant's rows. Within ``PostgresTransfer.snapshot`` all are of one instant. Only one call at a time."""

    session: Session
    tenant: UUID

    @property
    def view(self) -> PostgresView:
        """The same instant, for its proof."""
        return PostgresView(self.session, self.tenant)

    async def counts(self) -> Columns:
        """How many rows there are of everything."""
        (row,) = await self._rows(transfers.COUNTS)
        return row

    async def transactions(self, after: Place, limit: int) -> Sequence[Columns]:
        """Applied transactions, in the order of events."""
        position, lsn, id = after
        return await self._rows(transfers.NEXT_TRANSACTIONS, position=position, lsn=lsn, id=id, limit=limit)

    async def place(self, transaction: UUID) -> Place | None:
        """Where an applied transaction stands in that order."""
        rows = await self._rows(transfers.PLACE_OF, id=transaction)
        return (rows[0]["position"], rows[0]["lsn"], rows[0]["id"]) if rows else None

    async def so_far(self, place: Place) -> int:
        """How many applied transactions there are up to this one, which is counted too."""
        position, lsn, id = place
        (row,) = await self._rows(transfers.TRANSACTIONS_SO_FAR, position=position, lsn=lsn, id=id)
        count: int = row["transactions"]
        return count

    async def entries(self, wallet_ids: Sequence[Any], versions: Sequence[int]) -> Sequence[Columns]:
        """The entries of these wallets and versions."""
        columns = {"wallet_id": wallet_ids, "version": versions}
        return await self._rows(statements.LOAD_ENTRIES, **statements.parameters(self.tenant, columns))

    async def decisions(self, after: UUID, limit: int) -> Sequence[Columns]:
        """What was refused or fenced, by id."""
        return await self._rows(transfers.NEXT_DECISIONS, after=after, limit=limit)

    async def wallets(self, after: UUID | None, limit: int) -> Sequence[Columns]:
        """Wallets by id."""
        return await self._list(transfers.FIRST_WALLETS, transfers.NEXT_WALLETS, after, limit)

    async def holds(self, after: UUID | None, limit: int) -> Sequence[Columns]:
        """Holds by id."""
        return await self._list(transfers.FIRST_HOLDS, transfers.NEXT_HOLDS, after, limit)

    async def named_transactions(self, ids: Sequence[Any]) -> Sequence[Columns]:
        """Transactions of these ids, whatever their outcome."""
        return await self._named(transfers.NAMED_TRANSACTIONS, ids)

    async def named_wallets(self, ids: Sequence[Any]) -> Sequence[Columns]:
        """Wallets of these ids."""
        return await self._named(transfers.NAMED_WALLETS, ids)

    async def named_holds(self, ids: Sequence[Any]) -> Sequence[Columns]:
        """Holds of these ids."""
        return await self._named(transfers.NAMED_HOLDS, ids)

    async def _named(self, query: ClauseElement, ids: Sequence[Any]) -> Sequence[Columns]:
        return await self._rows(query, x_id=ids) if ids else []

    async def _list(
        self, first: ClauseElement, following: ClauseElement, after: UUID | None, limit: int
    ) -> Sequence[Columns]:
        if after is None:
            return await self._rows(first, limit=limit)
        return await self._rows(following, after=after, limit=limit)

    async def _rows(self, query: ClauseElement, **values: Any) -> Sequence[Columns]:
        with reading():
            return await self.session.fetch(query, {"tenant": self.tenant, **values})


@attrs.frozen
class Writing:
    """What a portion writes. ``updated_wallets`` has ``loaded_version``: the guard against other writers."""

    opened_wallets: Rows
    updated_wallets: Rows
    transactions: Rows
    entries: Rows
    placed_holds: Rows
    updated_holds: Rows


class PostgresTransfer:
    """Reads and writes whole ledgers, over a pool of connections. All raise ``Unavailable``."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def snapshot(self, tenant: UUID) -> AsyncIterator[Reading]:
        """The tenant as it is at one instant. Writers are not held up."""
        async with AsyncExitStack() as stack:
            with reading():
                session = await stack.enter_async_context(open_session(self._engine))
                await session.begin_snapshot()
            yield Reading(session, tenant)

    @asynccontextmanager
    async def reading(self, tenant: UUID) -> AsyncIterator[Reading]:
        """The tenant as it is when each question is asked."""
        async with AsyncExitStack() as stack:
            with reading():
                session = await stack.enter_async_context(open_session(self._engine))
            yield Reading(session, tenant)

    async def write(self, tenant: UUID, portion: Writing) -> None:
        """Write a portion in one transaction: all of it, or nothing.

        Raises ``TornTransfer`` where a guard or a constraint does not hold, and ``CommitUnknown``.
        """
        try:
            with translating():
                async with open_session(self._engine) as session:
                    await session.begin()
                    for statement, rows in (
                        (statements.UPDATE_WALLETS, portion.updated_wallets),
                        (statements.INSERT_WALLETS, portion.opened_wallets),
                        (statements.IMPORT_TRANSACTIONS, _in_order(portion.transactions)),
                        (statements.INSERT_ENTRIES, portion.entries),
                        (statements.INSERT_HOLDS, portion.placed_holds),
                        (statements.UPDATE_HOLDS, portion.updated_holds),
                    ):
                        await _write(session, tenant, statement, rows)
                    with translating(committing=True):
                        await session.commit()
        except StaleSnapshot as error:
            raise TornTransfer from error


def _in_order(rows: Rows) -> Rows:
    amount = len(next(iter(rows.values()), ()))
    return {**rows, statements.PLACE: list(range(1, amount + 1))} if amount else rows


async def _write(session: Session, tenant: UUID, statement: Insert | Update, rows: Rows) -> None:
    amount = len(next(iter(rows.values()), ()))
    if amount and await session.write(statement, statements.parameters(tenant, rows)) != amount:
        raise StaleSnapshot
