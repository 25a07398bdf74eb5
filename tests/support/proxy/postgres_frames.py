"""Frames of PostgreSQL's protocol, version 3: where they begin and end, and the little of them that proxies look at.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from collections.abc import Iterator
from typing import Final

import attrs

from tests.support.proxy.relay import ProtocolError

LENGTH_BYTES: Final = 4
START_UP_BYTES_MAX: Final = 10_000
FRAME_BYTES_MAX: Final = 1 << 30

SSL_REQUEST: Final = 80877103
GSS_REQUEST: Final = 80877104
CANCEL_REQUEST: Final = 80877102
VERSION_3: Final = 3


@attrs.frozen
class Frame:
    """A whole frame. ``kind`` is its type byte, or empty for what a client says before it is let in."""

    kind: bytes
    raw: bytes

    @property
    def body(self) -> bytes:
        """What follows its length."""
        return self.raw[len(self.kind) + LENGTH_BYTES :]

    def texts(self) -> list[str]:
        """The body, as texts that end with a zero each."""
        return [part.decode(errors="replace") for part in self.body.split(b"\0")]

    @property
    def sqlstate(self) -> str:
        """The code of an error; empty if it has none."""
        fields = self.body.split(b"\0")
        return next((field[1:].decode() for field in fields if field.startswith(b"C")), "")

    @property
    def code(self) -> int:
        """What a client asks for first: a version of the protocol, or one of the requests."""
        return int.from_bytes(self.body[:4], "big")

    @property
    def start_up_settings(self) -> dict[str, str]:
        """The settings that a client starts with."""
        texts = [part.decode(errors="replace") for part in self.body[4:].split(b"\0")]
        return dict(zip(texts[0::2], texts[1::2], strict=False))


class Frames:
    """Splits one direction of a connection into frames. ``starting`` says that what comes next has no type byte."""

    def __init__(self, *, starting: bool) -> None:
        self.starting = starting
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole with this. Raises ``ProtocolError`` for what can be none."""
        self._rest += data
        while True:
            head = 0 if self.starting else 1
            if len(self._rest) < head + LENGTH_BYTES:
                return
            length = int.from_bytes(self._rest[head : head + LENGTH_BYTES], "big")
            if not LENGTH_BYTES <= length <= (START_UP_BYTES_MAX if self.starting else FRAME_BYTES_MAX):
                raise ProtocolError(f"a frame of {length} bytes")
            if len(self._rest) < head + length:
                return
            raw = bytes(self._rest[: head + length])
            del self._rest[: head + length]
            frame = Frame(raw[:head], raw)
            if self.starting and frame.code >> 16 == VERSION_3:
                self.starting = False
            yield frame
