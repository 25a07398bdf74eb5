"""A store whose units of work wait between looking and writing, so that processes lose races, and then lock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final
from uuid import UUID

import attrs
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.unit_of_work import PostgresStore
from wallet_core.ports import Changes, Names, Snapshot, Store, UnitOfWork

HESITATION_S: Final = 0.05


class HesitantStore:
    """A ``Store`` over a pool of connections."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._store: Store = PostgresStore(engine)

    def begin(self, tenant: UUID) -> AbstractAsyncContextManager[UnitOfWork]:
        return self._begin(tenant)

    @asynccontextmanager
    async def _begin(self, tenant: UUID) -> AsyncIterator[UnitOfWork]:
        async with self._store.begin(tenant) as unit:
            yield _HesitantUnit(unit)


@attrs.frozen
class _HesitantUnit:
    unit: UnitOfWork

    async def load(self, names: Names, *, lock: bool = False) -> Snapshot:
        return await self.unit.load(names, lock=lock)

    def prepare(self, changes: Changes) -> bool:
        return self.unit.prepare(changes)

    async def append(self, changes: Changes) -> None:
        await asyncio.sleep(HESITATION_S)
        await self.unit.append(changes)

    async def commit(self) -> None:
        await self.unit.commit()
