"""Waiting for events: one look at the database for all who wait for the same tenant's, and only while somebody waits.

Nobody holds a connection meanwhile. Commits of this process are looked for at once, those of others at intervals.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

import attrs

from wallet_core.events import PAGE_EVENTS_MAX, EventReader, Events
from wallet_core.ports import Unavailable

FOLLOWERS_MAX: Final = 500
"""How many may wait for events, or have them streamed, at a time; more are turned away."""

PACE_S: Final = 0.02
"""How long there is between two looks at least, in seconds, however fast batches are committed."""

LOOK_S: Final = 0.2
"""How long there is between two looks at most, in seconds: what other processes commit is seen no later."""

LOOKS_PER_S_MAX: Final = 500
"""How often a process looks, of as many tenants as are waited for. With more than a hundred, it takes longer."""

RETRY_S: Final = 1.0
"""How long there is between two looks at a database that is away, in seconds."""

logger = logging.getLogger("wallet.events")


class TooManyFollowers(Exception):
    """As many wait already as may."""


@attrs.define
class EventFeed:
    """Events of any tenant, and waiting for them. Everything happens in one event loop."""

    reader: EventReader
    followers_max: int = FOLLOWERS_MAX
    _tails: "dict[UUID, Tail]" = attrs.field(factory=dict, init=False)
    _followers: int = attrs.field(default=0, init=False)
    _stopped: bool = attrs.field(default=False, init=False)

    @property
    def followers(self) -> int:
        """How many wait, or have events streamed."""
        return self._followers

    @property
    def stopped(self) -> bool:
        """Whether nobody is to wait any more."""
        return self._stopped

    @property
    def look_s(self) -> float:
        """How long there is between two looks for one tenant, in seconds, if nothing is announced."""
        return max(LOOK_S, len(self._tails) / LOOKS_PER_S_MAX)

    def announce(self, tenant: UUID) -> None:
        """Tell that something of the tenant's may have been committed."""
        tail = self._tails.get(tenant)
        if tail is not None:
            tail.hurry()

    @contextmanager
    def following(self, tenant: UUID) -> "Iterator[Tail]":
        """The end of the tenant's events, to be waited at. Raises ``TooManyFollowers``."""
        if self._followers >= self.followers_max:
            raise TooManyFollowers
        self._followers += 1
        tail = self._tails.get(tenant)
        if tail is None:
            tail = self._tails[tenant] = Tail(self, tenant)
        tail.followers += 1
        try:
            yield tail
        finally:
            self._followers -= 1
            tail.followers -= 1
            if not tail.followers:
                del self._tails[tenant]
                tail.hurry()

    def stop(self) -> None:
        """Have nobody wait any more: the service ends."""
        self._stopped = True
        for tail in self._tails.values():
            tail.wake()


class Tail:
    """The end of a tenant's events, as those see it who wait for more."""

    def __init__(self, feed: EventFeed, tenant: UUID) -> None:
        self.followers = 0
        self.turn = 0
        """How often there was something to be woken for. What is read after it was looked at misses nothing."""
        self._feed = feed
        self._tenant = tenant
        self._recent: tuple[str, Events] | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._hurried = asyncio.Event()

    def recent(self, after: str | None, limit: int) -> Events | None:
        """What has come last, if it comes right after this cursor: the database need not be asked for it again."""
        if self._recent is None or self._recent[0] != after:
            return None
        items = self._recent[1].items[:limit]
        return Events(items, items[-1].cursor)

    async def news(self, turn: int, cursor: str, limit_s: float) -> None:
        """Return when there may be something new, or after this long. ``turn`` is from before the cursor was reached,
        with nothing behind it.

        The database being away is news too.
        """
        if self.turn != turn or self._feed.stopped:
            return
        if self._task is None:
            self._task = asyncio.create_task(self._look(cursor))
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            await asyncio.wait((waiting,), timeout=limit_s)
        finally:
            self._waiting.discard(waiting)

    def hurry(self) -> None:
        """Look as soon as may be."""
        self._hurried.set()

    def wake(self) -> None:
        """Wake all who wait."""
        self.turn += 1
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()

    async def _look(self, cursor: str) -> None:
        """Look for what comes after the cursor, and after that, for as long as there are followers."""
        pause_s = PACE_S
        try:
            while self.followers and not self._feed.stopped:
                await self._pause(pause_s)
                # What is announced from here on may not be seen by this look.
                hurried = self._hurried.is_set()
                self._hurried.clear()
                try:
                    found = await self._feed.reader.events(self._tenant, after=cursor, limit=PAGE_EVENTS_MAX)
                except Unavailable:
                    self.wake()
                    await asyncio.sleep(RETRY_S)
                    continue
                if found.items:
                    self._recent = cursor, found
                    cursor = found.next_cursor
                    self.wake()
                # Others may still be under way that began before what was announced: it is told when they have ended.
                fresh = found.items or hurried
                pause_s = PACE_S if fresh else min(2 * pause_s, self._feed.look_s)
        except Exception:
            logger.exception("looking for events failed")
            raise
        finally:
            self._task = None
            self.wake()

    async def _pause(self, pause_s: float) -> None:
        await asyncio.sleep(PACE_S)
        if pause_s > PACE_S:
            try:
                async with asyncio.timeout(pause_s - PACE_S):
                    await self._hurried.wait()
            except TimeoutError:
                pass
