"""Where the numbers are kept: a row of cells in memory, which with several workers is a file that they all can read.

Adding to a cell takes 50 ns, and it is there for whoever asks, at once and after a crash. ``prometheus_client`` keeps a
file for each process too, but takes a microsecond and more for each number (``docs/decisions/0016``).
"""

import fcntl
import mmap
import os
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias

import attrs

BYTES: Final = 8
"""A cell is a double: whole numbers up to 2⁵³."""


@attrs.frozen(eq=False)
class Metric:
    """One metric. ``series`` are its labels' values, all that can ever be. A histogram has the upper ``bounds`` of its
    buckets, without the last one."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    series: Sequence[tuple[str, ...]] = ((),)
    bounds: tuple[float, ...] = ()
    sparse: bool = False
    """Whether series that have counted nothing are left out: where most of them never will."""
    of_worker: bool = False
    """Whether each worker has series of its own, instead of all being added up."""

    @property
    def width(self) -> int:
        """How many cells a series takes: a histogram's buckets, and the sum of what was observed."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 1


class Layout:
    """Which cells are whose. The same for all workers, because they have the same metrics."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics = metrics
        self._first: dict[Metric, int] = {}
        self.cells = 0
        for metric in metrics:
            self._first[metric] = self.cells
            self.cells += metric.width * len(metric.series)
        self.digest = blake2b(repr(metrics).encode(), digest_size=8).hexdigest()

    def place(self, metric: Metric, *labels: str) -> int:
        """The first cell of a series."""
        return self._first[metric] + metric.series.index(labels) * metric.width

    def places(self, metric: Metric) -> Iterator[tuple[tuple[str, ...], int]]:
        """The first cell of each series of a metric."""
        for number, labels in enumerate(metric.series):
            yield labels, self._first[metric] + number * metric.width


Numbers: TypeAlias = "memoryview[float]"
"""The cells of this process."""


@attrs.frozen
class Told:
    """The numbers of one worker. What it had in hand when it died is nothing that is there now."""

    worker: int
    is_alive: bool
    numbers: Sequence[float]


class Cells(Protocol):
    """The cells of this process, and what the other workers have in theirs."""

    worker: int
    """The number of this one, from 0."""
    numbers: Numbers

    def others(self) -> Sequence[Told]:
        """What other workers have counted, and those that they have taken over from."""
        ...


class OneProcess:
    """The cells of a process that is alone."""

    def __init__(self, layout: Layout) -> None:
        self.worker = 0
        self.numbers: Numbers = memoryview(bytearray(layout.cells * BYTES)).cast("d")

    def others(self) -> Sequence[Told]:
        return ()


class Worker:
    """The cells of one of several workers: a file in a folder that they share.

    A worker holds a lock on its file, which ends with it however it ends. The next one to start takes the file over and
    counts on from there: nothing that was counted is forgotten, and there are no more files than workers.
    """

    def __init__(self, layout: Layout, folder: Path) -> None:
        self._folder = folder
        self._prefix = f"{layout.digest}-"
        size = layout.cells * BYTES
        for number in count():
            descriptor = os.open(self._path(number), os.O_RDWR | os.O_CREAT, 0o600)
            if _locks(descriptor, fcntl.LOCK_EX):
                break
            os.close(descriptor)
        os.ftruncate(descriptor, size)
        self.worker = number
        self._descriptor = descriptor
        self.numbers: Numbers = memoryview(mmap.mmap(descriptor, size)).cast("d")
        for metric in layout.metrics:
            if metric.kind == "gauge":
                for _, place in layout.places(metric):
                    self.numbers[place] = 0.0

    def others(self) -> Sequence[Told]:
        return [told for number in self._numbers() if number != self.worker and (told := self._read(number))]

    def close(self) -> None:
        """Leave the cells to whoever comes next."""
        # The mapping has a descriptor of its own, which would keep the lock.
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _numbers(self) -> list[int]:
        names = [path.name for path in self._folder.iterdir() if path.name.startswith(self._prefix)]
        return sorted(int(name.removeprefix(self._prefix)) for name in names)

    def _read(self, number: int) -> Told | None:
        with suppress(FileNotFoundError), self._path(number).open("rb") as file:
            # A worker that starts at this very moment takes another file.
            is_alive = not _locks(file.fileno(), fcntl.LOCK_SH)
            numbers = array("d", file.read())
            # It has just been made.
            return Told(number, is_alive, numbers) if len(numbers) == len(self.numbers) else None
        return None

    def _path(self, number: int) -> Path:
        return self._folder / f"{self._prefix}{number}"


def _locks(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
