"""The replay cache: receipts of committed decisions, in a store that may be away, full, slow, stale, or lying."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final, Protocol
from uuid import UUID

import attrs

from adapters.redis.breaker import CALL_S_MAX, Breaker
from adapters.redis.receipts import sealed, store_key, unsealed
from adapters.redis.store import KeyValues, StoreAway, StoreRefused
from wallet_core.model import Rejection, Transaction
from wallet_core.ports import History

RECEIPT_TTL_S: Final = 24 * 60 * 60
"""How long a receipt is kept. Clients retry within seconds, and a job that runs daily does so within a day."""

PENDING_RECEIPTS_MAX: Final = 4_000
"""How many receipts wait to be written. Those that find the queue full are not kept."""

WRITE_RECEIPTS_MAX: Final = 100
"""How many receipts go out at a time. Sealing them takes this thread about 2 ms."""

REFUSED_S: Final = 1.0
"""For how long nothing is written after the store has refused to keep something, being full for instance."""

CLOSE_S_MAX: Final = 1.0
"""How long the end waits for the receipts that are still to be written."""

logger = logging.getLogger("wallet.cache")

_Pending = tuple[History, UUID, Transaction | Rejection]


class Histories(Protocol):
    """Watches which history the database has."""

    @property
    def known(self) -> History | None:
        """The history that it has now; None while that is not known. Costs nothing."""
        ...

    def start(self) -> None:
        """Begin to watch, in the running event loop."""
        ...

    async def close(self) -> None:
        """Stop watching."""
        ...


@attrs.frozen
class CacheState:
    """What the cache has seen since it was made. Counts are of keys, but for ``failures``, which are of calls."""

    away: bool
    refusing: bool
    """Whether the store, although it answers, keeps nothing new."""
    hits: int
    misses: int
    rejected: int
    """Values that were no receipts, and therefore misses too."""
    dropped: int
    """Receipts that were not kept."""
    failures: int


class RedisReplayCache:
    """A ``ReplayCache`` over a store of values. See ``ports.ReplayCache``.

    To be started in the event loop that it is used in, and closed; before and after, it finds nothing and keeps
    nothing. What it is made of is started and closed with it.
    """

    def __init__(self, store: KeyValues, histories: Histories, call_s_max: float = CALL_S_MAX) -> None:
        self._store = store
        self._histories = histories
        self._breaker = Breaker(store.ping, call_s_max)
        self._pending: asyncio.Queue[_Pending] = asyncio.Queue(PENDING_RECEIPTS_MAX)
        self._writer: asyncio.Task[None] | None = None
        self._refusing = False
        self._retry_at = 0.0
        self._hits = self._misses = self._rejected = self._dropped = 0

    @property
    def state(self) -> CacheState:
        """What has happened so far."""
        return CacheState(
            self._breaker.is_open,
            self._refusing,
            self._hits,
            self._misses,
            self._rejected,
            self._dropped,
            self._breaker.failures,
        )

    def is_asked(self) -> bool:
        """Whether the next batch asks the store."""
        return self._writer is not None and not self._breaker.is_open and self._histories.known is not None

    def history(self) -> History | None:
        return self._histories.known

    async def find(self, tenant: UUID, keys: Sequence[str], history: History) -> Mapping[str, Transaction | Rejection]:
        if self._writer is None or self._breaker.is_open:
            return {}
        places = [store_key(history, tenant, key) for key in keys]
        try:
            values = await self._breaker.call(self._store.get_many(places))
        except StoreRefused as refusal:
            self._breaker.trip(str(refusal))
            return {}
        except StoreAway:
            return {}
        # While the store was asked, the database may have become another one.
        if len(values) != len(keys) or self._histories.known != history:
            self._misses += len(keys)
            return {}
        found: dict[str, Transaction | Rejection] = {}
        for key, place, value in zip(keys, places, values, strict=True):
            decision = unsealed(value, place, key, history)
            if decision is not None:
                found[key] = decision
            elif value is not None:
                self._rejected += 1
        self._hits += len(found)
        self._misses += len(keys) - len(found)
        return found

    def remember(self, tenant: UUID, decisions: Sequence[Transaction | Rejection], history: History) -> None:
        if self._writer is None or self._breaker.is_open or self._paused or self._histories.known != history:
            self._dropped += len(decisions)
            return
        for place, decision in enumerate(decisions):
            try:
                self._pending.put_nowait((history, tenant, decision))
            except asyncio.QueueFull:
                self._dropped += len(decisions) - place
                return

    def start(self) -> None:
        """Begin to find and to keep. Waits for nothing."""
        self._histories.start()
        self._writer = asyncio.create_task(self._write_what_is_pending())

    async def written(self) -> None:
        """Return when nothing is left to be written."""
        await self._pending.join()

    async def close(self) -> None:
        """Write what is pending, if that is done soon, and let go of the store. Returns within seconds."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await asyncio.wait([asyncio.create_task(self.written())], timeout=CLOSE_S_MAX)
            writer.cancel()
            await asyncio.wait([writer])
        await self._breaker.close()
        await self._histories.close()
        await asyncio.wait([asyncio.create_task(self._store.close())], timeout=CLOSE_S_MAX)

    async def _write_what_is_pending(self) -> None:
        while True:
            batch = [await self._pending.get()]
            while len(batch) < WRITE_RECEIPTS_MAX and not self._pending.empty():
                batch.append(self._pending.get_nowait())
            try:
                await self._write(batch)
            finally:
                for _ in batch:
                    self._pending.task_done()

    async def _write(self, batch: Sequence[_Pending]) -> None:
        values: dict[bytes, bytes] = {}
        for history, tenant, decision in batch:
            place = store_key(history, tenant, decision.key)
            value = sealed(decision, place, history)
            if value is None:
                self._dropped += 1
            else:
                values[place] = value
        if not values or self._breaker.is_open or self._paused:
            self._dropped += len(values)
            return
        try:
            await self._breaker.call(self._store.put_many(values, RECEIPT_TTL_S))
        except StoreRefused as refusal:
            self._dropped += len(values)
            self._pause(str(refusal))
        except StoreAway:
            self._dropped += len(values)
        else:
            self._resume()

    @property
    def _paused(self) -> bool:
        return self._refusing and asyncio.get_running_loop().time() < self._retry_at

    def _pause(self, reason: str) -> None:
        """Write nothing for a while. What is kept already is of use all the same, so that reading goes on."""
        self._retry_at = asyncio.get_running_loop().time() + REFUSED_S
        if not self._refusing:
            self._refusing = True
            logger.warning("the replay cache keeps nothing new (%s)", reason)

    def _resume(self) -> None:
        if self._refusing:
            self._refusing = False
            logger.warning("the replay cache keeps receipts again")
