"""The composition root: the only module of the entrypoints that names concrete adapters.

It prepares a database, one of the service's own if none is given, and puts the service together on top of it.
"""

import asyncio
import getpass
import os
import platform
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote

import asyncpg
import attrs
from litestar import Litestar
from litestar.types import ASGIApp
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from uvicorn import Config
from uvicorn.lifespan.on import LifespanOn

from adapters.checkpoint_file import CheckpointError, read_checkpoint, write_checkpoint
from adapters.embedded_postgres import DATABASE, DataDirInUse, EmbeddedPostgres, EmbeddedPostgresError
from adapters.embedded_postgres_processes import PidFile
from adapters.embedded_postgres_watch import watched
from adapters.failpoints import Failpoints
from adapters.faults import FaultyKeyValues, FaultyLedger, FaultyStore
from adapters.ids import UuidV7
from adapters.observers import together
from adapters.postgres import migrate
from adapters.postgres.admin import SCOPES, SECRET_PREFIX, UNCHANGED, Admin, ApiKey, KeyState, Lifetime, Rotated, Tenant
from adapters.postgres.api_keys import ApiKeys
from adapters.postgres.arrays import ask_for_lists_only
from adapters.postgres.audit import PostgresAudit
from adapters.postgres.engine import INDEX_ONLY_PLANS, create_engine
from adapters.postgres.events import PostgresEvents
from adapters.postgres.history import HistoryWatch
from adapters.postgres.migrate import MigrationError, SchemaState, SchemaStatus
from adapters.postgres.reader import PostgresReader
from adapters.postgres.schema import SERVICE_ROLE
from adapters.postgres.silence import Patience
from adapters.postgres.transfer import PostgresTransfer, TornTransfer, Writing
from adapters.postgres.unit_of_work import PostgresStore
from adapters.redis.cache import RedisReplayCache
from adapters.redis.store import KeyValues
from adapters.tracing.setup import tracing_of
from entrypoints import logs
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
from wallet_core.ports import Store, Unavailable
from wallet_core.replays import CachedLedger

if TYPE_CHECKING:
    from adapters.metrics.service import ServiceMetrics

__all__ = [
    "DEFAULT_TENANT",
    "SCOPES",
    "UNCHANGED",
    "Admin",
    "ApiKey",
    "BootstrapError",
    "CheckpointError",
    "Lifetime",
    "PostgresAudit",
    "PostgresTransfer",
    "Prepared",
    "Rotated",
    "Tenant",
    "TornTransfer",
    "Writing",
    "administered",
    "administration",
    "application",
    "beside_a_service",
    "explained",
    "in_process",
    "prepared",
    "read_checkpoint",
    "schema_status",
    "transfer",
    "upgrade",
    "verification",
    "write_checkpoint",
]

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
VERIFICATION_IDLE_MS_MAX: Final = 60_000
"""How long a proof may take between two questions to the database, before the database lets go of its snapshot."""

TRANSFER_CONNECTIONS: Final = 2
"""One reads where wallets stand while the other writes the portion before."""
TRANSFER_LOCK_MS_MAX: Final = 30_000
TRANSFER_IDLE_MS_MAX: Final = 600_000
"""How long whoever takes an export in may pause, before the database lets go of its snapshot."""

DRAIN_S_MAX: Final = 20.0
"""How long the end of the service waits for batches that are still being carried out, in seconds. With the time that
requests have to end, it stays below the 30 seconds after which those who stop services usually kill them."""

DEFAULT_TENANT: Final = "default"
BOOTSTRAP_KEY_NAME: Final = "bootstrap"
API_KEY_FILE: Final = "api-key"


class BootstrapError(Exception):
    """What was asked for cannot be done as things are. The message is for whoever runs the service."""


class DatabaseUnusable(BootstrapError):
    """The database cannot be reached or started, or refuses to be used."""


