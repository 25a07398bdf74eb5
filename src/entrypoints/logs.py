"""Logs: lines for people or for machines, on standard error, written by a thread that nothing waits for.

No secret is in a line, whoever logged it. What may be quoted by an error is taken out when the line is made: the
secrets of the settings, credentials in URLs and headers, and the details with which PostgreSQL quotes a row.
"""

import hashlib
import json
import logging
import queue as queues
import re
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from typing import Any, Final
from urllib.parse import unquote

from entrypoints.settings import Settings
from entrypoints.urls import split_url

LINES_MAX: Final = 10_000
"""How many lines may wait to be written. Further ones are dropped, and counted."""

END_S_MAX: Final = 2.0
"""How long the end waits for lines to be written, twice."""

FINGERPRINT_DIGITS: Final = 12
FIELDS: Final = "wallet_fields"
"""What a line says besides its message: a mapping, by this name in ``extra``."""
HIDE: Final = "wallet_hide"
"""What must not be in a line, although an error may quote it: likewise."""

HIDDEN: Final = "[hidden]"
SECRET_LENGTH_MIN: Final = 6
"""A shorter one is no secret, and taking it out would make holes everywhere."""

_PATTERNS: Final = (
    (re.compile(r"(?i)\b(bearer|basic) +[^\s'\",]+"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?<=://)[^/\s@:]*:[^/\s@]*(?=@)"), HIDDEN),
    (re.compile(r"(?m)^(\s*DETAIL: ).*$"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?ms)^\[(SQL|parameters): .*?\]$"), rf"[\1: {HIDDEN}]"),
)
_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}


def fingerprint(secret: str | bytes) -> str:
    """What tells one key from another, and is neither."""
    data = secret.encode() if isinstance(secret, str) else secret
    return hashlib.sha256(data).hexdigest()[:FINGERPRINT_DIGITS]


def secrets_of(settings: Settings) -> list[str]:
    """What the settings hold that must not be in a log."""
    found = [settings.bootstrap_api_key or ""]
    for url in (settings.database_url, settings.redis_url):
        password = split_url(url).password if url else None
        if password:
            found += [password, unquote(password)]
    return sorted({secret for secret in found if len(secret) >= SECRET_LENGTH_MIN}, key=len, reverse=True)


class Formatter(logging.Formatter):
    """Makes the text of a line: of one line, unless it tells of an exception to people."""

    def __init__(self, secrets: Collection[str], *, as_json: bool) -> None:
        super().__init__()
        self._secrets = tuple(secrets)
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        hide = (*getattr(record, HIDE, ()), *self._secrets)
        message = without(record.getMessage(), hide).translate(_CONTROL)
        error = without(self.formatException(record.exc_info), hide) if record.exc_info else ""
        fields: Mapping[str, Any] = getattr(record, FIELDS, {})
        at = datetime.fromtimestamp(record.created, UTC)
        if self._as_json:
            line = {
                "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "level": record.levelname.lower(),
                "logger": record.name,
                "process": record.process,
                "message": message,
                **{name: without(v, hide) if isinstance(v, str) else v for name, v in fields.items()},
            }
            return json.dumps(line | ({"exception": error} if error else {}), ensure_ascii=False)
        told = "".join(f" {name}={without(str(v), hide).translate(_CONTROL)}" for name, v in fields.items())
        line_of_people = f"{at:%Y-%m-%d %H:%M:%S},{at.microsecond // 1000:03} {record.levelname} {record.name}: "
        return f"{line_of_people}{message}{told}" + (f"\n{error}" if error else "")


def without(text: str, hide: Collection[str] = ()) -> str:
    """The text without what must not be in a log."""
    for secret in hide:
        if len(secret) >= SECRET_LENGTH_MIN:
            text = text.replace(secret, HIDDEN)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


class _Queue(QueueHandler):
    """Puts lines where the thread takes them, and never waits."""

    queue: "queues.Queue[logging.LogRecord]"

    def __init__(self, lines: "queues.Queue[logging.LogRecord]") -> None:
        super().__init__(lines)
        self.dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """What the line says is settled now; making a text of it is the thread's work."""
        record.msg, record.args = record.getMessage(), None
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queues.Full:
            self.dropped += 1


class _Listener(QueueListener):
    """Writes the lines. Its end is bounded: what reads them may have stopped reading."""

    queue: "queues.Queue[logging.LogRecord | None]"

    def enqueue_sentinel(self) -> None:
        with suppress(queues.Full):
            self.queue.put(None, timeout=END_S_MAX)

    def stop(self) -> None:
        """Write what waits, if that is done soon."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self.enqueue_sentinel()
            thread.join(END_S_MAX)


class Logs:
    """The logs of this process, from when it is made."""

    def __init__(self, settings: Settings) -> None:
        self._direct = logging.StreamHandler(sys.stderr)
        self._direct.setFormatter(Formatter(secrets_of(settings), as_json=settings.log_format == "json"))
        self._queued = _Queue(queues.Queue(LINES_MAX))
        self._listener = _Listener(self._queued.queue, self._direct)
        self._listener.start()
        root = logging.getLogger()
        for handler in root.handlers[:]:
            root.removeHandler(handler)
        root.addHandler(self._queued)
        # Not the root: at the level of information, libraries tell statements with their values.
        logging.getLogger("wallet").setLevel(settings.log_level.upper())
        logging.getLogger("uvicorn").setLevel(settings.log_level.upper())

    @property
    def dropped(self) -> int:
        """How many lines there were too many."""
        return self._queued.dropped

    def end(self) -> None:
        """Write what is waiting, and from now on each line at once: the process ends."""
        root = logging.getLogger()
        if self._queued in root.handlers:
            root.removeHandler(self._queued)
            root.addHandler(self._direct)
            self._listener.stop()


_of_this_process: list[Logs] = []


def start(settings: Settings) -> None:
    """Have this process log as the settings say, from now on."""
    if not _of_this_process:
        _of_this_process.append(Logs(settings))


def dropped() -> int:
    """How many lines of this process there were too many."""
    return sum(logs.dropped for logs in _of_this_process)


def end() -> None:
    """Write what is waiting, and from now on each line at once: the process ends."""
    while _of_this_process:
        _of_this_process.pop().end()
