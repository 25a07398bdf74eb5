"""The service put together: the core, its adapters and HTTP, on a database that ``entrypoints.bootstrap`` prepared."""

import asyncio
import os
import platform
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
from litestar import Litestar
from litestar.types import ASGIApp
from uvicorn import Config
from uvicorn.lifespan.on import LifespanOn

from adapters.failpoints import Failpoints
from adapters.faults import FaultyKeyValues, FaultyLedger, FaultyStore
from adapters.ids import UuidV7
from adapters.observers import together
from adapters.postgres import migrate
from adapters.postgres.api_keys import ApiKeys
from adapters.postgres.arrays import ask_for_lists_only
from adapters.postgres.audit import PostgresAudit
from adapters.postgres.engine import INDEX_ONLY_PLANS, create_engine
from adapters.postgres.events import PostgresEvents
from adapters.postgres.history import HistoryWatch
from adapters.postgres.reader import PostgresReader
from adapters.postgres.schema import SERVICE_ROLE
from adapters.postgres.silence import Patience
from adapters.postgres.unit_of_work import PostgresStore
from adapters.redis.cache import RedisReplayCache
from adapters.redis.store import KeyValues
from adapters.tracing.setup import tracing_of
from entrypoints import logs
from entrypoints.bootstrap import BootstrapError
from entrypoints.http.app import create_app
from entrypoints.http.buckets import Buckets
from entrypoints.http.lab import Lab
from entrypoints.http.metrics import Metrics
from entrypoints.http.operations import OPERATIONS
from entrypoints.http.problems import ALL
from entrypoints.http.rate_limits import RateLimits
from entrypoints.http.service import Service
from entrypoints.http.watch import RequestLog, watching
from entrypoints.settings import Settings
from wallet_core.events import AnnouncingLedger
from wallet_core.events_feed import EventFeed
from wallet_core.group_commit import STACKED_COMMANDS_MIN, GroupCommit
from wallet_core.ledger import BatchLedger
from wallet_core.ports import Store
from wallet_core.replays import CachedLedger

if TYPE_CHECKING:
    from adapters.metrics.service import ServiceMetrics

LEDGER_CONNECTIONS: Final = 4
"""How many tenants' batches a process carries out side by side; each tenant has one at a time."""

QUEUE_SHARE: Final = 0.5
"""The share of a request's time that it may wait for its batch to begin. What begins has as much left to be answered,
and what does not is told that nothing happened, instead of that nobody knows."""

READER_CONNECTIONS: Final = 8
"""For reads. Apart from the ledger's, so that a flood of reads does not stop the writes."""

KEY_CONNECTIONS: Final = 1
"""For looking up API keys, which is done for many at a time. Apart from the reads', so that neither a flood of them
keeps anybody from being recognised, nor a flood of keys the reads from being answered."""

PROVING_CONNECTIONS: Final = 1
"""For proofs of wallets, which are work for the process as well: one at a time leaves time for everybody else."""

CONNECT_MS_MIN: Final = 1_000

DRAIN_S_MAX: Final = 20.0
"""How long the end of the service waits for batches that are still being carried out, in seconds. With the time that
requests have to end, it stays below the 30 seconds after which those who stop services usually kill them."""


