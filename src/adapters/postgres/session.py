"""A connection of the pool for one unit of work: SQLAlchemy Core writes the statements, the driver runs them.

Running them through SQLAlchemy's own connection costs a batch of one 1.2 ms of CPU, against 0.2 ms here
(``docs/decisions/0010``): it adapts the driver's coroutines to a synchronous API and back for each call.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cache, cached_property, partial
from itertools import chain
from types import TracebackType
from typing import Any, Final, Protocol, TypeVar, cast
from weakref import WeakSet

import asyncpg
import attrs
from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine
from sqlalchemy.util import greenlet_spawn

from adapters.postgres.binary import Encode, encoder
from adapters.postgres.pipeline import BEGIN, Pipeline, can_bound_transactions, encoded, rows_of_tag
from adapters.postgres.silence import ANSWER_MARGIN_S, PROMPT_S_MAX, Patience, Watch
from wallet_core.ports import CommitUnknown

PATIENCE: Final = "wallet_patience"
"""The name of the engine's option that holds its ``Patience``."""

BOUNDED: Final = "wallet_bounded"
"""The name of the engine's option that holds its ``Bounded``."""

PIPELINE: Final = "wallet_pipeline"
"""Under which name the pool keeps a connection's ``Pipeline``."""

Writable = tuple[ClauseElement, bytes]
"""A constant statement, and its arguments as they are sent."""

T = TypeVar("T")

_DIALECT: Final = asyncpg_dialect()  # type: ignore[no-untyped-call] # the library publishes it without types


@attrs.frozen
class Bounded:
    """Connections whose transactions the server ends after ``transaction_s`` seconds; none, where that is 0."""

    transaction_s: float
    connections: "WeakSet[asyncpg.Connection]" = attrs.field(factory=WeakSet)


class Columns(Protocol):
    """A row, by names of columns."""

    def __getitem__(self, name: str, /) -> Any:
        """The column's value."""
        ...


@attrs.frozen(slots=False)
class _Compiled:
    sql: str
    names: tuple[str, ...]
    """The parameters' names, in the order of their places."""
    types: tuple[TypeEngine[Any], ...]
    """Theirs, in the same order."""
    constants: Mapping[str, Any]
    """Values that stand in the statement itself."""

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        constants = self.constants
        return [parameters[name] if name in parameters else constants[name] for name in self.names]

    @cached_property
    def encoders(self) -> tuple[Encode, ...]:
        """How each parameter is sent ahead of what the driver sends."""
        return tuple(encoder(type_) for type_ in self.types)


@cache
def _compiled(statement: ClauseElement) -> _Compiled:
    """The statement's text. Kept for ever: only statements that are themselves constants may come here."""
    compiled = statement.compile(dialect=_DIALECT)
    constants = {name: value for name, value in compiled.params.items() if value is not None}
    if not isinstance(compiled, SQLCompiler):
        raise TypeError("not a statement")
    names = tuple(compiled.positiontup or ())
    return _Compiled(str(compiled), names, tuple(compiled.binds[name].type for name in names), constants)


