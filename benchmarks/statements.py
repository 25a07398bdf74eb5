"""How long a write's statements take by themselves: what is left where deciding, queueing and HTTP cost nothing."""

import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar
from uuid import UUID

import attrs

from wallet_core.ports import Changes, Names, Snapshot, Store, UnitOfWork

T = TypeVar("T")


@attrs.define
class Clocked:
    """A store that notes how long each unit of work waited for the database, in milliseconds."""

    store: Store
    waits_ms: list[float] = attrs.field(factory=list)

    def begin(self, tenant: UUID) -> AbstractAsyncContextManager[UnitOfWork]:
        return self._begin(tenant)

    @asynccontextmanager
    async def _begin(self, tenant: UUID) -> AsyncIterator[UnitOfWork]:
        before = self.store.begin(tenant)
        clocked = _ClockedUnit()
        clocked.unit = await clocked.wait(before.__aenter__())
        try:
            yield clocked
        finally:
            await before.__aexit__(None, None, None)
        self.waits_ms.append(clocked.waited_s * 1000)


class _ClockedUnit:
    unit: UnitOfWork

    def __init__(self) -> None:
        self.waited_s = 0.0

    async def wait(self, answer: Awaitable[T]) -> T:
        started_at = time.perf_counter()
        try:
            return await answer
        finally:
            self.waited_s += time.perf_counter() - started_at

    async def load(self, names: Names, *, lock: bool = False) -> Snapshot:
        return await self.wait(self.unit.load(names, lock=lock))

    def prepare(self, changes: Changes) -> bool:
        return self.unit.prepare(changes)

    async def append(self, changes: Changes) -> None:
        await self.wait(self.unit.append(changes))

    async def commit(self) -> None:
        await self.wait(self.unit.commit())
