"""A store that fails on cue, over one that does not."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal
from uuid import UUID

import attrs

from wallet_core.ports import Changes, Names, Snapshot, Store, UnitOfWork


@attrs.frozen
class Fault:
    """At this step of one unit of work, raise this; if ``kept``, only after the step was carried out all the same."""

    at: Literal["begin", "load", "append", "commit"]
    error: Exception
    kept: bool = False


@attrs.define
class FaultyStore:
    """Each unit of work has the next of the faults, or none where that is None. After the last one all is well."""

    store: Store
    faults: Iterable[Fault | None]
    begun: int = 0
    committed: int = 0
    locked: list[bool] = attrs.field(factory=list)
    """Of each unit of work that was loaded, whether it locked its wallets."""

    def __attrs_post_init__(self) -> None:
        self.faults = iter(self.faults)

    def begin(self, tenant: UUID) -> AbstractAsyncContextManager[UnitOfWork]:
        return self._begin(tenant)

    @asynccontextmanager
    async def _begin(self, tenant: UUID) -> AsyncIterator[UnitOfWork]:
        self.begun += 1
        fault = next(iter(self.faults), None)
        if fault is not None and fault.at == "begin":
            raise fault.error
        async with self.store.begin(tenant) as unit:
            yield _FaultyUnit(unit, fault, self)


@attrs.define
class _FaultyUnit:
    _unit: UnitOfWork
    _fault: Fault | None
    _store: FaultyStore

    async def load(self, names: Names, *, lock: bool = False) -> Snapshot:
        self._store.locked.append(lock)
        self._fail_at("load")
        return await self._unit.load(names, lock=lock)

    def prepare(self, changes: Changes) -> bool:
        return self._unit.prepare(changes)

    async def append(self, changes: Changes) -> None:
        self._fail_at("append")
        await self._unit.append(changes)

    async def commit(self) -> None:
        fault = self._fault
        if fault is None or fault.at != "commit" or fault.kept:
            await self._unit.commit()
            self._store.committed += 1
        self._fail_at("commit")

    def _fail_at(self, step: str) -> None:
        if self._fault is not None and self._fault.at == step:
            raise self._fault.error
