"""A client that sees what happens to a connection: a whole answer, a clean close, or half an answer."""

import asyncio
import json
import re
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from tests.http.process import Running

ANSWER_S_MAX: Final = 30.0

_LENGTH: Final = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.I)


class Closed(Exception):
    """The connection was refused or closed, and nothing of an answer had come."""


class Torn(Exception):
    """The connection was closed within an answer."""


@attrs.frozen
class Reply:
    """A whole answer. ``last``: it says that the connection is closed after it."""

    status: int
    head: bytes
    body: bytes

    @property
    def last(self) -> bool:
        return b"\r\nconnection: close\r\n" in self.head

    @property
    def problem(self) -> str:
        """The slug of the problem that it is; empty if it is none."""
        if b"content-type: application/problem+json\r\n" not in self.head:
            return ""
        slug: str = self.json()["type"].removeprefix("/problems/")
        return slug

    def json(self) -> Any:
        return json.loads(self.body)

    def check(self) -> None:
        """Whatever is refused for the moment says when to come again, and nothing else is refused without a reason."""
        if self.status in (409, 503) and self.problem != "version-conflict":
            assert b"\r\nretry-after: 1\r\n" in self.head, self.head
        if self.status >= 400:
            assert self.problem, self.body


@attrs.define
class Wire:
    """A kept connection to a service, made when it is needed, and again after it was closed."""

    address: tuple[str, int]
    api_key: str
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @classmethod
    def to(cls, service: Running) -> "Wire":
        parts = urlsplit(service.url)
        return cls((parts.hostname or "", parts.port or 0), service.api_key)

    def request(self, method: str, path: str, key: str = "", body: Any = None) -> bytes:
        """The bytes of a request."""
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: wallet", f"Authorization: Bearer {self.api_key}"]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        if key:
            lines.append(f"Idempotency-Key: {key}")
        return "\r\n".join([*lines, "\r\n"]).encode() + content

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            try:
                self._streams = await asyncio.open_connection(*self.address)
            except OSError as error:
                raise Closed from error
        return self._streams

    async def send(self, request: bytes) -> Reply:
        """Send bytes, and wait for one answer. Raises ``Closed``, ``Torn``, and ``TimeoutError`` where none comes."""
        reader, writer = await self.open()
        writer.write(request)
        head = b""
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1]) if length else 0)
        except asyncio.IncompleteReadError as error:
            self.close()
            raise (Torn if head or error.partial else Closed) from error
        except OSError as error:
            self.close()
            raise (Torn if head else Closed) from error
        reply = Reply(int(head.split(b" ", 2)[1]), head, body)
        if reply.last:
            self.close()
        return reply

    async def get(self, path: str) -> Reply:
        return await self.send(self.request("GET", path))

    async def post(self, path: str, key: str, body: Any) -> Reply:
        return await self.send(self.request("POST", path, key, body))

    async def open_wallet(self, key: str = "open") -> str:
        opened = await self.post("/v1/wallets", key, {"currency": "EUR"})
        assert opened.status == 201, opened.body
        id: str = opened.json()["id"]
        return id

    async def credit(self, wallet: str, key: str, amount: int = 1) -> Reply:
        return await self.post(f"/v1/wallets/{wallet}/credits", key, {"amount": amount})

    def close(self) -> None:
        """Close the connection; at once, without waiting for what the other side still has to say."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None
