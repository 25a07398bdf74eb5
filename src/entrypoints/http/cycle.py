"""A request and its answer, as uvicorn has them, but with the answer in one piece.

uvicorn writes the head of an answer and its body one after the other, which the client's machine and ours each notice:
a system call, a packet and a wake-up more, of 8 µs.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from uvicorn._types import ASGISendEvent, HTTPResponseStartEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from entrypoints.http.security_headers import Header

LEFT_TO_UVICORN: Final = (b"connection", b"transfer-encoding")


@lru_cache(maxsize=256)
def _first_lines(status: int, headers: tuple[Header, ...]) -> bytes | None:
    if any(name in LEFT_TO_UVICORN for name, _ in headers):
        return None
    return b"".join((STATUS_LINE[status], *(b"%b: %b\r\n" % header for header in headers)))


class OneWrite(RequestResponseCycle):
    """Holds the head back until the body comes, and writes both at once if that is all there is to it."""

    _start: HTTPResponseStartEvent | None = None

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start" and self._start is None and not self.response_started:
            self._start = message
            return
        start, self._start = self._start, None
        if start is not None:
            if (
                message["type"] == "http.response.body"
                and not message.get("more_body")
                and self.answer(start["status"], (), start.get("headers", ()), message.get("body", b""))
            ):
                return
            await super().send(start)
        await super().send(message)

    def answer(self, status: int, common: Sequence[Header], own: Iterable[Header], body: bytes) -> bool:
        """Send all of the answer, at once. False, and nothing is sent, for whatever is not as simple as most answers
        are, and left to uvicorn. ``common`` are headers that many answers have: their lines are made once."""
        whole = self._whole(status, common, own, body)
        if whole is None:
            return False
        self._write(whole)
        return True

    def _whole(self, status: int, common: Sequence[Header], own: Iterable[Header], data: bytes) -> bytes | None:
        if self.disconnected or self.flow.write_paused or not self.keep_alive or self.scope["method"] == "HEAD":
            return None
        if self.response_complete:
            # A second answer would be taken for that to the next request. uvicorn closes the connection instead.
            return None
        first_lines = _first_lines(status, (*self.default_headers, *common))
        if first_lines is None:
            return None
        parts = [first_lines]
        declared = b""
        for name, value in own:
            if name == b"content-length":
                declared = value
            elif name in LEFT_TO_UVICORN:
                return None
            parts += (name, b": ", value, b"\r\n")
        if declared != b"%d" % len(data):
            return None
        return b"".join((*parts, b"\r\n", data))

    def _write(self, whole: bytes) -> None:
        self.response_started = True
        self.waiting_for_100_continue = False
        self.transport.write(whole)
        self.response_complete = True
        self.message_event.set()
        self.on_response()