@attrs.frozen
class Prepared:
    """A database that is ready to be served. ``api_key`` is the key that the embedded one has for its only user."""

    database_url: str = attrs.field(repr=False)
    api_key: str | None = attrs.field(repr=False)


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
    batches = AnnouncingLedger(BatchLedger(store, UuidV7(), stacks=True, observer=observer), events.announce)
    group = GroupCommit(
        batches if cache is None else CachedLedger(batches, cache, observer=observer),
        batches_max=LEDGER_CONNECTIONS,
        wait_s_max=timeout_ms / 1000 * QUEUE_SHARE,
        stacked_commands_min=STACKED_COMMANDS_MIN,
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


@contextmanager
def prepared(settings: Settings) -> Iterator[Prepared]:
    """A database that can be served: running, with the schema of this code, and with its first API key.

    The embedded one runs for as long as the context lasts. Raises ``BootstrapError``.
    """
    with _database(settings) as url:
        with explained():
            api_key = asyncio.run(_prepare(settings, url))
        yield Prepared(url, api_key)


@contextmanager
def beside_a_service(settings: Settings) -> Iterator[Prepared]:
    """A database as it is ``prepared``, also where a service runs on the embedded one: then it is used as by one more
    instance of that service, which the database keeps apart. Raises ``BootstrapError``.
    """
    with _database(settings, beside_a_service=True) as url:
        with explained():
            api_key = asyncio.run(_prepare(settings, url))
        yield Prepared(url, api_key)


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


@contextmanager
def administered(settings: Settings) -> Iterator[str]:
    """The URL of the database, for an administrator's command beside a service that may be running.

    The embedded one is started if no service runs it now. Raises ``BootstrapError``.
    """
    with _database(settings, beside_a_service=True) as url:
        yield url


async def upgrade(url: str) -> SchemaStatus:
    """Bring the schema up to date. Raises what ``explained`` explains."""
    await migrate.upgrade(url)
    return await migrate.status(url)


async def schema_status(url: str) -> SchemaStatus:
    """How the database's schema relates to this code's. Raises what ``explained`` explains."""
    return await migrate.status(url)


@asynccontextmanager
async def administration(url: str) -> AsyncIterator[Admin]:
    """Tenants and keys, as the database's owner. Raises what ``explained`` explains."""
    _require_usable(await migrate.status(url))
    engine = create_engine(url, pool_size=1, application_name="wallet-admin")
    try:
        yield Admin(engine, _actor())
    finally:
        await engine.dispose()


@asynccontextmanager
async def verification(url: str) -> AsyncIterator[PostgresAudit]:
    """Proofs of what is in the database, as the service's role, which could not change it. They may take their time.

    Raises what ``explained`` explains.
    """
    _require_usable(await migrate.status(url))
    engine = create_engine(
        url,
        pool_size=1,
        role=SERVICE_ROLE,
        planner=INDEX_ONLY_PLANS,
        statement_timeout_ms=0,
        idle_in_transaction_timeout_ms=VERIFICATION_IDLE_MS_MAX,
        application_name="wallet-verify",
    )
    try:
        yield PostgresAudit(engine)
    finally:
        await engine.dispose()


@asynccontextmanager
async def transfer(url: str) -> AsyncIterator[PostgresTransfer]:
    """Whole ledgers, read and written as the service's role: what is there can be neither changed nor deleted.

    Raises what ``explained`` explains.
    """
    _require_usable(await migrate.status(url))
    engine = create_engine(
        url,
        pool_size=TRANSFER_CONNECTIONS,
        role=SERVICE_ROLE,
        planner=INDEX_ONLY_PLANS,
        statement_timeout_ms=0,
        lock_timeout_ms=TRANSFER_LOCK_MS_MAX,
        idle_in_transaction_timeout_ms=TRANSFER_IDLE_MS_MAX,
        application_name="wallet-transfer",
    )
    try:
        yield PostgresTransfer(engine)
    finally:
        await engine.dispose()


@contextmanager
def explained() -> Iterator[None]:
    """Raise ``BootstrapError`` for whatever of the outside can go wrong, and a value that cannot be used."""
    try:
        yield
    except EmbeddedPostgresError as error:
        raise DatabaseUnusable(str(error)) from error
    except ssl.SSLCertVerificationError as error:
        # It is a ValueError too, and yet no value of ours.
        raise DatabaseUnusable(
            f"the database cannot be used: its certificate is refused: {error.verify_message}"
        ) from error
    except (MigrationError, ValueError) as error:
        raise BootstrapError(str(error)) from error
    except (Unavailable, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise DatabaseUnusable(f"the database cannot be used: {_reason(error)}") from error


async def _prepare(settings: Settings, url: str) -> str | None:
    """Bring the schema up to date if that is wished, and make the first key. Returns the embedded database's key."""
    if settings.auto_migrate:
        await migrate.upgrade(url)
    async with administration(url) as admin:
        if await migrate.events_have_fallen_back(url):
            raise BootstrapError(
                "the database was loaded from a dump of another server, where more had happened than on this one, "
                "and new events would come before old ones: run `wallet db upgrade`"
            )
        if settings.bootstrap_api_key is not None:
            state = await _ensure_key(admin, settings.bootstrap_api_key)
            if state != "active":
                told = {"revoked": "was revoked", "expired": "has expired"}[state]
                raise BootstrapError(f"WALLET_BOOTSTRAP_API_KEY is a key that {told}")
            return None
        if settings.database_url is not None:
            return None
        path = settings.data_dir / API_KEY_FILE
        secret = path.read_text().strip() if path.exists() else ""
        if not secret or await _ensure_key(admin, secret) != "active":
            secret = SECRET_PREFIX + secrets.token_urlsafe(32)
            _write_private(path, secret)
            await _ensure_key(admin, secret)
        return secret


async def _ensure_key(admin: Admin, secret: str) -> KeyState:
    """Have a key with all scopes under this secret. One that was revoked or has expired stays so."""
    return (await admin.ensure_key(DEFAULT_TENANT, BOOTSTRAP_KEY_NAME, secret, SCOPES)).state


def _actor() -> str:
    """Whom the audit log names: the user of this process, and its machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container may run as a number that has no name.
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def _write_private(path: Path, secret: str) -> None:
    """Write a secret so that at no time anybody else can read it, and a crash leaves the old file or the new one."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{secret}\n")
    unfinished.replace(path)


@contextmanager
def _database(settings: Settings, *, beside_a_service: bool = False) -> Iterator[str]:
    if settings.database_url is not None:
        with _naming("WALLET_DATABASE_URL"):
            yield settings.database_url
        return
    server = EmbeddedPostgres(settings.data_dir)
    with _naming("WALLET_DATA_DIR"), explained():
        url = _start(server, beside_a_service=beside_a_service)
    try:
        with nullcontext() if beside_a_service else watched(server):
            yield url
    finally:
        with explained():
            server.stop()


@contextmanager
def _naming(setting: str) -> Iterator[None]:
    """Have it said which setting points to the database that cannot be used."""
    try:
        yield
    except DatabaseUnusable as error:
        raise BootstrapError(f"{error} ({setting})") from error


def _start(server: EmbeddedPostgres, *, beside_a_service: bool) -> str:
    try:
        server.start()
    except DataDirInUse:
        pid_file = PidFile.read(server.cluster)
        if not beside_a_service or pid_file is None or pid_file.status != "ready":
            raise
        return f"postgresql://postgres@/{DATABASE}?host={quote(str(pid_file.socket_dir))}&port={pid_file.port}"
    return server.url()


def _require_usable(status: SchemaStatus) -> None:
    """Raise ``BootstrapError`` unless the schema has all that this code needs. A newer one has: migrations only add."""
    advice = "run `wallet db upgrade`, or set WALLET_AUTO_MIGRATE=on"
    match status.state:
        case SchemaState.ABSENT:
            raise BootstrapError(f"the database has no schema yet: {advice}")
        case SchemaState.BEHIND:
            raise BootstrapError(f"the database's schema is {status.current}, and {status.head} is needed: {advice}")
        case SchemaState.CURRENT | SchemaState.AHEAD:
            return


def _reason(error: BaseException) -> str:
    """The innermost cause, in one line. The driver's own words: SQLAlchemy's repeat the statement with its values."""
    while (cause := error.orig if isinstance(error, DBAPIError) else error.__cause__) is not None:
        error = cause
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
