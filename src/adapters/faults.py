"""Decorators of the ports that have failpoints strike where a request asked for it (``adapters.failpoints``)."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final
from uuid import UUID

import attrs

from adapters.failpoints import Action, Asked, Failpoints, Point
from adapters.redis.store import KeyValues, StoreAway
from wallet_core.commands import Command
from wallet_core.outcomes import Outcome
from wallet_core.ports import Changes, CommitUnknown, Ledger, Names, Snapshot, Store, Unavailable, UnitOfWork

_AMOUNT: Final = re.compile(rb'(amount\\{0,2}": ?)[0-9]+')


@attrs.frozen
class FaultyLedger:
    """A ``Ledger`` around the queue of batches: the outermost. A request's faults are armed while it is under way."""

    ledger: Ledger
    failpoints: Failpoints

    async def execute(self, tenant: UUID, commands: Sequence[Command]) -> Sequence[Outcome]:
        """Carry out the commands, and fail on the way as the request asked. See ``ports.Ledger``."""
        asked = self.failpoints.asked.get()
        if asked is None:
            return await self.ledger.execute(tenant, commands)
        with self.failpoints.armed(asked, tenant, [command.key for command in commands]):
            await self.failpoints.strike(Point.BEFORE_QUEUE, [asked])
            outcomes = await self.ledger.execute(tenant, commands)
            asked.dropped = Action.DROP in await self.failpoints.strike(Point.BEFORE_ANSWER, [asked])
            return outcomes


@attrs.frozen
class FaultyStore:
    """A ``Store`` whose units of work fail as the requests whose keys they carry have asked."""

    store: Store
    failpoints: Failpoints

    def begin(self, tenant: UUID) -> AbstractAsyncContextManager[UnitOfWork]:
        """A new unit of work. See ``ports.Store``."""
        return self._begin(tenant)

    @asynccontextmanager
    async def _begin(self, tenant: UUID) -> AsyncIterator[UnitOfWork]:
        async with self.store.begin(tenant) as unit:
            yield _FaultyUnit(unit, tenant, self.failpoints)


@attrs.define
class _FaultyUnit:
    unit: UnitOfWork
    tenant: UUID
    failpoints: Failpoints
    asking: Sequence[Asked] = ()

    async def load(self, names: Names, *, lock: bool = False) -> Snapshot:
        self.asking = self.failpoints.asking(self.tenant, names.keys)
        await self._strike(Point.BEFORE_LOAD, Unavailable)
        snapshot = await self.unit.load(names, lock=lock)
        await self._strike(Point.AFTER_LOAD, Unavailable)
        return snapshot

    def prepare(self, changes: Changes) -> bool:
        return self.unit.prepare(changes)

    async def append(self, changes: Changes) -> None:
        await self._strike(Point.BEFORE_APPEND, Unavailable)
        await self.unit.append(changes)

    async def commit(self) -> None:
        # On this side of COMMIT nothing is kept, on the other all of it is; who waits for the answer cannot tell.
        await self._strike(Point.BEFORE_COMMIT, CommitUnknown)
        await self.unit.commit()
        await self._strike(Point.AFTER_COMMIT, CommitUnknown)

    async def _strike(self, point: Point, lost: type[Exception]) -> None:
        if self.asking and Action.ERROR in await self.failpoints.strike(point, self.asking):
            raise lost(f"the lab has the connection fail at {point}")


@attrs.define
class FaultyKeyValues:
    """The replay cache's store, whose answers fail the batches that carry the keys of a request that asked for it.

    What is written gets there: it is to be told wrongly later.
    """

    store: KeyValues
    failpoints: Failpoints
    _seen: bytes = b""
    _lies_told: int = 0

    async def get_many(self, keys: Sequence[bytes]) -> Sequence[object]:
        """What is under the keys, or what the fault that strikes makes of it. See ``adapters.redis.store``."""
        actions = await self.failpoints.strike(Point.CACHE, self._asking(keys))
        if Action.HUNG in actions:
            await asyncio.Event().wait()
        if Action.DOWN in actions:
            raise StoreAway("the lab has the cache fail")
        values = await self.store.get_many(keys)
        return self._lies(values) if Action.LYING in actions else values

    async def put_many(self, values: Mapping[bytes, bytes], ttl_s: int) -> None:
        await self.store.put_many(values, ttl_s)

    async def ping(self) -> None:
        await self.store.ping()

    async def close(self) -> None:
        await self.store.close()

    def _asking(self, keys: Sequence[bytes]) -> list[Asked]:
        # A store's key is the prefix, the history, the tenant and the idempotency key, with colons between them.
        parts = [key.split(b":", 3) for key in keys]
        asking = [each for part in parts for each in self.failpoints.asking(UUID(part[2].decode()), [part[3].decode()])]
        return list(dict.fromkeys(asking))

    def _lies(self, values: Sequence[object]) -> list[object]:
        """Other amounts, another key's receipt, half of one, and nonsense, in turn."""
        lies: list[object] = []
        for place, value in enumerate(values):
            truth = value if isinstance(value, bytes) else self._seen
            kinds: Sequence[object] = (
                _AMOUNT.sub(rb"\g<1>1000003", truth),
                self._seen,
                truth[: len(truth) // 2],
                place,
            )
            lies.append(kinds[self._lies_told % len(kinds)])
            self._lies_told += 1
            self._seen = truth
        return lies
