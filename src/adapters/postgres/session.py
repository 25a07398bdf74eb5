"""A connection of the pool for one unit of work: SQLAlchemy Core writes the statements, the driver runs them.

Running them through SQLAlchemy's own connection costs a batch of one 1.2 ms of CPU, against 0.2 ms here
(``docs/decisions/0010``): it adapts the driver's coroutines to a synchronous API and back for each call.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final, Protocol, cast

import asyncpg
import attrs
from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.compiler import SQLCompiler

from wallet_core.ports import CommitUnknown

_DIALECT: Final = asyncpg_dialect()  # type: ignore[no-untyped-call] # the library publishes it without types


class Columns(Protocol):
    """A row, by names of columns."""

    def __getitem__(self, name: str, /) -> Any:
        """The column's value."""
        ...


@attrs.frozen
class _Compiled:
    sql: str
    names: tuple[str, ...]
    """The parameters' names, in the order of their places."""
    constants: Mapping[str, Any]
    """Values that stand in the statement itself."""

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        constants = self.constants
        return [parameters[name] if name in parameters else constants[name] for name in self.names]


@cache
def _compiled(statement: ClauseElement) -> _Compiled:
    """The statement's text. Kept for ever: only statements that are themselves constants may come here."""
    compiled = statement.compile(dialect=_DIALECT)
    constants = {name: value for name, value in compiled.params.items() if value is not None}
    if not isinstance(compiled, SQLCompiler):
        raise TypeError("not a statement")
    return _Compiled(str(compiled), tuple(compiled.positiontup or ()), constants)


class Session:
    """Runs statements on one connection. Raises what the driver raises; see ``errors.translating``."""

    def __init__(self, driver: asyncpg.Connection) -> None:
        self._driver = driver

    async def begin(self) -> None:
        """Begin a transaction, at the isolation level that the connection was made with."""
        await self._driver.execute("BEGIN")

    async def begin_snapshot(self) -> None:
        """Begin a transaction that changes nothing, and sees everything as of its first statement."""
        await self._driver.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    async def commit(self) -> None:
        """Commit the transaction. Raises ``CommitUnknown`` if the server is not sure that it will last."""
        warnings: list[str] = []

        def note(_: object, message: asyncpg.PostgresLogMessage) -> None:
            if message.severity_en == "WARNING":
                warnings.append(message.message)

        self._driver.add_log_listener(note)
        try:
            tag = await self._driver.execute("COMMIT")
        finally:
            self._driver.remove_log_listener(note)
        # When its wait for a synchronous standby is ended, the server reports success, and the doubt as a warning.
        if warnings:
            raise CommitUnknown(warnings[0])
        if tag != "COMMIT":
            raise RuntimeError("the transaction had failed before its COMMIT")

    async def fetch(self, statement: ClauseElement, parameters: Mapping[str, Any]) -> Sequence[Columns]:
        """All rows that a constant statement returns."""
        compiled = _compiled(statement)
        rows: Sequence[Columns] = await self._driver.fetch(compiled.sql, *compiled.arguments(parameters))
        return rows

    async def stream(
        self, statement: ClauseElement, parameters: Mapping[str, Any], size: int
    ) -> AsyncGenerator[Sequence[Columns], None]:
        """All rows that a constant statement returns, ``size`` at a time. To be closed before anything else is run.

        The database works on the next rows while these are used.
        """
        compiled = _compiled(statement)
        cursor = await self._driver.cursor(compiled.sql, *compiled.arguments(parameters))
        following = asyncio.ensure_future(cursor.fetch(size))
        try:
            while rows := await following:
                following = asyncio.ensure_future(cursor.fetch(size))
                # The question goes out before the rows are used, which may keep this thread busy.
                await asyncio.sleep(0)
                yield rows
        finally:
            await following

    async def write(self, statement: ClauseElement, parameters: Mapping[str, Any]) -> int:
        """Run a constant statement that writes; returns the number of rows that it wrote."""
        compiled = _compiled(statement)
        # The command tag ends with the count: "INSERT 0 5", "UPDATE 5".
        tag: str = await self._driver.execute(compiled.sql, *compiled.arguments(parameters))
        return int(tag.rpartition(" ")[2])


@asynccontextmanager
async def open_session(engine: AsyncEngine) -> AsyncIterator[Session]:
    """A session on a connection from the pool. What was not committed is rolled back at the end."""
    connection = await engine.connect()
    try:
        pooled = await connection.get_raw_connection()
        driver = cast(asyncpg.Connection, pooled.driver_connection)
        try:
            yield Session(driver)
        finally:
            await _roll_back(driver)
            if driver.is_closed():
                await connection.invalidate()
    finally:
        await connection.close()


async def _roll_back(driver: asyncpg.Connection) -> None:
    """End the transaction, if there is one. Raises nothing: what went wrong before is what has to be told."""
    if driver.is_closed() or not driver.is_in_transaction():
        return
    try:
        await driver.execute("ROLLBACK")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        driver.terminate()
