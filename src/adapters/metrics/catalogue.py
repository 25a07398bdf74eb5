"""Every metric. ``docs/observability.md`` says what to make of them, and a test holds the two together.

No label is a tenant, a key or a wallet: their number has no limit, and they are nobody's business.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from adapters.metrics.cells import Metric
from wallet_core.model import Reason
from wallet_core.outcomes import (
    Applied,
    Contention,
    DatabaseUnavailable,
    Fenced,
    KeyFenced,
    KeyReused,
    NotFound,
    Overloaded,
    Rejected,
    Replayed,
    Unknown,
    VersionConflict,
    WalletExists,
)
from wallet_core.watching import Step

OUTCOMES: Final[Mapping[type, str]] = {
    Applied: "applied",
    Rejected: "rejected",
    Replayed: "replayed",
    Fenced: "fenced",
    KeyReused: "key_reused",
    KeyFenced: "key_fenced",
    NotFound: "not_found",
    WalletExists: "wallet_exists",
    VersionConflict: "version_conflict",
    Contention: "contention",
    Overloaded: "overloaded",
    DatabaseUnavailable: "unavailable",
    Unknown: "unknown",
}
FAILED: Final = "failed"
"""Ended by a bug."""

OTHER: Final = "other"

STATUSES: Final = (200, 201, 204, 304, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503, 504)
NO_STATUS: Final = "none"

STEP_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REQUEST_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LAG_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
COMMANDS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)

WRITES: Final = Metric(
    "wallet_writes_total",
    "counter",
    "Commands that ended, by outcome.",
    ("outcome",),
    [(name,) for name in (*OUTCOMES.values(), FAILED)],
)
REJECTIONS: Final = Metric(
    "wallet_rejections_total",
    "counter",
    "Commands that a rule refused for the first time, by rule.",
    ("reason",),
    [(reason.value,) for reason in Reason],
)
REPLAYS: Final = Metric(
    "wallet_replays_total",
    "counter",
    "Commands that were answered with what had been decided before, by where that was found.",
    ("source",),
    [("database",), ("cache",)],
)
SHED: Final = Metric(
    "wallet_shed_commands_total",
    "counter",
    "Commands that were answered with overloaded, by why.",
    ("cause",),
    [("queue_full",), ("waited_too_long",)],
)
QUEUE: Final = Metric("wallet_queue_commands", "gauge", "Commands that wait for a batch.")
QUEUE_MAX: Final = Metric("wallet_queue_commands_max", "gauge", "How many may wait.")
QUEUE_WAIT: Final = Metric(
    "wallet_queue_wait_seconds",
    "histogram",
    "How long the command of a batch that came first had waited when the batch began.",
    bounds=STEP_S,
)
IN_FLIGHT: Final = Metric("wallet_batches_in_flight", "gauge", "Batches that are carried out.")
BATCH_COMMANDS: Final = Metric("wallet_batch_commands", "histogram", "Commands of a batch.", bounds=COMMANDS)
BATCH_S: Final = Metric(
    "wallet_batch_duration_seconds",
    "histogram",
    "How long a batch took, with all its attempts.",
    bounds=STEP_S,
)
STEPS: Final = Metric(
    "wallet_batch_step_duration_seconds",
    "histogram",
    "How long a step of an attempt at a batch took.",
    ("step",),
    [(step.value,) for step in Step],
    STEP_S,
)
ATTEMPTS: Final = Metric(
    "wallet_batch_attempts_total",
    "counter",
    "Attempts at batches: plain, on top of the batch before, or with their wallets locked after a lost race.",
    ("kind",),
    [("plain",), ("stacked",), ("locked",)],
)
LOST_RACES: Final = Metric("wallet_lost_races_total", "counter", "Attempts that another writer was faster than.")
IN_VAIN: Final = Metric(
    "wallet_stacked_in_vain_total", "counter", "Attempts on top of a batch that came to something else than expected."
)
CONNECTIONS_LOST: Final = Metric(
    "wallet_database_failures_total",
    "counter",
    "Attempts that the database failed: before COMMIT was sent, or before it was answered.",
    ("at",),
    [("before_commit",), ("commit",)],
)
DOUBTS_SETTLED: Final = Metric(
    "wallet_doubts_settled_total", "counter", "Batches whose COMMIT got lost, and which were found out about in time."
)
CACHE_STATE: Final = Metric(
    "wallet_cache_state",
    "gauge",
    "Workers whose replay cache is in this state.",
    ("state",),
    [("off",), ("closed",), ("open",), ("uncertain",), ("refusing",)],
)
CACHE_LOOKUPS: Final = Metric(
    "wallet_cache_lookups_total",
    "counter",
    "Keys that the replay cache was asked for; an invalid one is what was no receipt of ours.",
    ("result",),
    [("hit",), ("miss",), ("invalid",)],
)
CACHE_DROPPED: Final = Metric("wallet_cache_dropped_total", "counter", "Receipts that the replay cache did not keep.")
CACHE_FAILURES: Final = Metric("wallet_cache_failures_total", "counter", "Calls of the replay cache that failed.")
PROBLEMS: Final = "wallet_http_problems_total"
POOLS: Final = ("write", "read", "keys", "proof")
CONNECTIONS: Final = Metric(
    "wallet_database_connections",
    "gauge",
    "Connections to the database.",
    ("pool", "state"),
    [(pool, state) for pool in POOLS for state in ("in_use", "idle")],
)
CONNECTIONS_MAX: Final = Metric(
    "wallet_database_connections_max",
    "gauge",
    "How many connections there may be.",
    ("pool",),
    [(pool,) for pool in POOLS],
)
WAITING: Final = Metric(
    "wallet_database_waiting",
    "gauge",
    "Batches and reads under way that have no connection.",
    ("pool",),
    [("write",), ("read",)],
)
LAG: Final = Metric(
    "wallet_event_loop_lag_seconds",
    "histogram",
    "How much later than asked for the event loop came round, twice a second.",
    bounds=LAG_S,
)
LOG_LINES_DROPPED: Final = Metric(
    "wallet_log_lines_dropped_total", "counter", "Log lines that there were too many of to be written."
)
WORKERS: Final = Metric("wallet_workers", "gauge", "Server processes that are alive.")
WORKER_STARTS: Final = Metric("wallet_worker_starts_total", "counter", "Server processes that have been started.")
CPU_S: Final = Metric(
    "process_cpu_seconds_total", "counter", "CPU time of a server process, in seconds.", of_worker=True
)
MEMORY: Final = Metric(
    "process_resident_memory_bytes", "gauge", "Memory of a server process, in bytes.", of_worker=True, sparse=True
)
OPEN_FILES: Final = Metric("process_open_fds", "gauge", "Open files of a server process.", of_worker=True, sparse=True)
START_TIME: Final = Metric(
    "process_start_time_seconds", "gauge", "When a server process was started, in Unix time.", of_worker=True
)

FIXED: Final[Sequence[Metric]] = (
    WRITES,
    REJECTIONS,
    REPLAYS,
    SHED,
    QUEUE,
    QUEUE_MAX,
    QUEUE_WAIT,
    IN_FLIGHT,
    BATCH_COMMANDS,
    BATCH_S,
    STEPS,
    ATTEMPTS,
    LOST_RACES,
    IN_VAIN,
    CONNECTIONS_LOST,
    DOUBTS_SETTLED,
    CACHE_STATE,
    CACHE_LOOKUPS,
    CACHE_DROPPED,
    CACHE_FAILURES,
    CONNECTIONS,
    CONNECTIONS_MAX,
    WAITING,
    LAG,
    LOG_LINES_DROPPED,
    WORKERS,
    WORKER_STARTS,
    CPU_S,
    MEMORY,
    OPEN_FILES,
    START_TIME,
)


@attrs.frozen
class HttpMetrics:
    """The metrics of requests, which depend on what can be asked for."""

    requests: Metric
    durations: Metric
    problems: Metric


def http_metrics(routes: Sequence[tuple[str, str]], problems: Sequence[str]) -> HttpMetrics:
    """The metrics of requests on these routes, each a method and a path, and of these problems."""
    all_routes = (*routes, (OTHER, OTHER))
    return HttpMetrics(
        Metric(
            "wallet_http_requests_total",
            "counter",
            "Requests that were answered; those that got no answer have the status none.",
            ("method", "route", "status"),
            [(*route, status) for route in all_routes for status in (*map(str, STATUSES), OTHER, NO_STATUS)],
            sparse=True,
        ),
        Metric(
            "wallet_http_request_duration_seconds",
            "histogram",
            "How long requests took.",
            ("method", "route"),
            all_routes,
            REQUEST_S,
            sparse=True,
        ),
        Metric(
            PROBLEMS, "counter", "Requests that were answered with a problem.", ("problem",), [(p,) for p in problems]
        ),
    )
