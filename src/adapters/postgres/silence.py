"""Connections that are of no use any more: how long an answer is waited for, and what is done when none comes.

The server's own limits bound what it does, and it tells when they are reached. They bound neither a COMMIT, which may
wait for a synchronous standby for ever, nor a server that is not heard any more: its machine is gone, or a network
between drops everything. So past a limit greater than the server's own the socket is closed. That is the one safe way
to stop waiting: a statement that is cancelled instead may be a COMMIT, whose transaction may then be lost or kept.
"""

import asyncio
import math
import socket
from typing import Any, Final, cast

import asyncpg
import attrs

PROMPT_S_MAX: Final = 2.0
"""How long BEGIN and ROLLBACK may go unanswered, which wait for nothing, in seconds. A batch that meets a silent
connection is tried on another one while its request, by default, still waits."""

LOAD_S_MAX: Final = 3.0
"""How long a load may go unanswered, in seconds. It waits for no lock short of one on a whole table, and is the first
that most batches ask: there is still time for another connection."""

ANSWER_MARGIN_S: Final = 2.0
"""How much longer than the server may take for a statement its answer is waited for, in seconds."""

SECOND_LOOK_S: Final = 0.1
"""A process that was held up finds its limits passed before it has read what has come meanwhile. So it looks again."""

KEEPALIVE_IDLE_S: Final = 10
KEEPALIVE_INTERVAL_S: Final = 5
KEEPALIVE_PROBES: Final = 3


@attrs.define(eq=False)
class Patience:
    """How long connections are waited for, and since when they are trusted. Engines whose connections lead the same way
    may share one: then what the first of them finds out goes for all.

    ``answer_s`` is for a statement and for COMMIT, in seconds; infinite where the server has no limit either.
    """

    answer_s: float
    _trusted_since: float = -math.inf

    @classmethod
    def beyond(cls, statement_timeout_ms: int) -> "Patience":
        """So much that the server's own limit on statements speaks first. 0 is for no limit."""
        return cls(statement_timeout_ms / 1000 + ANSWER_MARGIN_S if statement_timeout_ms else math.inf)

    def distrust(self) -> None:
        """Have every connection that was made before now replaced before it is used again."""
        self._trusted_since = asyncio.get_running_loop().time()

    def trusts(self, made_at: float) -> bool:
        """Whether a connection may be used that was made at this time of the event loop."""
        return made_at > self._trusted_since


class Watch:
    """Waits with one session for its answers, and closes the connection when one does not come.

    One timer serves all statements of a session, since setting one costs more than looking at a clock.
    """

    def __init__(self, driver: asyncpg.Connection, patience: Patience) -> None:
        self._driver = driver
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._due: float | None = None
        self._is_late = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is still due: whoever waited for it was cancelled."""
        return self._due is not None

    def expect(self, limit_s: float) -> None:
        """An answer is due within this time."""
        self._due = due = self._loop.time() + limit_s
        self._is_late = False
        if due < self._timer_at:
            self._look_at(due)

    def heard(self) -> None:
        """The answer has come."""
        self._due = None

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look_at(self, time: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(time, self._look), time

    def _look(self) -> None:
        self._timer, self._timer_at = None, math.inf
        if self._due is None:
            return
        now = self._loop.time()
        if now < self._due:
            if self._due < math.inf:
                self._look_at(self._due)
        elif not self._is_late:
            self._is_late = True
            self._look_at(now + SECOND_LOOK_S)
        else:
            # Those that were made before are on the same way to the same server, and not to be waited for one by one.
            self._patience.distrust()
            self._driver.terminate()


def notice_dead_peers(driver: asyncpg.Connection, unanswered_s: float) -> None:
    """Have the operating system end a TCP connection whose other end does not even acknowledge what it is sent.

    That covers connections at rest, which nobody waits for.
    """
    connected: socket.socket | None = cast(Any, driver)._transport.get_extra_info("socket")
    if connected is None or connected.family == socket.AF_UNIX:
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Not every system has all of them.
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_S),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", round(unanswered_s * 1000) if unanswered_s < math.inf else 0),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            connected.setsockopt(socket.IPPROTO_TCP, option, value)
