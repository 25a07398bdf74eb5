"""An HTTP/1.1 client that takes little of the machine from the service, and tells what was sent from what was not."""

import asyncio
from collections.abc import Mapping
from typing import Final, cast

import attrs
import httptools

IDLE_MAX: Final = 32
CONNECT_S_MAX: Final = 1.0


class NotSent(Exception):
    """No connection could be made."""


class NoAnswer(Exception):
    """The request may have arrived, and its answer never did."""


@attrs.frozen
class Response:
    """A complete answer. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Connection(asyncio.Protocol):
    """One request at a time on one connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Response] | None = None
        self._reset()

    def _reset(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    @property
    def is_open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    async def ask(self, request: bytes) -> Response:
        if self.transport is None:
            raise RuntimeError("not connected")
        self._reset()
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The transports of uvloop are none of asyncio's, but do as they do.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"no HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(str(exc or "closed"))

    def _fail(self, why: str) -> None:
        if self.transport is not None:
            self.transport.abort()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(NoAnswer(why))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._answer is not None and not self._answer.done():
            response = Response(self._parser.get_status_code(), self._headers, b"".join(self._body))
            self._answer.set_result(response)


@attrs.define
class HttpClient:
    """Requests to one address, over connections that are kept."""

    host: str
    port: int
    headers: Mapping[str, str] = attrs.field(factory=dict)
    _idle: list[_Connection] = attrs.field(factory=list, init=False)

    async def request(
        self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None, timeout_s: float
    ) -> Response:
        """The answer. Raises ``NotSent`` and ``NoAnswer``; past ``timeout_s`` the connection is cut."""
        lines = [f"{method} {path} HTTP/1.1", f"host: {self.host}:{self.port}"]
        lines += [f"{name}: {value}" for name, value in {**self.headers, **(headers or {})}.items()]
        if body:
            lines += ["content-type: application/json", f"content-length: {len(body)}"]
        connection = await self._connection()
        keep = False
        try:
            async with asyncio.timeout(timeout_s):
                response = await connection.ask("\r\n".join([*lines, "\r\n"]).encode("latin-1") + body)
            keep = response.headers.get("connection") != "close" and len(self._idle) < IDLE_MAX
            return response
        except TimeoutError:
            raise NoAnswer(f"not within {timeout_s:g} s") from None
        finally:
            if keep and connection.is_open:
                self._idle.append(connection)
            elif connection.transport is not None:
                connection.transport.abort()

    def close(self) -> None:
        """Cut the connections that are kept."""
        for connection in self._idle:
            if connection.transport is not None:
                connection.transport.abort()
        self._idle.clear()

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                _, connection = await asyncio.get_running_loop().create_connection(_Connection, self.host, self.port)
        except (OSError, TimeoutError) as error:
            raise NotSent(str(error)) from error
        return connection
