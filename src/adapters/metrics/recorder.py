"""Who counts: an observer of the ledger, and of requests. Each number goes where it belongs, and nothing is kept."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import attrs

from adapters.metrics import catalogue as c
from adapters.metrics.cells import Layout, Metric, Numbers
from wallet_core import watching
from wallet_core.outcomes import Outcome, Overloaded, Rejected, Replayed
from wallet_core.watching import Step


class Histogram:
    """Adds what is observed to the cells of one series."""

    __slots__ = ("_bounds", "_first", "_numbers", "_sum")

    def __init__(self, numbers: Numbers, layout: Layout, metric: Metric, *labels: str) -> None:
        self._numbers = numbers
        self._bounds = metric.bounds
        self._first = layout.place(metric, *labels)
        self._sum = self._first + len(metric.bounds) + 1

    def observe(self, value: float) -> None:
        """Add one observation."""
        self._numbers[self._first + bisect_left(self._bounds, value)] += 1
        self._numbers[self._sum] += value


class LedgerRecorder(watching.Observer):
    """Counts what becomes of commands, and how batches go."""

    def __init__(self, numbers: Numbers, layout: Layout) -> None:
        self._numbers = numbers

        def places(metric: Metric) -> dict[str, int]:
            return {labels[0]: place for labels, place in layout.places(metric)}

        writes = places(c.WRITES)
        self.outcomes: Mapping[type, int] = {kind: writes[name] for kind, name in c.OUTCOMES.items()}
        self.bug = writes[c.FAILED]
        self._reasons = places(c.REJECTIONS)
        self._replays = places(c.REPLAYS)
        self._shed = places(c.SHED)
        self._attempts = places(c.ATTEMPTS)
        self._lost_races = layout.place(c.LOST_RACES)
        self._in_vain = layout.place(c.IN_VAIN)
        self._connections_lost = places(c.CONNECTIONS_LOST)
        self._doubts_settled = layout.place(c.DOUBTS_SETTLED)
        self._queue_wait = Histogram(numbers, layout, c.QUEUE_WAIT)
        self._commands = Histogram(numbers, layout, c.BATCH_COMMANDS)
        self.duration = Histogram(numbers, layout, c.BATCH_S)
        self.steps = {step: Histogram(numbers, layout, c.STEPS, step.value) for step in Step}
        self._from_cache = 0

    def shed(self, commands: int) -> None:
        self._numbers[self._shed["queue_full"]] += commands
        self._numbers[self.outcomes[Overloaded]] += commands

    def withdrew(self, commands: int) -> None:
        self._numbers[self._shed["waited_too_long"]] += commands
        self._numbers[self.outcomes[Overloaded]] += commands

    def batch(self, commands: int, waited_s: float, origins: Sequence[object]) -> watching.Batch:
        self._queue_wait.observe(waited_s)
        self._commands.observe(commands)
        return _Batch(self)

    def attempt(self, *, stacked: bool, locked: bool) -> watching.Attempt:
        self._numbers[self._attempts["locked" if locked else "stacked" if stacked else "plain"]] += 1
        return _Attempt(self)

    def race_lost(self, *, below: bool) -> None:
        self._numbers[self._in_vain if below else self._lost_races] += 1

    def connection_lost(self, *, in_doubt: bool) -> None:
        self._numbers[self._connections_lost["commit" if in_doubt else "before_commit"]] += 1

    def doubt_settled(self) -> None:
        self._numbers[self._doubts_settled] += 1

    def found_in_cache(self, replays: int) -> None:
        # The end of the batch follows, before anything else can happen.
        self._from_cache = replays

    def ended(self, outcomes: Sequence[Outcome]) -> None:
        """Count what a batch came to: in one pass, and then once per kind."""
        from_cache, self._from_cache = self._from_cache, 0
        numbers = self._numbers
        kinds = Counter(map(type, outcomes))
        for kind, times in kinds.items():
            numbers[self.outcomes[kind]] += times
        if Rejected in kinds:
            for outcome in outcomes:
                if isinstance(outcome, Rejected):
                    numbers[self._reasons[outcome.reason.value]] += 1
        if Replayed in kinds:
            numbers[self._replays["cache"]] += from_cache
            numbers[self._replays["database"]] += kinds[Replayed] - from_cache

    def failed(self, commands: int) -> None:
        """Count commands that a bug has ended."""
        self._from_cache = 0
        self._numbers[self.bug] += commands


class _Batch(watching.Batch):
    __slots__ = ("_began_at", "_recorder")

    def __init__(self, recorder: LedgerRecorder) -> None:
        self._recorder = recorder
        self._began_at = perf_counter()

    def ended(self, outcomes: Sequence[Outcome]) -> None:
        self._recorder.duration.observe(perf_counter() - self._began_at)
        self._recorder.ended(outcomes)

    def failed(self, commands: int, bug: Exception) -> None:
        self._recorder.failed(commands)


class _Attempt(watching.Attempt):
    __slots__ = ("_last_at", "_steps")

    def __init__(self, recorder: LedgerRecorder) -> None:
        self._steps = recorder.steps
        self._last_at = perf_counter()

    def passed(self, step: Step) -> None:
        now = perf_counter()
        self._steps[step].observe(now - self._last_at)
        self._last_at = now


@attrs.frozen
class _Route:
    statuses: Mapping[int, int]
    other_status: int
    first: int
    sum: int


class RequestRecorder:
    """Counts requests, by what the application has left in the scope's state."""

    def __init__(self, numbers: Numbers, layout: Layout, metrics: c.HttpMetrics) -> None:
        self._numbers = numbers
        self._bounds = metrics.durations.bounds
        requests = dict(layout.places(metrics.requests))
        durations = dict(layout.places(metrics.durations))
        self._routes = {
            f"{method} {path}": _Route(
                {
                    **{status: requests[method, path, str(status)] for status in c.STATUSES},
                    0: requests[method, path, c.NO_STATUS],
                },
                requests[method, path, c.OTHER],
                durations[method, path],
                durations[method, path] + len(metrics.durations.bounds) + 1,
            )
            for method, path in metrics.durations.series
        }
        self._other = self._routes[f"{c.OTHER} {c.OTHER}"]
        self._problems = {labels[0]: place for labels, place in layout.places(metrics.problems)}

    def answered(self, state: Mapping[str, Any], status: int, seconds: float) -> None:
        """Count a request. ``status`` 0 is none: the connection was gone."""
        numbers = self._numbers
        route = self._routes.get(state.get("route", ""), self._other)
        numbers[route.statuses.get(status, route.other_status)] += 1
        numbers[route.first + bisect_left(self._bounds, seconds)] += 1
        numbers[route.sum] += seconds
        problem = state.get("problem")
        if problem is not None and problem in self._problems:
            numbers[self._problems[problem]] += 1
