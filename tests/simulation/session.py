"""Sessions of the modelled PostgreSQL, and the store over them.

The unit of work is the real one (``adapters.postgres.unit_of_work``): what is modelled begins below it, where the
driver would send a statement. What fails raises what the driver raises.
"""

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from types import TracebackType
from typing import Any, Final
from uuid import UUID

import asyncpg
import attrs
from sqlalchemy import ClauseElement

from adapters.postgres.errors import translating
from adapters.postgres.session import Columns, Session
from adapters.postgres.unit_of_work import PostgresUnit
from tests.simulation import faults
from tests.simulation.loop import Process, current_process, fail, settle
from tests.simulation.queries import READS, WRITES, Writing
from tests.simulation.server import IDLE_IN_TRANSACTION_S, STATEMENT_TIMEOUT_S, Server
from tests.simulation.transactions import Transaction
from wallet_core.ports import CommitUnknown, UnitOfWork

STALL_S: Final = 6.0
SILENCE_S: Final = STATEMENT_TIMEOUT_S + 2.0
"""When the adapter closes a connection on which no answer comes."""
STOPS_S: Final = (3.0, 12.0)
LATE_S: Final = (0.002, 0.1, 2.0)
EARLY_S: Final = 0.05

COMMIT_BEFORE_ANSWER: Final = "outcomes are released after COMMIT"
"""The mechanism that is missing where COMMIT is acknowledged before it has happened."""


@attrs.frozen
class ModelStore:
    """A ``Store``: the adapter's unit of work over sessions of the modelled server."""

    server: Server
    unit: type[PostgresUnit] = PostgresUnit

    def begin(self, tenant: UUID) -> AbstractAsyncContextManager[UnitOfWork]:
        return _Begun(self, tenant)


class _Begun(AbstractAsyncContextManager[UnitOfWork]):
    # A class, since a generator would run to its end in a process that was killed.
    def __init__(self, store: ModelStore, tenant: UUID) -> None:
        self._store = store
        self._tenant = tenant
        self._session = ModelSession(store.server, current_process())

    async def __aenter__(self) -> UnitOfWork:
        with translating():
            await self._session.connect()
        return self._store.unit(self._session, self._tenant)

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc_type is not GeneratorExit:
            await self._session.end()