class Session:
    """Runs statements on one connection. Raises what the driver raises; see ``errors.translating``.

    Every wait is bounded. Past the bound the connection is closed, and what was asked raises as it does where the
    network breaks.
    """

    def __init__(
        self, driver: asyncpg.Connection, pipeline: Pipeline, patience: Patience, transaction_s: float | None = None
    ) -> None:
        """``transaction_s``: after how long the server ends a transaction, if it does."""
        self._driver = driver
        self._pipeline = pipeline
        self._patience = patience
        self._answer_s = patience.answer_s
        # Several statements may take as long as all of them may, before the server is taken for silent.
        self._writes_s = patience.answer_s if transaction_s is None else transaction_s + ANSWER_MARGIN_S
        self._watch = Watch(driver, patience)

    async def begin(self) -> None:
        """Begin a transaction, at the isolation level that the connection was made with."""
        await self._answer(self._driver.execute("BEGIN"), PROMPT_S_MAX)

    def is_in_transaction(self) -> bool:
        """Whether a transaction has begun, as far as the server has told."""
        return not self._driver.is_closed() and self._driver.is_in_transaction()

    async def begin_snapshot(self) -> None:
        """Begin a transaction that changes nothing, and sees everything as of its first statement."""
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        if can_bound_transactions(self._driver):
            # It keeps nobody waiting, however long it takes.
            begin += "; SET LOCAL transaction_timeout = 0"
        await self._answer(self._driver.execute(begin), PROMPT_S_MAX)

    async def commit(self) -> None:
        """Commit the transaction. Raises ``CommitUnknown`` if the server is not sure that it will last."""
        warnings: list[str] = []

        def note(_: object, message: asyncpg.PostgresLogMessage) -> None:
            if message.severity_en == "WARNING":
                warnings.append(message.message)

        self._driver.add_log_listener(note)
        try:
            tag = await self._answer(self._driver.execute("COMMIT"), self._answer_s)
        except asyncio.CancelledError:
            # The driver would ask the server to cancel the COMMIT. It must not come to that, whoever cancels us.
            self._driver.terminate()
            raise
        finally:
            self._driver.remove_log_listener(note)
        # When its wait for a synchronous standby is ended, the server reports success, and the doubt as a warning.
        if warnings:
            raise CommitUnknown(warnings[0])
        if tag != "COMMIT":
            raise RuntimeError("the transaction had failed before its COMMIT")

    async def fetch(
        self, statement: ClauseElement, parameters: Mapping[str, Any], limit_s: float = math.inf
    ) -> Sequence[Columns]:
        """All rows that a constant statement returns, which is waited for no longer than this."""
        compiled = _compiled(statement)
        answer = self._driver.fetch(compiled.sql, *compiled.arguments(parameters))
        return await self._answer(answer, min(limit_s, self._answer_s))

    async def stream(
        self, statement: ClauseElement, parameters: Mapping[str, Any], size: int
    ) -> AsyncGenerator[Sequence[Columns], None]:
        """All rows that a constant statement returns, ``size`` at a time. To be closed before anything else is run.

        The database works on the next rows while these are used.
        """
        compiled = _compiled(statement)
        asked = self._driver.cursor(compiled.sql, *compiled.arguments(parameters))
        cursor = await self._answer(asked, self._answer_s)
        following = asyncio.ensure_future(cursor.fetch(size))
        try:
            while rows := await self._answer(following, self._answer_s):
                following = asyncio.ensure_future(cursor.fetch(size))
                # The question goes out before the rows are used, which may keep this thread busy.
                await asyncio.sleep(0)
                yield rows
        finally:
            await self._answer(following, self._answer_s)

    async def write(self, statement: ClauseElement, parameters: Mapping[str, Any]) -> int:
        """Run a constant statement that writes; returns the number of rows that it wrote."""
        compiled = _compiled(statement)
        tag: str = await self._answer(
            self._driver.execute(compiled.sql, *compiled.arguments(parameters)), self._answer_s
        )
        return rows_of_tag(tag)

    def encoded(self, statement: ClauseElement, parameters: Mapping[str, Any]) -> Writable:
        """A constant statement that writes and returns no rows, ready to be sent."""
        compiled = _compiled(statement)
        return statement, encoded(compiled.arguments(parameters), compiled.encoders)

    async def write_all(self, writes: Iterable[Writable]) -> list[int]:
        """Run statements that are ``encoded``, in the transaction that is under way, or in a new one. Returns how many
        rows each of them wrote.

        Each is sent as soon as it is there, and the answers are waited for when all have been sent, if the connection
        can. Where one fails, the transaction has, and none of those after it is run.
        """
        if self._watch.is_waiting:
            # Whoever waited for that was cancelled, and it would be taken for the answer to this.
            self._driver.terminate()
            raise asyncpg.InterfaceError("there was no answer yet to what was asked before")
        beginning = () if self.is_in_transaction() else (BEGIN,)
        runnable = ((_compiled(statement).sql, arguments) for statement, arguments in writes)
        rows = await self._pipeline.run(chain(beginning, runnable), partial(self._answer, limit_s=self._writes_s))
        return rows[len(beginning) :]

    def leave(self) -> None:
        """Leave a server that takes no writes, with all connections, so that the pool looks for one that does.

        A primary that has stepped down may keep its sessions, and would answer from a ledger that grows elsewhere.
        """
        self._patience.distrust()
        self._driver.terminate()

    async def end(self) -> None:
        """End the transaction, if there is one, and whatever is still under way. Raises nothing: what went wrong before
        is what has to be told."""
        try:
            # The answer to what was cancelled comes first, in any case.
            if self.is_in_transaction() or (self._watch.is_waiting and not self._driver.is_closed()):
                await self._answer(self._driver.execute("ROLLBACK"), PROMPT_S_MAX)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
            self._driver.terminate()
        except asyncio.CancelledError:
            self._driver.terminate()
            raise
        finally:
            self._watch.end()

    async def _answer(self, answer: Awaitable[T], limit_s: float) -> T:
        """What the driver was asked for. Closes the connection if it takes longer than this."""
        self._watch.expect(limit_s)
        try:
            answered = await answer
        except asyncpg.ReadOnlySQLTransactionError:
            self.leave()
            raise
        except Exception:
            self._watch.heard()
            raise
        self._watch.heard()
        return answered


def open_session(engine: AsyncEngine) -> AbstractAsyncContextManager[Session]:
    """A session on a connection from the pool. What was not committed is rolled back at the end."""
    return _Opening(engine)


class _Opening(AbstractAsyncContextManager[Session]):
    # No generator: with those of ``errors.translating`` it took one credit at a time from 1.33 to 1.38 ms.
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def __aenter__(self) -> Session:
        # The pool's own connection: SQLAlchemy's around it, which runs nothing here, takes 30 µs to make and to leave.
        try:
            self._pooled = pooled = await self._engine.raw_connection()
        except self._engine.dialect.loaded_dbapi.Error as error:
            # It adapts what fails while a connection is set up. The driver's own is told, as everywhere.
            raise error.__cause__ or error from None
        self._driver = driver = cast(asyncpg.Connection, pooled.driver_connection)
        options = self._engine.sync_engine.get_execution_options()
        bounded: Bounded = options[BOUNDED]
        pipeline: Pipeline | None = pooled.info.get(PIPELINE)
        if pipeline is None:
            try:
                pipeline = pooled.info[PIPELINE] = Pipeline(driver, driver in bounded.connections)
            except asyncpg.InterfaceError:
                # It was closed while it was handed out.
                pooled.close()
                raise
        transaction_s = bounded.transaction_s if pipeline.sends_ahead else None
        self._session = Session(driver, pipeline, options[PATIENCE], transaction_s)
        return self._session

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            try:
                await self._session.end()
            finally:
                if self._driver.is_closed():
                    await greenlet_spawn(self._pooled.invalidate)
        finally:
            self._pooled.close()
