"""Statements that are sent one behind the other, without waiting for each one's answer.

asyncpg has one statement under way on a connection. So these are written to its connection ahead of an empty one, which
the driver sends and waits for as always. The server carries them out in their order; once one has failed it skips those
behind it, and the driver raises that. Of the counts of rows the driver keeps the last, so they are read here, on their
way to it.

The messages are those of "Extended Query" in PostgreSQL's manual: Bind and Execute for each statement, and one Sync,
which is the driver's. A client that stops in between, or is not heard any more, leaves a server that waits for the rest
and keeps its locks. That is no idle transaction to the server, so only its limit on transactions ends it, and without
one each statement is waited for.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, cast

import asyncpg

from adapters.postgres.binary import Encode

if TYPE_CHECKING:
    from asyncpg.prepared_stmt import PreparedStatement

_HEADER: Final = Struct(">ci")
_LENGTH_MIN: Final = 4
"""A message's length counts itself."""
_INT2: Final = Struct(">h").pack
_INT4: Final = Struct(">i").pack
_ALL_BINARY: Final = _INT2(1) + _INT2(1)
"""One code of a format, which goes for all there are: binary."""
_EXECUTE: Final = b"E" + _INT4(9) + b"\0" + _INT4(0)
"""Carry out the unnamed portal, with all of its rows."""
_NOTHING: Final = ""

_GONE: Final = frozenset({"0A000", "26000"})
"""A prepared statement that the server has not, or not as it was: feature_not_supported, invalid_sql_statement_name."""

SENT_BYTES: Final = 1 << 20
"""What a batch of 1,000 credits takes on its way to the server (0.7 MB), and some. The kernel gives no more than
``net.core.wmem_max``."""

Statement = tuple[str, bytes]
"""A statement's text, and its arguments as they are sent, ``encoded``. It returns no rows."""


def encoded(arguments: Sequence[Any], encoders: Sequence[Encode]) -> bytes:
    """The arguments of a statement as they are sent, each as its encoder has it."""
    parts = [_ALL_BINARY, _INT2(len(arguments))]
    for argument, encode in zip(arguments, encoders, strict=True):
        sent = encode(argument)
        parts += (_INT4(len(sent)), sent)
    parts.append(_ALL_BINARY)
    return b"".join(parts)


BEGIN: Final[Statement] = ("BEGIN", encoded((), ()))

Answer = Callable[[Awaitable[Any]], Awaitable[Any]]
"""Waits for what the driver was asked for, for as long as that may take."""


class Tags(asyncio.Protocol):
    """What the transport knows as its protocol. Hands all of it on to the driver's, and reads along at times."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol
        self._hand_on = protocol.data_received
        self._unread = b""
        self.read: list[bytes] = []
        self.are_due = False
        """Whether to read: not everything is answered that was asked since this was set."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def data_received(self, data: bytes) -> None:
        if self.are_due:
            self._read(data)
        self._hand_on(data)

    def _read(self, data: bytes) -> None:
        data = self._unread + data
        start, size = 0, len(data)
        while size - start >= _HEADER.size:
            kind, length = _HEADER.unpack_from(data, start)
            if length < _LENGTH_MIN:
                raise asyncpg.InternalClientError("what the server sends is not PostgreSQL's protocol")
            end = start + 1 + length
            if end > size:
                break
            if kind == b"C":
                self.read.append(data[start + _HEADER.size : end - 1])
            elif kind == b"Z":
                self._unread = b""
                self.are_due = False
                return
            start = end
        self._unread = data[start:]


def _make_room(transport: asyncio.Transport) -> None:
    """Have the kernel take a large batch whole. What it has no room for waits until this process gets to it, and the
    server with it. That of TCP grows by itself."""
    opened = transport.get_extra_info("socket")
    if opened is not None and opened.family == getattr(socket, "AF_UNIX", None):
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT_BYTES)


def can_bound_transactions(driver: asyncpg.Connection) -> bool:
    """Whether the server knows ``transaction_timeout``."""
    return driver.get_server_version() >= (17,)


class Pipeline:
    """Sends several statements at once on one connection, for as long as that lasts; or one by one, where it is not to
    send any ahead."""

    def __init__(self, driver: asyncpg.Connection, sends_ahead: bool) -> None:
        if driver.is_closed():
            raise asyncpg.InterfaceError("connection is closed")
        self._driver = driver
        self.sends_ahead = sends_ahead
        known = cast(Any, driver)
        self._transport: asyncio.Transport = known._transport
        self._tags = Tags(known._protocol)
        self._transport.set_protocol(self._tags)
        _make_room(self._transport)
        self._prepared: dict[str, PreparedStatement[Any]] = {}

    async def run(self, statements: Iterable[Statement], answer: Answer) -> list[int]:
        """Carry out the statements in their order, and return how many rows each of them wrote. Each is sent as soon as
        it is there.

        Raises what the driver raises. The first one that fails keeps those after it from being carried out, and what
        goes before it belongs to a transaction that has failed, if it belongs to one at all.
        """
        if self._driver.is_closed():
            raise asyncpg.InterfaceError("connection is closed")
        tags = self._tags
        tags.read = []
        amount = 0
        try:
            for sql, arguments in statements:
                amount += 1
                if sql not in self._prepared:
                    await self._settle(answer)
                    await self._prepare(sql, answer)
                self._send(self._prepared[sql], arguments)
                if not self.sends_ahead:
                    await self._settle(answer)
            await self._settle(answer)
            if len(tags.read) != amount:
                raise asyncpg.InternalClientError(f"{amount} statements had {len(tags.read)} answers")
        except asyncpg.PostgresError as error:
            if error.sqlstate in _GONE:
                self._prepared.clear()
            raise
        except asyncpg.InternalClientError:
            self._driver.terminate()
            raise
        finally:
            if tags.are_due:
                # Something was sent that is not answered, or not ended: nobody could tell whose answer is whose.
                self._driver.terminate()
        return [rows_of_tag(tag.decode()) for tag in tags.read]

    async def _settle(self, answer: Answer) -> None:
        """Have the driver wait for what has become of all that was sent, if something was."""
        if self._tags.are_due:
            await answer(self._prepared[_NOTHING].fetch())

    async def _prepare(self, sql: str, answer: Answer) -> None:
        for text in (_NOTHING, sql):
            if text not in self._prepared:
                self._prepared[text] = await answer(self._driver.prepare(text))

    def _send(self, prepared: "PreparedStatement[Any]", arguments: bytes) -> None:
        bind = b"".join((b"\0", prepared.get_name().encode(), b"\0", arguments))
        self._tags.are_due = True
        self._transport.write(b"".join((b"B", _INT4(len(bind) + 4), bind, _EXECUTE)))


def rows_of_tag(tag: str) -> int:
    """The count of rows that a command's tag ends with: ``INSERT 0 5``, ``UPDATE 5``. None is 0: ``BEGIN``."""
    count = tag.rpartition(" ")[2]
    return int(count) if count.isdigit() else 0
