"""What a command does with a database: prepare it for the service, administer it, verify it, move ledgers in and out.

One of the service's own is started if none is given. ``entrypoints.composition`` puts the service together on top of
it; the two are the composition root, and nothing else of the entrypoints names the service's adapters.
"""

import asyncio
import getpass
import os
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Final
from urllib.parse import quote

import asyncpg
import attrs
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.checkpoint_file import CheckpointError, read_checkpoint, write_checkpoint
from adapters.embedded_postgres import DATABASE, DataDirInUse, EmbeddedPostgres, EmbeddedPostgresError
from adapters.embedded_postgres_processes import PidFile
from adapters.embedded_postgres_watch import watched
from adapters.postgres import migrate
from adapters.postgres.admin import SCOPES, SECRET_PREFIX, UNCHANGED, Admin, ApiKey, KeyState, Lifetime, Rotated, Tenant
from adapters.postgres.audit import PostgresAudit
from adapters.postgres.engine import INDEX_ONLY_PLANS, create_engine
from adapters.postgres.migrate import MigrationError, SchemaState, SchemaStatus
from adapters.postgres.schema import SERVICE_ROLE
from adapters.postgres.transfer import PostgresTransfer, TornTransfer, Writing
from entrypoints.settings import Settings
from wallet_core.ports import Unavailable

__all__ = [
    "DEFAULT_TENANT",
    "SCOPES",
    "UNCHANGED",
    "Admin",
    "ApiKey",
    "BootstrapError",
    "CheckpointError",
    "Lifetime",
    "PostgresTransfer",
    "Prepared",
    "Rotated",
    "Tenant",
    "TornTransfer",
    "Writing",
    "administered",
    "administration",
    "beside_a_service",
    "explained",
    "prepared",
    "read_checkpoint",
    "schema_status",
    "transfer",
    "upgrade",
    "verification",
    "write_checkpoint",
]

VERIFICATION_IDLE_MS_MAX: Final = 60_000
"""How long a proof may take between two questions to the database, before the database lets go of its snapshot."""

TRANSFER_CONNECTIONS: Final = 2
"""One reads where wallets stand while the other writes the portion before."""
TRANSFER_LOCK_MS_MAX: Final = 30_000
TRANSFER_IDLE_MS_MAX: Final = 600_000
"""How long whoever takes an export in may pause, before the database lets go of its snapshot."""

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
    async with _usable(create_engine(url, pool_size=1, application_name="wallet-admin"), url) as engine:
        yield Admin(engine, _actor())


@asynccontextmanager
async def verification(url: str) -> AsyncIterator[PostgresAudit]:
    """Proofs of what is in the database, as the service's role, which could not change it. They may take their time.

    Raises what ``explained`` explains.
    """
    engine = create_engine(
        url,
        pool_size=1,
        role=SERVICE_ROLE,
        planner=INDEX_ONLY_PLANS,
        statement_timeout_ms=0,
        idle_in_transaction_timeout_ms=VERIFICATION_IDLE_MS_MAX,
        application_name="wallet-verify",
    )
    async with _usable(engine, url):
        yield PostgresAudit(engine)


@asynccontextmanager
async def transfer(url: str) -> AsyncIterator[PostgresTransfer]:
    """Whole ledgers, read and written as the service's role: what is there can be neither changed nor deleted.

    Raises what ``explained`` explains.
    """
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
    async with _usable(engine, url):
        yield PostgresTransfer(engine)


@asynccontextmanager
async def _usable(engine: AsyncEngine, url: str) -> AsyncIterator[AsyncEngine]:
    """An engine, until its end, on a database whose schema is the one that is needed."""
    _require_usable(await migrate.status(url))
    try:
        yield engine
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
