"""Who watches requests: the metrics, and a log of those that failed, were slow, or were drawn by lot."""

import logging
import random
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, Final

import attrs
from litestar.types import HTTPScope

from entrypoints.http.answers import path_of
from entrypoints.http.requests import header_values
from entrypoints.logs import FIELDS, fingerprint

LINES_PER_S_MAX: Final = 100
"""How many requests are logged in a second. An outage fails thousands, and all alike."""

LONG_BY_NATURE: Final = frozenset({"GET /v1/events"})
"""Requests that wait for something to happen."""

Watch = Callable[[HTTPScope, int, float], None]
"""Told of each request that ended: its scope, the status (0 if the connection was gone first), and seconds."""

Count = Callable[[Mapping[str, Any], int, float], None]

logger = logging.getLogger("wallet.requests")
# Whatever the level of the others is: what is asked for is logged.
logger.setLevel(logging.INFO)


@attrs.define
class RequestLog:
    """Logs requests: those that failed or took ``slow_s`` always, of the others a ``share``."""

    slow_s: float
    share: float = 0.0
    lines_per_s_max: int = LINES_PER_S_MAX
    clock: Callable[[], float] = monotonic
    _second: int = attrs.field(default=-1, init=False)
    _lines: int = attrs.field(default=0, init=False)
    left_out: int = attrs.field(default=0, init=False)
    """How many lines there were too many."""

    def answered(self, scope: HTTPScope, status: int, seconds: float) -> None:
        """Log the request, if it is one of those."""
        is_slow = seconds >= self.slow_s and scope["state"].get("route") not in LONG_BY_NATURE
        if status >= 500 or is_slow:
            self._log(logging.WARNING, scope, status, seconds)
        elif self.share and random.random() < self.share:  # noqa: S311 - a sample, not a secret
            self._log(logging.INFO, scope, status, seconds)

    def _log(self, level: int, scope: HTTPScope, status: int, seconds: float) -> None:
        second = int(self.clock())
        if second != self._second:
            self._second, self._lines = second, 0
        # Whoever wants to see each request gets to see each.
        if self._lines >= self.lines_per_s_max and level != logging.INFO:
            self.left_out += 1
            return
        self._lines += 1
        logger.log(level, "%s %s", scope["method"], path_of(scope), extra={FIELDS: fields_of(scope, status, seconds)})


def fields_of(scope: HTTPScope, status: int, seconds: float) -> dict[str, object]:
    """What there is to say of a request."""
    state = scope["state"]
    principal = state.get("principal")
    keys = secrets_of(scope, b"idempotency-key")
    told = {
        "request_id": state.get("request_id"),
        "route": state.get("route"),
        "status": status or None,
        "outcome": state.get("outcome", "done" if status else "none"),
        "problem": state.get("problem"),
        "duration_ms": round(seconds * 1000, 2),
        "tenant": str(principal.tenant) if principal else None,
        "api_key_id": str(principal.key_id) if principal else None,
        "key_sha256": fingerprint(keys[0]) if keys else None,
    }
    return {name: value for name, value in told.items() if value is not None}


def secrets_of(scope: HTTPScope, *names: bytes) -> list[str]:
    """What these headers hold, without what is around it."""
    values = [value for name in names for value in header_values(scope, name)]
    return [value.decode("latin-1").strip('"').rpartition(" ")[2] for value in values]


def watching(log: RequestLog, count: Count | None) -> Watch:
    """Both, in one call."""
    if count is None:
        return log.answered

    def answered(scope: HTTPScope, status: int, seconds: float) -> None:
        count(scope["state"], status, seconds)
        log.answered(scope, status, seconds)

    return answered
