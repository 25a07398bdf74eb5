"""What a proxy does, and when: rules that are armed at a point, and tell when they have fired."""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from random import Random
from typing import Final

import attrs

FIRED_S_MAX: Final = 20.0
"""How long a test waits for a point to be reached, in seconds."""


@attrs.frozen
class Cut:
    """Close both sides: the client's with a reset, or else in good order; the server's after all it was sent."""

    reset: bool = True


@attrs.frozen
class Stall:
    """Let nothing pass in either direction, a close included; for so many seconds, or until the rule is released."""

    seconds: float | None = None


@attrs.frozen
class HalfOpen:
    """From now on all bytes vanish, in both directions, while the client's socket stays open.

    The server's socket stays open too, as when a network loses every packet; or is closed, as when the server's machine
    is gone and was not heard.
    """

    server_closed: bool = False


@attrs.frozen
class Truncate:
    """Pass on only the first bytes of what is to be sent at this point, half of it by default, and cut."""

    bytes_kept: int | None = None


@attrs.frozen
class Replace:
    """Send what this makes of what was to be sent at this point."""

    make: Callable[[bytes], bytes]


Action = Cut | Stall | HalfOpen | Truncate | Replace


@attrs.frozen
class Moment:
    """A point that a connection has come to. ``text`` is what the point is about: a statement, a command."""

    point: StrEnum
    application: str = ""
    text: str = ""


@attrs.define(eq=False)
class Firings:
    """A number that grows, and can be waited for."""

    count: int = 0
    _grown: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)

    def add(self) -> None:
        self.count += 1
        self._grown.set()
        self._grown = asyncio.Event()

    async def reach(self, count: int, within_s: float = FIRED_S_MAX) -> None:
        """Return when there were so many. Raises ``AssertionError`` if it takes too long."""
        try:
            async with asyncio.timeout(within_s):
                while self.count < count:
                    await self._grown.wait()
        except TimeoutError:
            raise AssertionError(f"fired {self.count} times, not {count}, within {within_s} s") from None


@attrs.define(eq=False)
class Rule:
    """An action at a point: the first ``times`` times (None: always) that it is reached, after ``skip`` times, and of
    those with this probability. Only where the text contains ``text`` and the client is ``application``, if given."""

    point: StrEnum
    action: Action
    times: int | None = 1
    skip: int = 0
    probability: float = 1.0
    text: str | None = None
    application: str | None = None
    firings: Firings = attrs.field(init=False, factory=Firings)
    released: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)

    async def fired(self, times: int = 1) -> None:
        """Return when the rule has fired so often. Raises ``AssertionError`` if it does not in time."""
        await self.firings.reach(times)

    @property
    def count(self) -> int:
        """How often it has fired."""
        return self.firings.count

    def release(self) -> None:
        """End its stalls, those of now and those to come."""
        self.released.set()

    def fires(self, moment: Moment, random: Random) -> bool:
        """Whether it fires now; if so, that is counted."""
        if (
            moment.point != self.point
            or (self.times is not None and self.count >= self.times)
            or (self.application is not None and moment.application != self.application)
            or (self.text is not None and self.text not in moment.text)
        ):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.probability < 1.0 and random.random() >= self.probability:
            return False
        self.firings.add()
        return True
