"""A proxy that speaks Redis's protocol: it cuts, stalls, shortens and falsifies what passes.

    async with RedisProxy.before("redis://127.0.0.1:6379/0") as proxy:
        store = RedisStore(proxy.url)
        rule = proxy.arm(Point.REPLY, Replace(wrong_type), text="MGET")
        …
        await rule.fired()

The text of a point is the request that it is about: its command, and its keys and values as far as they are text.
``requests`` and ``replies`` count what has passed.
"""

from collections import deque
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Final, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.support.proxy.relay import Address, Passage, Relay, Shape
from tests.support.proxy.resp import PUSH, Values, bulks_of
from tests.support.proxy.rules import Moment

PORT_DEFAULT: Final = 6379
TEXT_LENGTH_MAX: Final = 1000


class Point(StrEnum):
    """When a rule may fire."""

    CONNECT = "connect"
    """A client has connected; the server has not heard of it."""
    REQUEST = "request"
    """A request has come from the client; the server has not heard it."""
    REQUEST_SENT = "request-sent"
    """A request is with the server, and nothing of its reply with the client."""
    REPLY = "reply"
    """A reply has come from the server; the client has not heard it."""


class RedisDialogue:
    """Follows one connection. See ``relay.Dialogue``."""

    def __init__(self, proxy: "RedisProxy") -> None:
        self._proxy = proxy
        self._client = Values()
        self._server = Values()
        self._unanswered: deque[str] = deque()

    def opened(self) -> Moment | None:
        return Moment(Point.CONNECT)

    def from_client(self, data: bytes) -> Iterator[Passage]:
        for request in self._client.feed(data):
            self._proxy.requests += 1
            text = b" ".join(bulks_of(request)).decode(errors="replace")[:TEXT_LENGTH_MAX]
            self._unanswered.append(text)
            before, after = Moment(Point.REQUEST, text=text), Moment(Point.REQUEST_SENT, text=text)
            yield Passage(request, before=before, after=after)

    def from_server(self, data: bytes) -> Iterator[Passage]:
        for reply in self._server.feed(data):
            if reply.startswith(PUSH) or not self._unanswered:
                # Nobody has asked for it.
                yield Passage(reply)
                continue
            self._proxy.replies += 1
            yield Passage(reply, before=Moment(Point.REPLY, text=self._unanswered.popleft()))


class RedisProxy(Relay):
    """A proxy in front of one Redis server."""

    def __init__(
        self, upstream: Address, url: str, *, random: Random | None = None, shape: Shape | None = None
    ) -> None:
        super().__init__(upstream, random=random, shape=shape)
        self.requests = 0
        self.replies = 0
        self._target = url

    @classmethod
    def before(cls, url: str, *, random: Random | None = None, shape: Shape | None = None) -> Self:
        """A proxy in front of the server of this URL, ``redis://`` or ``unix://``."""
        parts = urlsplit(url)
        if parts.scheme == "unix":
            return cls(Path(parts.path), url, random=random, shape=shape)
        return cls((parts.hostname or "127.0.0.1", parts.port or PORT_DEFAULT), url, random=random, shape=shape)

    @property
    def url(self) -> str:
        """The URL with which it was made, by way of the proxy."""
        parts = urlsplit(self._target)
        user = parts.netloc.rpartition("@")[0]
        query = dict(parse_qsl(parts.query))
        database = query.pop("db", None) or (parts.path.strip("/") if parts.scheme != "unix" else "") or "0"
        address = f"redis://{user}{'@' if user else ''}127.0.0.1:{self.port}/{database}"
        return address + (f"?{urlencode(query)}" if query else "")

    def dialogue(self) -> RedisDialogue:
        return RedisDialogue(self)


def wrong_type(_: bytes) -> bytes:
    """A reply of another type than was asked for."""
    return b":42\r\n"


def an_error(_: bytes) -> bytes:
    """An error in place of a reply."""
    return b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"


def garbage(_: bytes) -> bytes:
    """What is no reply at all."""
    return b"HTTP/1.1 400 Bad Request\r\n\r\n"


class ReplyOfAnother:
    """Answers each request with the reply to the one before it, as a connection does whose replies have shifted."""

    def __init__(self) -> None:
        self._kept = b"+OK\r\n"

    def __call__(self, reply: bytes) -> bytes:
        self._kept, answered = reply, self._kept
        return answered
