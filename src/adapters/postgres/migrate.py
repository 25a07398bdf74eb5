"""The schema's version: what the database has, what this code needs, and the way from one to the other.

Alembic is imported where something is migrated. To compare two versions, which each start does, takes a query and a
look at the names in the migrations: with Alembic and all migrations imported, a start takes a sixth longer.
"""

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path
from typing import Final

import attrs
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import event_clock
from adapters.postgres.beside_writers import beside_writers
from adapters.postgres.engine import create_engine

LOCK_KEY: Final = 0x77616C6C6574
"""The advisory lock that one migrating process holds ("wallet" in ASCII)."""

LOCK_WAIT_S_MAX: Final = 120.0
LOCK_POLL_S: Final = 0.1
_IN_PROCESS: Final = threading.Lock()

_NAMED: Final = re.compile(r"""^(revision|down_revision) = (?:["'](\w+)["']|None)$""", re.MULTILINE)
_IS_THERE: Final = text("SELECT to_regclass('alembic_version') IS NOT NULL")
_VERSION: Final = text("SELECT version_num FROM alembic_version")


class MigrationError(Exception):
    """The schema was not brought up to date; the message says what to do. What was committed before stays."""


class SchemaState(Enum):
    """How the database's schema relates to the one that this code needs."""

    ABSENT = "absent"
    """Nothing was ever migrated here."""
    BEHIND = "behind"
    CURRENT = "current"
    AHEAD = "ahead"
    """The database has a revision that this code does not know: a newer release migrated it."""


@attrs.frozen
class SchemaStatus:
    """The database's revision, the newest one of this code, and how they relate."""

    current: str | None
    head: str
    state: SchemaState


async def upgrade(dsn: str) -> None:
    """Bring the schema to this code's newest revision; does nothing when it is there, or ahead.

    Each revision is one transaction. Several processes may do this at once: one migrates, the others wait for it.
    Runs as the URL's own user, who must own the tables. Raises `MigrationError`, and the driver's errors.

    Where the database was loaded from a dump of another server, new events are made to come after those that are there.
    """
    async with _alone_in_this_process(), _connect(dsn) as connection:
        await _become_the_only_process(connection)
        state = (await _status(connection)).state
        if state in (SchemaState.ABSENT, SchemaState.BEHIND):
            await beside_writers(connection, _upgrade)
        if state is not SchemaState.AHEAD:
            await event_clock.catch_up(connection)


async def events_have_fallen_back(dsn: str) -> bool:
    """Whether new events would come before those that are there, until there was an upgrade."""
    async with _connect(dsn) as connection:
        return await event_clock.has_fallen_back(connection)


async def status(dsn: str) -> SchemaStatus:
    """The state of the schema. The service's role may ask. Raises the driver's errors."""
    async with _connect(dsn) as connection:
        return await _status(connection)


def migrations_folder() -> Path:
    """Where the migrations are: beside this module when installed, at the top of the source tree otherwise."""
    here = Path(__file__).resolve()
    for folder in (here.parent / "migrations", here.parents[3] / "alembic"):
        if (folder / "env.py").is_file():
            return folder
    raise MigrationError("this installation has no migrations: install the package again")


@asynccontextmanager
async def _connect(dsn: str) -> AsyncIterator[AsyncConnection]:
    # A migration may take long, so no statement is cut short; but one that waits for a lock makes every later query of
    # that table wait behind it, so that wait is short.
    engine = create_engine(
        dsn,
        pool_size=1,
        statement_timeout_ms=0,
        lock_timeout_ms=10_000,
        application_name="wallet-migrate",
        json_as_text=False,
    )
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


@asynccontextmanager
async def _alone_in_this_process() -> AsyncIterator[None]:
    """Alembic keeps the migration that runs in globals, so that a process migrates one database at a time."""
    # A lock of threads, never waited for, because tests and tools run several event loops.
    deadline = time.monotonic() + LOCK_WAIT_S_MAX
    while not _IN_PROCESS.acquire(blocking=False):
        await _wait_until(deadline)
    try:
        yield
    finally:
        _IN_PROCESS.release()


async def _become_the_only_process(connection: AsyncConnection) -> None:
    """Take the migration's lock, which the session holds until its connection is closed, however that happens."""
    # Asking again and again, instead of waiting inside the server, leaves no open snapshot, which an index that another
    # process builds concurrently would wait for: each would wait for the other.
    deadline = time.monotonic() + LOCK_WAIT_S_MAX
    while not await connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK_KEY}):
        await connection.rollback()
        await _wait_until(deadline)
    await connection.rollback()


async def _wait_until(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise MigrationError(f"another migration has been running for {LOCK_WAIT_S_MAX:.0f} seconds")
    await asyncio.sleep(LOCK_POLL_S)


async def _status(connection: AsyncConnection) -> SchemaStatus:
    current = None
    if await connection.scalar(_IS_THERE):
        current = await connection.scalar(_VERSION)
    await connection.rollback()
    needed = head()
    if current is None:
        state = SchemaState.ABSENT
    elif current == needed:
        state = SchemaState.CURRENT
    elif current in revisions():
        state = SchemaState.BEHIND
    else:
        state = SchemaState.AHEAD
    return SchemaStatus(current=current, head=needed, state=state)


def head() -> str:
    """This code's newest revision. Raises `MigrationError`."""
    known = revisions()
    newest = known.keys() - set(known.values())
    if len(newest) != 1:
        raise MigrationError("this installation has no migrations: install the package again")
    return newest.pop()


def revisions() -> Mapping[str, str | None]:
    """This code's revisions, each with the one before it. Raises `MigrationError`."""
    found: dict[str, str | None] = {}
    for path in (migrations_folder() / "versions").glob("*.py"):
        named = dict(_NAMED.findall(path.read_text()))
        found[named["revision"]] = named["down_revision"] or None
    return found


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    # The configuration is a template in which a percent sign of a path would start a name.
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise MigrationError(str(error)) from error
