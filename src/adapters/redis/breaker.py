"""The circuit breaker in front of the cache's store.

It is ours because those in libraries have another aim: they let some failures pass before they open, and then send a
caller's own request to see whether the other side is back. Here the store is never needed, so the first failure opens,
and no write ever waits to find out: that is asked in the background.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from adapters.redis.store import StoreAway, StoreRefused

CALL_S_MAX: Final = 0.05
"""How long a call may take in all, in seconds: to connect, to log in, to ask and to be answered."""

PROBE_S: Final = 1.0
"""How long to wait before the store is asked whether it is back, and between two such questions."""

logger = logging.getLogger("wallet.cache")

Answer = TypeVar("Answer")


class Breaker:
    """Limits the time of calls, and is open from the first that fails until ``probe`` returns.

    To be asked whether it ``is_open`` before a call is made.
    """

    def __init__(self, probe: Callable[[], Awaitable[None]], call_s_max: float = CALL_S_MAX) -> None:
        self._probe = probe
        self._call_s_max = call_s_max
        self._probing: asyncio.Task[None] | None = None
        self.failures = 0

    @property
    def is_open(self) -> bool:
        """Whether the store is away, as far as is known."""
        return self._probing is not None

    async def call(self, call: Awaitable[Answer]) -> Answer:
        """The answer to a call. Raises ``StoreAway``, also when time is up, or ``StoreRefused``, which opens nothing
        by itself: ``trip`` does."""
        try:
            async with asyncio.timeout(self._call_s_max):
                return await call
        except TimeoutError as late:
            self.trip("TimeoutError")
            raise StoreAway("TimeoutError") from late
        except StoreAway as away:
            self.trip(str(away))
            raise

    def trip(self, reason: str) -> None:
        """Open, because of this, unless it is open."""
        self.failures += 1
        if self._probing is None:
            logger.warning("the replay cache is away (%s); replays are read from the database", reason)
            self._probing = asyncio.create_task(self._close_when_back())

    async def close(self) -> None:
        """Ask no more. Stays open."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])

    async def _close_when_back(self) -> None:
        while True:
            await asyncio.sleep(PROBE_S)
            try:
                async with asyncio.timeout(self._call_s_max):
                    await self._probe()
            except (StoreAway, StoreRefused, TimeoutError):
                continue
            self._probing = None
            logger.warning("the replay cache is back")
            return
