"""What is looked at now and then instead of being told: the state of things, and counters that others keep."""

import asyncio
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from adapters.metrics import catalogue as c
from adapters.metrics.cells import Layout, Metric, Numbers
from adapters.metrics.recorder import Histogram

PERIOD_S: Final = 0.5
"""How often it is looked, in seconds, and so how old a gauge of another worker may be."""

STATM: Final = Path("/proc/self/statm")
OPEN: Final = Path("/proc/self/fd")
PAGE_BYTES: Final = resource.getpagesize()

Look = Callable[[], float]


@attrs.define
class _Counted:
    place: int
    look: Look
    last: float = 0.0


class Gauges:
    """Keeps the gauges of this process up to date, between ``start`` and ``stop``."""

    def __init__(self, numbers: Numbers, layout: Layout) -> None:
        self._numbers = numbers
        self._layout = layout
        self._gauges: list[tuple[int, Look]] = []
        self._counters: list[_Counted] = []
        self._lag = Histogram(numbers, layout, c.LAG)
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        numbers[layout.place(c.WORKERS)] = 1
        numbers[layout.place(c.WORKER_STARTS)] += 1
        numbers[layout.place(c.START_TIME)] = time.time()
        # Of this process, and not of the one whose cells it has taken over.
        numbers[layout.place(c.CPU_S)] = 0.0
        self.counts(c.CPU_S, time.process_time)
        self.shows(c.MEMORY, _resident_bytes)
        self.shows(c.OPEN_FILES, _open_files)

    def shows(self, metric: Metric, look: Look, *labels: str) -> None:
        """Have a gauge show what this returns."""
        self._gauges.append((self._layout.place(metric, *labels), look))

    def counts(self, metric: Metric, look: Look, *labels: str) -> None:
        """Have a counter follow one that somebody else keeps, since this process began."""
        self._counters.append(_Counted(self._layout.place(metric, *labels), look))

    def shows_state(self, metric: Metric, look: Callable[[], str], states: Sequence[str]) -> None:
        """Have 1 in the series of the state that there is, and 0 in the others."""
        for state in states:
            self.shows(metric, lambda state=state: float(look() == state), state)  # type: ignore[misc] # bound now

    def look(self) -> None:
        """Bring them up to date."""
        for place, look in self._gauges:
            self._numbers[place] = look()
        for counted in self._counters:
            now = counted.look()
            self._numbers[counted.place] += now - counted.last
            counted.last = now

    def start(self) -> None:
        """Look, and go on looking, in the running event loop."""
        self.look()
        self._wait()

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + PERIOD_S
        self._timer = loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        self._lag.observe(max(0.0, asyncio.get_running_loop().time() - self._due))
        self.look()
        self._wait()


def _resident_bytes() -> float:
    with suppress(OSError):
        return int(STATM.read_bytes().split()[1]) * PAGE_BYTES
    # Where there is no such file: the most there was so far.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _open_files() -> float:
    with suppress(OSError):
        return len(os.listdir(OPEN))
    return 0.0