class ModelSession(Session):
    """A connection to the modelled server, in place of one to a real one. See ``adapters.postgres.session``."""

    def __init__(self, server: Server, process: Process | None, owner: str = "session") -> None:
        self.process = process
        self.transaction = Transaction(server.locks, process.name if process is not None else owner)
        self.random = server.random
        self._server = server
        self._broken: Exception | None = None
        self._answered: asyncio.Future[None] | None = None
        self._begun_at: datetime | None = None
        self._early = False

    async def connect(self) -> None:
        """Have a connection, new or not."""
        server = self._server
        server.sessions[self] = None
        try:
            await self._reach(faults.CONNECT)
            if not server.up:
                server.log.cover("connecting while the database was down")
                raise asyncpg.CannotConnectNowError("the database system is starting up")
        except (asyncpg.PostgresError, OSError):
            server.sessions.pop(self, None)
            raise

    async def begin(self) -> None:
        """Begin a transaction."""
        fault = await self._reach(faults.BEGIN)
        self._begun_at = self._server.now()
        if fault is not None:
            self._cut()

    def is_in_transaction(self) -> bool:
        return self._begun_at is not None

    async def fetch(
        self, statement: ClauseElement, parameters: Mapping[str, Any], limit_s: float = math.inf
    ) -> Sequence[Columns]:
        step, read = READS[statement]
        fault = await self._reach(step)
        now = self._server.now() if self._begun_at is None else self._begun_at
        rows = read(self._server.tables[parameters["tenant"]], parameters, now)
        if fault is not None:
            self._cut()
        return rows

    def encoded(self, statement: ClauseElement, parameters: Mapping[str, Any]) -> Any:
        """The modelled server takes values as they are."""
        return statement, parameters

    async def write_all(self, writes: Iterable[tuple[ClauseElement, Any]]) -> list[int]:
        """The server has all of them at once, and carries out one after the other. Here those behind a lost connection
        are not carried out; there they may be, and are rolled back with the others."""
        if not self.is_in_transaction():
            await self.begin()
        return [await self.write(statement, parameters) for statement, parameters in writes]

    async def write(self, statement: ClauseElement, parameters: Mapping[str, Any]) -> int:
        server = self._server
        step, write = WRITES[statement]
        fault = await self._reach(step)
        try:
            if server.storm:
                server.storm -= 1
                raise asyncpg.SerializationError("could not serialize access")
            tables = server.tables[parameters["tenant"]]
            writing = Writing(tables, self.transaction, server.log, self._between_rows, server.lacking)
            written = await write(writing, parameters)
        except asyncpg.PostgresError as error:
            raise self._failed(error) from None
        if server.log.lines is not None:
            server.log.note(self.transaction.owner, f"{step}: {written} rows")
        if fault is not None:
            self._cut()
        return written

    async def commit(self) -> None:
        server, loop = self._server, self._server.loop
        if COMMIT_BEFORE_ANSWER in server.lacking:
            self._early = True
            loop.outside(EARLY_S, self._commit_arrives, None)
            return
        fault = await self._reach(faults.COMMIT)
        if fault == faults.ARRIVES_LATE:
            loop.outside(server.random.choice(LATE_S), self._commit_arrives, None)
            self._break(ConnectionResetError("connection lost"))
        self._answered = loop.create_future()
        loop.outside(server.delay(), self._commit_arrives, fault)
        await self._answered
        if fault == faults.SILENT:
            await loop.pause(SILENCE_S)
        if fault in (faults.CUT_AFTER, faults.SILENT):
            self._cut()
        if fault == faults.WARNING:
            raise CommitUnknown("canceling wait for synchronous replication")

    async def end(self) -> None:
        """What the adapter does at the end: what was not committed is rolled back."""
        server = self._server
        if self._broken is None and self.transaction.open and not self._early:
            try:
                if self.is_in_transaction():
                    await self._reach(faults.ROLLBACK)
            except (asyncpg.PostgresError, OSError):
                return
            self.transaction.abort()
        if not self.transaction.open:
            server.sessions.pop(self, None)

    # ------------------------------------------------------------------ what the server sees

    def server_is_gone(self) -> None:
        self._broken = gone = ConnectionResetError("connection lost")
        self.transaction.break_off(gone)
        self.transaction.abort()
        if self._answered is not None:
            fail(self._answered, gone)

    def client_is_gone(self) -> None:
        # A COMMIT that was sent gets there before the end of the connection does.
        if self._answered is None and not self._early:
            self._server.notice_later(self.transaction)

    def _commit_arrives(self, fault: str | None) -> None:
        server, transaction = self._server, self.transaction
        if not transaction.open:
            return
        transaction.commit()
        server.log.note(transaction.owner, "is committed")
        if self._broken is not None or fault is not None:
            server.unacknowledged.update(row["id"] for _, table, row in transaction.written if table == "transactions")
        if fault == faults.CRASH_AFTER:
            server.crash()
        elif fault == faults.KILL_AFTER and self.process is not None:
            server.kill(self.process)
        elif self._answered is not None:
            server.loop.outside(server.delay(), settle, self._answered)

    def _idle_too_long(self) -> None:
        if self.transaction.open and self.is_in_transaction():
            self.transaction.abort()
            self._broken = asyncpg.IdleInTransactionSessionTimeoutError("terminating connection")

    # ------------------------------------------------------------------ on the way there

    async def _reach(self, step: str) -> str | None:
        """Have a message get to the server, unless something happens to it. Returns what will happen after that."""
        server = self._server
        fault = server.plan.at(step)
        await server.loop.pause(server.delay())
        self._check()
        if fault is not None:
            server.log.cover(faults.named(step, fault))
            fault = await self._suffer(fault)
            self._check()
        if server.log.lines is not None:
            server.log.note(self.transaction.owner, step)
        return fault

    async def _suffer(self, fault: str) -> str | None:
        server, loop = self._server, self._server.loop
        match fault:
            case faults.CUT_BEFORE:
                self._cut()
            case faults.SERIALIZATION:
                raise self._failed(asyncpg.SerializationError("could not serialize access"))
            case faults.DISK_FULL:
                raise self._failed(asyncpg.DiskFullError("no space left on device"))
            case faults.REFUSED:
                raise self._failed(asyncpg.CannotConnectNowError("the database system is starting up"))
            case faults.TOO_MANY:
                raise self._failed(asyncpg.TooManyConnectionsError("too many clients already"))
            case faults.CANCELLED:
                await loop.pause(STATEMENT_TIMEOUT_S)
                self._check()
                raise self._failed(asyncpg.QueryCanceledError("canceling statement due to statement timeout"))
            case faults.STALLED:
                await loop.pause(STALL_S)
            case faults.DATABASE_CRASH:
                server.crash()
            case faults.KILL if self.process is not None:
                server.kill(self.process)
                await loop.create_future()
            case faults.STOPPED if self.process is not None:
                seconds = server.random.choice(STOPS_S)
                loop.outside(IDLE_IN_TRANSACTION_S, self._idle_too_long) if seconds > IDLE_IN_TRANSACTION_S else None
                loop.stop_for(self.process, seconds)
                await loop.pause(0)
            case _:
                return fault
        return None

    async def _between_rows(self) -> None:
        await self._server.loop.pause(self._server.delay())
        self._check()

    def _failed(self, error: asyncpg.PostgresError) -> asyncpg.PostgresError:
        """An error ends the transaction at once, whenever the client may say ROLLBACK."""
        self.transaction.abort()
        return error

    def _cut(self) -> None:
        """The connection is lost; the server learns of that in its own time."""
        self._server.notice_later(self.transaction)
        self._break(ConnectionResetError("connection lost"))

    def _break(self, error: Exception) -> None:
        self._broken = error
        raise error

    def _check(self) -> None:
        if self._broken is not None:
            raise self._broken
