"""What can go wrong at each step, and the plan of what does in one schedule."""

from collections.abc import Iterable, Sequence
from random import Random
from typing import Final

from tests.simulation.queries import READS, WRITES

CUT_BEFORE: Final = "cut before"
CUT_AFTER: Final = "cut after"
SERIALIZATION: Final = "serialization failure"
CANCELLED: Final = "cancelled"
STALLED: Final = "stalled"
DISK_FULL: Final = "disk full"
DATABASE_CRASH: Final = "database crash"
KILL: Final = "kill"
STOPPED: Final = "stopped"
STORM: Final = "storm"
REFUSED: Final = "refused"
TOO_MANY: Final = "too many connections"
ARRIVES_LATE: Final = "arrives late"
CRASH_AFTER: Final = "database crash after"
KILL_AFTER: Final = "kill after"
WARNING: Final = "warning"
SILENT: Final = "silent"
LOST: Final = "lost"
HANG_UP: Final = "hang up"
LATE: Final = "late"
AWAY: Final = "away"
HUNG: Final = "hung"
FORGETTING: Final = "forgetting"
LYING: Final = "lying"
RESTART: Final = "restart"
LOCKS: Final = "foreign locks"
CLOCK_BACK: Final = "clock steps back"

CONNECT: Final = "connect"
BEGIN: Final = "begin"
COMMIT: Final = "commit"
ROLLBACK: Final = "rollback"
REQUEST: Final = "request"
ANSWER: Final = "answer"
CACHE: Final = "cache"
ELSEWHERE: Final = "elsewhere"
"""Nowhere in particular: when a client begins something."""

_ON_READING: Final = (CUT_BEFORE, CUT_AFTER, SERIALIZATION, CANCELLED, STALLED, DATABASE_CRASH, KILL, STOPPED)

KINDS: Final[dict[str, Sequence[str]]] = {
    CONNECT: (REFUSED, TOO_MANY, CUT_BEFORE, STALLED, DATABASE_CRASH, KILL),
    BEGIN: (CUT_BEFORE, CUT_AFTER, STALLED, DATABASE_CRASH, KILL, STOPPED),
    **{name: _ON_READING for name, _ in READS.values()},
    **{name: (*_ON_READING, DISK_FULL) for name, _ in WRITES.values()},
    COMMIT: (
        *(CUT_BEFORE, CUT_AFTER, ARRIVES_LATE, SILENT, WARNING, SERIALIZATION, DISK_FULL, STALLED, STOPPED),
        *(DATABASE_CRASH, CRASH_AFTER, KILL, KILL_AFTER),
    ),
    ROLLBACK: (CUT_BEFORE, DATABASE_CRASH, KILL),
    REQUEST: (LOST, HANG_UP),
    ANSWER: (LOST, LATE),
    CACHE: (AWAY, HUNG, REFUSED, FORGETTING, LYING),
    ELSEWHERE: (RESTART, LOCKS, CLOCK_BACK, STORM, KILL, DATABASE_CRASH),
}
"""The kinds of faults at each step. A ``STORM`` is many serialization failures in a row."""

POINTS: Final = [(step, kind) for step, kinds in KINDS.items() for kind in kinds]
_OFTEN: Final = [*POINTS, *[(ELSEWHERE, LOCKS)] * 14, *[(CACHE, kind) for kind in KINDS[CACHE]] * 2]
"""Some have to strike more often than others to strike at the right moment."""
FAULTS_AMOUNTS: Final = (0, 1, 1, 1, 2, 2, 2, 3, 3, 4)
VISITS: Final = (1, 1, 2, 4)
RARE: Final = (
    "load-hold-wallets",
    "load-transactions",
    "load-reversed",
    "load-entries",
    "lock-wallets",
    "insert-wallets",
    "insert-holds",
    "update-holds",
)
"""Steps that most batches do without. What is planned for them strikes at the first occasion."""


def named(step: str, kind: str) -> str:
    """What the coverage calls it."""
    return f"{kind} at {step}"


class Plan:
    """Each fault strikes once: when its step is taken for the given time. Nothing strikes after ``heal``."""

    def __init__(self, random: Random) -> None:
        self._waiting: dict[str, list[tuple[int, str]]] = {}
        self._visits: dict[str, int] = {}
        for _ in range(random.choice(FAULTS_AMOUNTS)):
            step, kind = random.choice(_OFTEN)
            visit = random.choice(VISITS)
            self._waiting.setdefault(step, []).append((1 if step in RARE else visit, kind))

    def at(self, step: str) -> str | None:
        """The fault that strikes here and now, if one does."""
        waiting = self._waiting.get(step)
        if not waiting:
            return None
        visit = self._visits[step] = self._visits.get(step, 0) + 1
        for planned in waiting:
            if planned[0] == visit:
                waiting.remove(planned)
                return planned[1]
        return None

    @property
    def steps(self) -> Iterable[str]:
        """Where something is to go wrong."""
        return self._waiting

    def heal(self) -> None:
        """From here on all is well."""
        self._waiting.clear()
