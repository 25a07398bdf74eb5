"""Several observers of one ledger, as one."""

from collections.abc import Callable, Sequence

from wallet_core import watching
from wallet_core.outcomes import Outcome
from wallet_core.watching import UNWATCHED, Step


def together(observers: Sequence[watching.Observer]) -> watching.Observer:
    """All of them, as one. At most one may want to know where requests come from."""
    if not observers:
        return UNWATCHED
    return observers[0] if len(observers) == 1 else _Observers(observers)


class _Observers(watching.Observer):
    def __init__(self, observers: Sequence[watching.Observer]) -> None:
        self._all = tuple(observers)
        origins: list[Callable[[], object]] = [each.origin for each in observers if each.origin is not None]
        self.origin = origins[0] if origins else None

    def shed(self, commands: int) -> None:
        for each in self._all:
            each.shed(commands)

    def withdrew(self, commands: int) -> None:
        for each in self._all:
            each.withdrew(commands)

    def batch(self, commands: int, waited_s: float, origins: Sequence[object]) -> watching.Batch:
        return _Batches([each.batch(commands, waited_s, origins) for each in self._all])

    def attempt(self, *, stacked: bool, locked: bool) -> watching.Attempt:
        return _Attempts([each.attempt(stacked=stacked, locked=locked) for each in self._all])

    def race_lost(self, *, below: bool) -> None:
        for each in self._all:
            each.race_lost(below=below)

    def connection_lost(self, *, in_doubt: bool) -> None:
        for each in self._all:
            each.connection_lost(in_doubt=in_doubt)

    def doubt_settled(self) -> None:
        for each in self._all:
            each.doubt_settled()

    def found_in_cache(self, replays: int) -> None:
        for each in self._all:
            each.found_in_cache(replays)


class _Batches(watching.Batch):
    __slots__ = ("_all",)

    def __init__(self, batches: Sequence[watching.Batch]) -> None:
        self._all = batches

    def ended(self, outcomes: Sequence[Outcome]) -> None:
        for each in self._all:
            each.ended(outcomes)

    def failed(self, commands: int, bug: Exception) -> None:
        for each in self._all:
            each.failed(commands, bug)


class _Attempts(watching.Attempt):
    __slots__ = ("_all",)

    def __init__(self, attempts: Sequence[watching.Attempt]) -> None:
        self._all = attempts

    def passed(self, step: Step) -> None:
        for each in self._all:
            each.passed(step)
