"""The journal of a client: a line before each call is sent, and a line after it was answered or given up.

Each line goes straight to the operating system, which keeps it when the process is killed. Times are nanoseconds of the
machine's monotonic clock, which all its processes share.
"""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Raw

Op = Literal["write", "batch", "fence", "wallet", "entries", "key", "hold"]
"""``write`` is one intent, ``batch`` several; ``fence`` and the reads after it name their subject."""

NOT_SENT: Final = "not-sent"
"""No connection was made, so nothing of the call left the client."""
NO_ANSWER: Final = "no-answer"
"""The connection ended, or the client's patience did, before the whole answer had come."""


class Sent(msgspec.Struct, tag_field="event", tag="sent", omit_defaults=True):
    """A call that is about to be sent. ``intents`` are in the form of a batch's commands, each with its key."""

    call: int
    at_ns: int
    op: Op
    instance: int
    intents: Sequence[Raw] = ()
    subject: str = ""
    fault: str = ""
    """What it asks the failure lab for."""


class Told(msgspec.Struct, tag_field="event", tag="told", omit_defaults=True):
    """What came of it. ``body`` is the answer, byte for byte; ``failure`` is given where there is none."""

    call: int
    at_ns: int
    status: int = 0
    replayed: bool = False
    fired: str = ""
    failure: str = ""
    body: Raw = Raw(b"null")


_encode = msgspec.json.Encoder().encode
_decoder: Final[msgspec.json.Decoder[Sent | Told]] = msgspec.json.Decoder(Sent | Told)


class Journal:
    """Appends to one file, of which nobody else writes."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)
        self._calls = 0

    def sent(self, op: Op, instance: int, intents: Sequence[bytes] = (), subject: str = "", fault: str = "") -> int:
        """Note that a call is sent now; returns its number."""
        self._calls += 1
        raws = [Raw(intent) for intent in intents]
        self._write(Sent(self._calls, time.monotonic_ns(), op, instance, raws, subject, fault))
        return self._calls

    def told(self, told: Told) -> None:
        """Note what came of a call."""
        self._write(told)

    def close(self) -> None:
        os.close(self._file)

    def _write(self, line: Sent | Told) -> None:
        os.write(self._file, _encode(line) + b"\n")


def read_line(line: bytes | memoryview) -> Sent | Told:
    """A line of a journal."""
    return _decoder.decode(line)


def read_lines(path: Path) -> Iterator[tuple[int, Sent | Told]]:
    """Each whole line of a journal with its offset. The last one may have been cut off by the end of its writer."""
    offset = 0
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield offset, _decoder.decode(line)
            offset += len(line)
