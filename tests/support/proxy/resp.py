"""Values of Redis's protocol, RESP 2 and 3: where they begin and end.

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from collections.abc import Iterator
from typing import Final

from tests.support.proxy.relay import ProtocolError

LINE_BYTES_MAX: Final = 1 << 16
ITEMS_MAX: Final = 1 << 24

LINES: Final = b"+-:_,#("
BULKS: Final = b"$!="
AGGREGATES: Final = b"*~>"
PAIRS: Final = b"%|"
PUSH: Final = b">"
ATTRIBUTE: Final = b"|"


class Values:
    """Splits one direction of a connection into whole values."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The values that are whole with this, as they were sent. Raises ``ProtocolError`` for what can be none."""
        self._rest += data
        while (end := _end_of(self._rest)) is not None:
            value = bytes(self._rest[:end])
            del self._rest[:end]
            yield value


def _end_of(data: bytearray) -> int | None:
    """Where the first value ends; None while it is not whole."""
    place, missing = 0, 1
    while missing:
        line_end = data.find(b"\r\n", place, place + LINE_BYTES_MAX)
        if line_end < 0:
            if len(data) - place >= LINE_BYTES_MAX:
                raise ProtocolError("a line without an end")
            return None
        kind, rest = bytes(data[place : place + 1]), bytes(data[place + 1 : line_end])
        place = line_end + 2
        missing -= 1
        if kind in LINES and kind:
            continue
        size = _size(kind, rest)
        if kind in BULKS:
            # Minus one is for none, which has no bytes, not even those that end it.
            place += size + 2 if size >= 0 else 0
            if place > len(data):
                return None
        elif kind in PAIRS:
            # An attribute goes before the value that it belongs to.
            missing += 2 * size + (kind == ATTRIBUTE)
        else:
            missing += max(size, 0)
    return place


def _size(kind: bytes, text: bytes) -> int:
    if not kind or kind not in BULKS + AGGREGATES + PAIRS or not text.removeprefix(b"-").isdigit():
        raise ProtocolError(f"not the start of a value: {kind + text[:40]!r}")
    size = int(text)
    if size > ITEMS_MAX or size < -1:
        raise ProtocolError(f"a value of {size}")
    return size


def bulks_of(request: bytes) -> list[bytes]:
    """The words of a request, which is an array of bulk strings."""
    words: list[bytes] = []
    place = request.find(b"\r\n") + 2
    while place < len(request):
        line_end = request.find(b"\r\n", place)
        size = int(request[place + 1 : line_end])
        words.append(request[line_end + 2 : line_end + 2 + size])
        place = line_end + 2 + size + 2
    return words
