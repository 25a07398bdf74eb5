"""The metrics of this process, put together: what they are made of, and what they look at."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from adapters.metrics import catalogue as c
from adapters.metrics.cells import Cells, Layout, OneProcess, Worker
from adapters.metrics.exposition import Exposition, Facts
from adapters.metrics.gauges import Gauges
from adapters.metrics.recorder import LedgerRecorder, RequestRecorder
from adapters.redis.cache import RedisReplayCache
from wallet_core.group_commit import GroupCommit
from wallet_core.ports import History

OFF: Final = "off"


class ServiceMetrics:
    """``folder`` is where the workers have their cells; None for a process that is alone.

    ``routes`` are methods and paths, ``problems`` what there is of them, ``build`` what runs.
    """

    def __init__(
        self, routes: Sequence[tuple[str, str]], problems: Sequence[str], build: Mapping[str, str], folder: Path | None
    ) -> None:
        http = c.http_metrics(routes, problems)
        self._layout = Layout((*c.FIXED, http.requests, http.durations, http.problems))
        cells: Cells = OneProcess(self._layout) if folder is None else Worker(self._layout, folder)
        self.ledger = LedgerRecorder(cells.numbers, self._layout)
        self.requests = RequestRecorder(cells.numbers, self._layout, http)
        self.gauges = Gauges(cells.numbers, self._layout)
        self.exposition = Exposition(cells, self._layout, self.gauges.look, self._facts)
        self._build = build
        self._history: Callable[[], History | None] = lambda: None

    def look_at_queue(self, group: GroupCommit) -> None:
        """Show how long the queue is."""
        self.gauges.shows(c.QUEUE, lambda: group.queued)
        self.gauges.shows(c.QUEUE_MAX, lambda: group.queue_commands_max)
        self.gauges.shows(c.IN_FLIGHT, lambda: group.in_flight)

    def look_at_pools(self, engines: Mapping[str, AsyncEngine], under_way: Mapping[str, Callable[[], int]]) -> None:
        """Show how the pools are used, and how much of what is ``under_way`` waits for a connection."""
        for name, engine in engines.items():
            pool = engine.pool
            if not isinstance(pool, QueuePool):
                raise TypeError("the pool does not tell how large it is")
            self.gauges.shows(c.CONNECTIONS, pool.checkedout, name, "in_use")
            self.gauges.shows(c.CONNECTIONS, pool.checkedin, name, "idle")
            self.gauges.shows(c.CONNECTIONS_MAX, pool.size, name)
            if name in under_way:
                self.gauges.shows(c.WAITING, _waiting(under_way[name], pool), name)

    def look_at_cache(self, cache: RedisReplayCache | None) -> None:
        """Show what state the cache is in, and what it has found."""
        states = [labels[0] for labels in c.CACHE_STATE.series]
        if cache is None:
            self.gauges.shows_state(c.CACHE_STATE, lambda: OFF, states)
            return
        self.gauges.shows_state(c.CACHE_STATE, lambda: _state_of(cache), states)
        self.gauges.counts(c.CACHE_LOOKUPS, lambda: cache.state.hits, "hit")
        # What was no receipt of ours is counted as a miss too.
        self.gauges.counts(c.CACHE_LOOKUPS, lambda: cache.state.misses - cache.state.rejected, "miss")
        self.gauges.counts(c.CACHE_LOOKUPS, lambda: cache.state.rejected, "invalid")
        self.gauges.counts(c.CACHE_DROPPED, lambda: cache.state.dropped)
        self.gauges.counts(c.CACHE_FAILURES, lambda: cache.state.failures)
        self._history = cache.history

    def _facts(self) -> Facts:
        facts = {"wallet_build": ("What runs, and the schema that it needs.", self._build)}
        if history := self._history():
            told = "Which past the database has, where a replay cache depends on it."
            facts["wallet_database_history"] = (told, {"history": history.name})
        return facts

    def look_at_logs(self, dropped: Callable[[], int]) -> None:
        """Show how many lines were too many."""
        self.gauges.counts(c.LOG_LINES_DROPPED, dropped)


def _waiting(under_way: Callable[[], int], pool: QueuePool) -> Callable[[], float]:
    return lambda: max(0, under_way() - pool.checkedout())


def _state_of(cache: RedisReplayCache) -> str:
    state = cache.state
    if state.away:
        return "open"
    if cache.history() is None:
        return "uncertain"
    return "refusing" if state.refusing else "closed"
