"""Failpoints: named places at which a request of the lab has the service fail.

A request asks for faults in its header, the way from there is the context variable ``Failpoints.asked``, and they
strike the batch that carries one of the request's keys, in whatever process and together with whatever else that is.
So they need no state that outlives the request, and requests which ask for nothing only share the batch's fate.

``adapters.faults`` has them strike. Both are wired by the composition root, and only when the lab is on.
"""

import asyncio
import os
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Final
from uuid import UUID

import attrs

DELAY_MS_MAX: Final = 30_000
TIMES_MAX: Final = 100
FAULTS_MAX: Final = 10
"""How many faults one request may ask for."""


class Point(StrEnum):
    """Where a fault strikes."""

    BEFORE_QUEUE = "before-queue"
    """The request has arrived; its commands do not wait for a batch yet."""
    BEFORE_LOAD = "before-load"
    AFTER_LOAD = "after-load"
    BEFORE_APPEND = "before-append"
    BEFORE_COMMIT = "before-commit"
    AFTER_COMMIT = "after-commit"
    BEFORE_ANSWER = "before-answer"
    """The outcome is known, and nobody has been told."""
    CACHE = "cache"
    """Whenever the batch asks the replay cache."""


class Action(StrEnum):
    """What happens there."""

    DELAY = "delay"
    ERROR = "error"
    """The connection to the database is lost. Around COMMIT, nobody can tell whether it came about."""
    CRASH = "crash"
    """The process is killed, and another takes its place."""
    DROP = "drop"
    """The client's connection is closed without an answer."""
    DOWN = "down"
    HUNG = "hung"
    LYING = "lying"


_IN_UNIT = (Action.DELAY, Action.ERROR, Action.CRASH)

ACTIONS: Final[Mapping[Point, Sequence[Action]]] = {
    Point.BEFORE_QUEUE: (Action.DELAY, Action.CRASH),
    Point.BEFORE_LOAD: _IN_UNIT,
    Point.AFTER_LOAD: _IN_UNIT,
    Point.BEFORE_APPEND: _IN_UNIT,
    Point.BEFORE_COMMIT: _IN_UNIT,
    Point.AFTER_COMMIT: _IN_UNIT,
    Point.BEFORE_ANSWER: (Action.DELAY, Action.DROP, Action.CRASH),
    Point.CACHE: (Action.DOWN, Action.HUNG, Action.LYING),
}

_FAULT = re.compile(r"(?P<point>[a-z-]+)=(?P<action>[a-z]+)(?::(?P<delay_ms>[0-9]{1,6}))?(?:\*(?P<times>[0-9]{1,4}))?")


@attrs.define
class Fault:
    """A fault that was asked for. ``times`` is how often it may still strike."""

    point: Point
    action: Action
    delay_s: float = 0.0
    times: int = 1

    def __str__(self) -> str:
        """As in the header, without the numbers."""
        return f"{self.point}={self.action}"


@attrs.define(eq=False)
class Asked:
    """The faults that one request asked for, and those that struck, in order."""

    faults: Sequence[Fault]
    fired: list[str] = attrs.field(factory=list)
    dropped: bool = False
    """Whether the connection is to be closed instead of answered."""

    def take(self, point: Point) -> Fault | None:
        """The fault that strikes now at this point, if one does."""
        for fault in self.faults:
            if fault.point is point and fault.times > 0:
                fault.times -= 1
                self.fired.append(str(fault))
                return fault
        return None


@attrs.define
class Failpoints:
    """The faults that the requests under way have asked for, by tenant and key.

    ``crashes``: whether a process may be killed, because another will take its place.
    """

    crashes: bool = False
    asked: ContextVar[Asked | None] = attrs.field(factory=lambda: ContextVar("asked", default=None), init=False)
    _armed: dict[tuple[UUID, str], list[Asked]] = attrs.field(factory=dict, init=False)

    def actions(self) -> Mapping[str, Sequence[str]]:
        """What may be asked for at each point."""
        return {
            point.value: [action.value for action in actions if self.crashes or action is not Action.CRASH]
            for point, actions in ACTIONS.items()
        }

    def ask(self, text: str) -> Asked:
        """Have what this task and those it starts send to the ledger fail as the header says:
        ``<point>=<action>[:<ms>][*<times>]``, with commas between several.

        Raises ``ValueError``, whose message is for the client.
        """
        parts = text.split(",")
        if len(parts) > FAULTS_MAX:
            raise ValueError(f"asks for more than {FAULTS_MAX} faults")
        asked = Asked([self._read_one(part.strip(" \t")) for part in parts])
        self.asked.set(asked)
        return asked

    def _read_one(self, text: str) -> Fault:
        match = _FAULT.fullmatch(text)
        if match is None:
            raise ValueError("must be like before-commit=delay:6000 or after-commit=error*2")
        actions = self.actions()
        if match["point"] not in actions:
            raise ValueError(f"must name one of the points {', '.join(actions)}")
        possible = actions[match["point"]]
        if match["action"] not in possible:
            raise ValueError(f"takes one of these at {match['point']}: {', '.join(possible)}")
        point, action = Point(match["point"]), Action(match["action"])
        if (action is Action.DELAY) != (match["delay_ms"] is not None):
            raise ValueError("needs milliseconds for a delay, as in delay:500, and for nothing else")
        delay_ms, times = int(match["delay_ms"] or 0), int(match["times"] or 1)
        if delay_ms > DELAY_MS_MAX or not 1 <= times <= TIMES_MAX:
            raise ValueError(f"delays for at most {DELAY_MS_MAX} ms, and strikes 1 to {TIMES_MAX} times")
        return Fault(point, action, delay_ms / 1000, times)

    @contextmanager
    def armed(self, asked: Asked, tenant: UUID, keys: Sequence[str]) -> Iterator[None]:
        """Have the faults strike what carries one of these keys."""
        places = [(tenant, key) for key in dict.fromkeys(keys)]
        for place in places:
            self._armed.setdefault(place, []).append(asked)
        try:
            yield
        finally:
            for place in places:
                self._armed[place].remove(asked)
                if not self._armed[place]:
                    del self._armed[place]

    def asking(self, tenant: UUID, keys: Sequence[str]) -> list[Asked]:
        """Who asks for faults in what carries these keys, each once."""
        if not self._armed:
            return []
        return list(dict.fromkeys(asked for key in keys for asked in self._armed.get((tenant, key), ())))

    async def strike(self, point: Point, asking: Sequence[Asked]) -> set[Action]:
        """Delay and crash as asked, once for all who ask. Returns what else is asked for at this point."""
        faults = [fault for asked in asking if (fault := asked.take(point)) is not None]
        if not faults:
            return set()
        await asyncio.sleep(max(fault.delay_s for fault in faults))
        actions = {fault.action for fault in faults}
        if Action.CRASH in actions:
            os.kill(os.getpid(), signal.SIGKILL)
        return actions - {Action.DELAY}
