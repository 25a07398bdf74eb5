"""Token buckets in memory that all processes of a service share: what one has spent the others cannot spend again.

A bucket is the time at which it will be full again (GCRA, the generic cell rate algorithm): taking tokens moves that
time on, and nothing has to be done while it fills. One that is full carries nothing, and its place may be another's.
"""

import fcntl
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from mmap import mmap
from multiprocessing import reduction
from tempfile import TemporaryFile
from typing import Any, Final, Self
from uuid import UUID

import attrs

NS: Final = 1_000_000_000

PLACES: Final = 16_384
"""How many buckets there is room for. Only those that are not full need any."""

PLACES_TRIED: Final = 16
"""How many places a bucket may be at. If all hold others that are not full, the fullest of them gives way, and is taken
to be full."""

LOCK_TRIES: Final = 50
"""How often a process tries for the lock, before it says that it did not get it. Others hold it for microseconds."""

_PLACE: Final = struct.Struct("=16sq")


@attrs.frozen
class Rate:
    """How fast a bucket fills, and what it holds. At least one token, however slowly it fills."""

    interval_ns: int
    """From one token to the next."""
    room_ns: int
    """What the bucket holds, as the time that it takes to fill."""

    @classmethod
    def of(cls, per_s: int, burst_s: float) -> "Rate":
        """So many tokens a second, and what comes in ``burst_s`` at once."""
        interval_ns = NS // per_s
        return cls(interval_ns, max(int(burst_s * NS), interval_ns))


class Buckets:
    """The buckets by id. Given to a new process of ``multiprocessing``, this is the same memory there.

    A process that is killed in the midst of it leaves no lock behind, and the tokens it had taken are spent. ``clock``
    gives nanoseconds, the same to all processes.
    """

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        # A file without a name: it goes with the last process that has it open.
        with TemporaryFile(prefix="wallet-buckets-") as file:
            file.truncate(PLACES * _PLACE.size)
            self._open(os.dup(file.fileno()), clock)

    def _open(self, file: int, clock: Callable[[], int]) -> None:
        self._file = file
        self._memory = mmap(file, PLACES * _PLACE.size)
        self._clock = clock

    def __reduce__(self) -> tuple[Any, ...]:
        return _inherited, (reduction.DupFd(self._file), self._clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the memory."""
        self._memory.close()
        os.close(self._file)

    def now(self) -> int:
        """The time, in nanoseconds."""
        return self._clock()

    def take(self, id: UUID, rate: Rate, wanted: int, owed: int = 0) -> tuple[int, int] | None:
        """Take up to ``wanted`` tokens, after ``owed`` ones that are taken whether or not they are there.

        Returns how many there were, and if none, in how many nanoseconds there will be one. None if other processes
        kept this one from it; then nothing was taken.
        """
        with self._locked() as locked:
            if not locked:
                return None
            now = self._clock()
            key = id.bytes
            at, full_at = self._find(key, now)
            full_at = max(full_at, now) + owed * rate.interval_ns
            free_ns = now + rate.room_ns - full_at
            taken = max(0, min(wanted, free_ns // rate.interval_ns))
            _PLACE.pack_into(self._memory, at, key, full_at + taken * rate.interval_ns)
            return taken, 0 if taken else rate.interval_ns - free_ns

    def _find(self, key: bytes, now: int) -> tuple[int, int]:
        """Where the bucket is, or may be, and when it is full."""
        first = int.from_bytes(key[-4:], "big")
        best, best_full_at = -1, 0
        for number in range(first, first + PLACES_TRIED):
            at = number % PLACES * _PLACE.size
            there, full_at = _PLACE.unpack_from(self._memory, at)
            if there == key:
                return at, full_at
            if best < 0 or full_at < best_full_at:
                best, best_full_at = at, full_at
        return best, now

    @contextmanager
    def _locked(self) -> Iterator[bool]:
        # The system's lock on the file, because it lets go when a process dies; and never waited for, because a process
        # that is held up while it has the lock would hold all of them up.
        for _ in range(LOCK_TRIES):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            try:
                yield True
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)
            return
        yield False


def _inherited(file: Any, clock: Callable[[], int]) -> Buckets:
    buckets = Buckets.__new__(Buckets)
    buckets._open(file.detach(), clock)
    return buckets
