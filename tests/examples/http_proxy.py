"""A proxy between the shop and the wallet service, which stalls or cuts where a request or its answer passes."""

from collections.abc import Iterator
from enum import StrEnum
from urllib.parse import urlsplit

from tests.support.proxy.relay import Passage, Relay
from tests.support.proxy.rules import Moment


class Point(StrEnum):
    """When a rule may fire. Its text is the path that was asked for."""

    REQUEST = "request"
    """A request has come from the shop; the service has not heard it."""
    ANSWER = "answer"
    """The service has answered; the shop has not heard it."""


class HttpDialogue:
    """Follows one connection, on which one request is under way at a time. See ``relay.Dialogue``."""

    def __init__(self) -> None:
        self._path = ""

    def opened(self) -> Moment | None:
        return None

    def from_client(self, data: bytes) -> Iterator[Passage]:
        first_line = data.partition(b"\r\n")[0].split(b" ")
        if first_line[-1] == b"HTTP/1.1":
            self._path = first_line[1].decode()
            yield Passage(data, before=Moment(Point.REQUEST, text=self._path))
        else:
            # A body, apart from its head.
            yield Passage(data)

    def from_server(self, data: bytes) -> Iterator[Passage]:
        head = data.startswith(b"HTTP/1.1")
        yield Passage(data, before=Moment(Point.ANSWER, text=self._path) if head else None)


class HttpProxy(Relay):
    """A proxy in front of the service at this URL."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        super().__init__((parts.hostname or "127.0.0.1", parts.port or 80))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def dialogue(self) -> HttpDialogue:
        return HttpDialogue()