def application(settings: Settings, database_url: str, *, buckets: Buckets | None = None) -> ASGIApp:
    """The service over a database that is ready. It connects when the first request needs it to.

    ``buckets`` are what its processes share of the rate limits; None is for one that is alone.
    """
    ask_for_lists_only()
    timeout_ms = settings.request_timeout_ms
    # A database that answers late is noticed by the request first, which then says that the outcome is unknown; the
    # write may still come about, and the database's own limits make sure that it does not wait for ever.
    connect = partial(
        create_engine,
        database_url,
        role=SERVICE_ROLE,
        pool_timeout_ms=timeout_ms,
        connect_timeout_ms=max(timeout_ms, CONNECT_MS_MIN),
        statement_timeout_ms=timeout_ms * 2,
        lock_timeout_ms=timeout_ms * 3 // 2,
        idle_in_transaction_timeout_ms=timeout_ms * 2,
        patience=Patience.beyond(timeout_ms * 2),
    )
    writing = connect(pool_size=LEDGER_CONNECTIONS, planner=INDEX_ONLY_PLANS)
    asking = connect(pool_size=KEY_CONNECTIONS, planner=INDEX_ONLY_PLANS)
    reading = connect(pool_size=READER_CONNECTIONS, planner=INDEX_ONLY_PLANS)
    proving = connect(pool_size=PROVING_CONNECTIONS, planner=INDEX_ONLY_PLANS)
    failpoints = Failpoints(crashes=settings.workers > 1) if settings.lab else None
    store: Store = PostgresStore(writing)
    if failpoints:
        store = FaultyStore(store, failpoints)
    cache = None
    if settings.redis_url is not None:
        history = HistoryWatch(connect(pool_size=1), [writing, reading])
        cache = _replay_cache(settings.redis_url, history, failpoints)
    metrics = None if settings.metrics is None else _metrics(settings)
    tracing = tracing_of(os.environ, version("wallet-service"))
    observer = together([*([metrics.ledger] if metrics else []), *([tracing] if tracing else [])])
    events = EventFeed(PostgresEvents(reading))
    deciding = BatchLedger(store, UuidV7(), stacks=True, observer=observer)
    batches = AnnouncingLedger(deciding, events.announce)
    group = GroupCommit(
        batches if cache is None else CachedLedger(batches, cache, observer=observer),
        batches_max=LEDGER_CONNECTIONS,
        wait_s_max=timeout_ms / 1000 * QUEUE_SHARE,
        stacked_commands_min=STACKED_COMMANDS_MIN,
        takes_turns=deciding.takes_turns,
        observer=observer,
    )
    ledger = FaultyLedger(group, failpoints) if failpoints else group
    cache_asked = None if cache is None else cache.is_asked
    lab = Lab(failpoints, cache_asked, settings.workers, timeout_ms) if failpoints else None
    service = Service(
        ledger,
        PostgresReader(reading),
        PostgresAudit(proving),
        ApiKeys(asking),
        timeout_ms / 1000,
        is_full=lambda: group.is_full,
        events=events,
        limits=RateLimits(buckets or Buckets(), settings.rate_limit, settings.rate_limit_burst_ms / 1000),
    )

    if metrics:
        metrics.look_at_queue(group)
        pools = {"write": writing, "read": reading, "keys": asking, "proof": proving}
        metrics.look_at_pools(pools, {"write": lambda: group.in_flight, "read": lambda: service.reading})
        metrics.look_at_cache(cache)
        metrics.look_at_logs(logs.dropped)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        if cache is not None:
            cache.start()
        if metrics:
            metrics.gauges.start()
        try:
            yield
        finally:
            # What was taken on is finished, if the database lets it; nothing is cancelled.
            await asyncio.wait([asyncio.create_task(group.close())], timeout=DRAIN_S_MAX)
            if cache is not None:
                await cache.close()
            await writing.dispose()
            await reading.dispose()
            await asking.dispose()
            await proving.dispose()
            if metrics:
                metrics.gauges.stop()
            if tracing:
                await tracing.close()
            logs.end()

    app = create_app(
        service,
        lifespan=[lifespan],
        lab=lab,
        metrics=Metrics(metrics.exposition, settings.metrics or 0) if metrics else None,
        watch=watching(
            RequestLog(settings.slow_request_ms / 1000, settings.access_log),
            metrics.requests.answered if metrics else None,
        ),
        cors_origins=settings.cors_origins,
    )
    return tracing.around(app) if tracing else app


@asynccontextmanager
async def in_process(settings: Settings, database_url: str) -> AsyncIterator[ASGIApp]:
    """The service over a database that is ready, for callers in this process. At the end its batches are finished."""
    app = application(attrs.evolve(settings, lab=False, redis_url=None, workers=1), database_url)
    lifespan = LifespanOn(Config(cast(Any, app), lifespan="on", log_config=None))
    await lifespan.startup()
    try:
        yield app
    finally:
        await lifespan.shutdown()


def _metrics(settings: Settings) -> "ServiceMetrics":
    # Imported where it is wanted.
    from adapters.metrics.service import ServiceMetrics

    build = {"version": version("wallet-service"), "python": platform.python_version(), "schema": migrate.head()}
    return ServiceMetrics(
        [(operation.method, operation.path) for operation in OPERATIONS],
        list(ALL),
        build,
        settings.metrics_dir,
    )


def _replay_cache(redis_url: str, history: HistoryWatch, failpoints: Failpoints | None) -> RedisReplayCache:
    # Imported where it is wanted: the client library is an extra, and takes a while to import.
    from adapters.redis.client import RedisStore

    try:
        receipts: KeyValues = RedisStore(redis_url)
    except ValueError as error:
        raise BootstrapError(f"{error} (WALLET_REDIS_URL)") from error
    if failpoints:
        receipts = FaultyKeyValues(receipts, failpoints)
    return RedisReplayCache(receipts, history)
