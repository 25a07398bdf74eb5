"""Places of lines in the journals: a number for each, by which the line is found again when it is needed.

The lowest bits are the place in a batch, those above them the offset in the file, the highest the number of the file.
"""

import mmap
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from msgspec import Raw

from tests.torture.checker.answers import read_decided, read_results, told_in
from tests.torture.journal import Sent, Told, read_line

INDEX_BITS: Final = 10
OFFSET_BITS: Final = 40


def place_of(file: int, offset: int) -> int:
    """The place of a line, or of the first intent or result in it; further ones are added to it."""
    return (file << OFFSET_BITS | offset) << INDEX_BITS


class Places:
    """The lines at places, read when they are needed. A context manager."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = list(paths)
        self._stack = ExitStack()
        self._maps: list[mmap.mmap | None] = []

    def __enter__(self) -> Self:
        for path in self._paths:
            file = self._stack.enter_context(path.open("rb"))
            empty = path.stat().st_size == 0
            mapped = None if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._maps.append(mapped)
            if mapped is not None:
                self._stack.callback(mapped.close)
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def intent(self, place: int) -> Raw:
        """The intent that was sent there."""
        line = self._line(place >> INDEX_BITS)
        if not isinstance(line, Sent):
            raise TypeError("not a call")
        return line.intents[place & ((1 << INDEX_BITS) - 1)]

    def receipt(self, place: int) -> bytes:
        """The receipt or problem that was told there."""
        line = self._line(place >> INDEX_BITS)
        if not isinstance(line, Told):
            raise TypeError("not an answer")
        body = bytes(line.body)
        if body.startswith(b'{"results":'):
            result = read_results(body).results[place & ((1 << INDEX_BITS) - 1)]
            return told_in(result)
        if body.startswith(b'{"key":'):
            decided = read_decided(body)
            return told_in(decided)
        return body

    def _line(self, place: int) -> Sent | Told:
        mapped = self._maps[place >> OFFSET_BITS]
        if mapped is None:
            raise LookupError("the journal is empty")
        offset = place & ((1 << OFFSET_BITS) - 1)
        return read_line(mapped[offset : mapped.find(b"\n", offset)])
