"""A modelled Redis below the real replay cache: it forgets, goes away, hangs, refuses and lies."""

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final
from uuid import UUID

import attrs

from adapters.redis import receipts
from adapters.redis.cache import RedisReplayCache
from adapters.redis.store import StoreAway, StoreRefused
from tests.simulation import faults
from tests.simulation.faults import Plan
from tests.simulation.log import Log
from tests.simulation.loop import VirtualLoop
from wallet_core import Rejection, Transaction
from wallet_core.ports import History

HISTORY: Final = History("simulated", b"secret")
AWAY_S: Final = 2.5
ANSWER_S: Final = 0.0003


class OneHistory:
    """``Histories`` of a database that is never restored."""

    known: History | None = HISTORY

    def start(self) -> None:
        """There is nothing to watch."""

    async def close(self) -> None:
        """There is nothing to watch."""


@attrs.define
class ModelValues:
    """A ``KeyValues`` that all processes of the service share."""

    loop: VirtualLoop
    plan: Plan
    log: Log
    random: Random
    values: dict[bytes, bytes] = attrs.field(factory=dict)
    _away_until: float = 0.0
    _lies: bool = False

    async def get_many(self, keys: Sequence[bytes]) -> Sequence[object]:
        await self._reach()
        values = [self.values.get(key) for key in keys]
        if any(values):
            self.log.cover("the cache knew a key")
        return [self._lie(value) for value in values] if self._lies else values

    async def put_many(self, values: Mapping[bytes, bytes], ttl_s: int) -> None:
        await self._reach()
        self.values.update(values)

    async def ping(self) -> None:
        await self._reach()

    async def close(self) -> None:
        """There is nothing to let go of."""

    async def _reach(self) -> None:
        fault = self.plan.at(faults.CACHE)
        if fault is not None:
            self.log.cover(faults.named(faults.CACHE, fault))
        await self.loop.pause(ANSWER_S)
        match fault:
            case faults.AWAY:
                self._away_until = self.loop.time() + AWAY_S
            case faults.HUNG:
                await self.loop.create_future()
            case faults.REFUSED:
                raise StoreRefused("out of memory")
            case faults.FORGETTING:
                self.values.clear()
            case faults.LYING:
                self._lies = True
            case _:
                pass
        if self.loop.time() < self._away_until:
            raise StoreAway("connection refused")

    def _lie(self, value: bytes | None) -> object:
        """Another receipt than the one that was kept, or nothing of the kind."""
        if value is None:
            return self.random.choice([None, 7, b"", *self.values.values()])
        altered = value.replace(b'"created_at":"2024', b'"created_at":"2025', 1)
        return self.random.choice((altered, altered, value[: len(value) // 2], *self.values.values()))


class BlindCache(RedisReplayCache):
    """Lacks a mechanism: it believes what the store says, and looks at no seal."""

    async def find(self, tenant: UUID, keys: Sequence[str], history: History) -> Mapping[str, Transaction | Rejection]:
        places = [receipts.store_key(history, tenant, key) for key in keys]
        try:
            values = await self._breaker.call(self._store.get_many(places))
        except (StoreAway, StoreRefused):
            return {}
        found: dict[str, Transaction | Rejection] = {}
        for key, value in zip(keys, values, strict=True):
            if isinstance(value, bytes):
                try:
                    body = value[len(receipts.FORMAT) + receipts.SEAL_BYTES :]
                    found[key] = receipts._decision(json.loads(body))
                except receipts._NONSENSE:
                    continue
        return found
