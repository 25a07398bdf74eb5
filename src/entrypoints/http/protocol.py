"""The protocol of a connection: uvicorn's, with limits on what a client may make the server keep or wait for.

Requests wait in memory only once their head is complete, so this is where clients are stopped that never get that far,
and those that do not read what they asked for. A head that breaks a limit is answered with the problem
``malformed-request`` (400); a client that is too slow has its connection closed without an answer.

Each request's scope carries ``scope["extensions"]["wallet.abort"]["abort"]``, a function without parameters that
closes the connection at once and sends nothing more, as if the network had failed. Nothing is to be sent afterwards.
What a request does for long it ends early when the server stops, if it asks to be told (``on_stop``).
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, Final, cast

from litestar.enums import ScopeType
from litestar.types import HTTPScope, Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from entrypoints.http import problem_types as types
from entrypoints.http import shapes
from entrypoints.http.answers import PROBLEM_JSON, WRITE_METHODS, Answer, problem_answer
from entrypoints.http.cycle import OneWrite
from entrypoints.http.edge import Begin, Edge
from entrypoints.http.problems import Problem, malformed
from entrypoints.http.security_headers import PLAIN

ABORT: Final = "wallet.abort"

STOPPING: Final = "wallet.stopping"

ON_STOP: Final = "wallet.on_stop"

CLOSE: Final = (b"connection", b"close")


class BoundedProtocol(HttpToolsProtocol):
    """One connection. The limits are attributes of the class, so that a test can have smaller ones."""

    connections_max: ClassVar[int] = 10_000
    """How many connections a process keeps open; requests on those over that are turned away at once."""

    head_bytes_max: ClassVar[int] = 32 * 1024
    """The longest head of a request, its first line included; and the longest trailer of a body."""

    headers_max: ClassVar[int] = 100

    head_s_max: ClassVar[float] = 10.0
    """How long the first request of a connection, or the head of a later one that has begun, may take to arrive; and
    how long the rest of a body is waited for that was answered without it. In seconds."""

    pipelined_max: ClassVar[int] = 16
    """How many requests may wait on one connection for the answer to those before them."""

    linger_s_max: ClassVar[float] = 2.0
    """How long a client may go on sending after it was refused, in seconds: closing at once could lose it the answer.
    """

    answer_s_max: ClassVar[float] = 30.0
    """How long a client may leave an answer unread that does not fit into the buffers, in seconds."""

    unread_bytes_high: ClassVar[int] = 16 * 1024
    """How much of the answers a client may leave unread before its next request waits."""

    unread_bytes_max: ClassVar[int] = 64 * 1024 * 1024
    """How much the clients may leave unread together; the connection that exceeds it is closed."""

    unread_bytes: ClassVar[int] = 0
    """How much they do, of what is above the mark."""

    waiting_bytes_max: ClassVar[int] = 4 * 1024
    """How much may wait until all that has come to this process has been read. More is taken at once."""

    _head_timer: asyncio.TimerHandle | None = None
    _answer_timer: asyncio.TimerHandle | None = None
    _unread_here = 0
    _waiting = b""
    """What has been read and not taken yet."""
    _taken = 0
    """Bytes that came since they last amounted to something: a complete head, or a piece of a body."""
    _much_taken = False
    """Whether that, at its most, is more than a head may have."""
    _fault = ""
    _turned_away = False
    _served: RequestResponseCycle | None = None
    """The request that is being served. Others may have come after it."""
    _held: OneWrite | None = None
    """The request that is to be served once all has been read of what came with its head."""
    _idle_since: float | None = None
    """Since when nothing is asked on this connection, by the clock of the event loop."""
    _idle_timer: asyncio.TimerHandle | None = None
    _parsing = False
    _begin: Begin | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=self.unread_bytes_high)
        self._begin = getattr(self.app, "begin", None)
        self._extensions: dict[str, dict[object, object]] = {ABORT: {"abort": self.abort}, ON_STOP: {}}
        if STOPPING in self.app_state:
            # It was on its way when the others were told.
            transport.close()
        if len(self.connections) > self.connections_max:
            self.app = cast(ASGI3Application, _SURPLUS)
            self._begin = None
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_awaiting_head()
        self._stop_awaiting_reader()
        self._leave_served()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Called when the server stops: answer what is under way, and close."""
        self._take_waiting()
        self.app_state[STOPPING] = True
        # What is begun from now on is a task, which the server can end when it has waited for long enough.
        self._begin = None
        for tell in list(self._extensions[ON_STOP].values()):
            cast("Callable[[], None]", tell)()
        super().shutdown()

    def abort(self) -> None:
        """Close the connection at once, and send nothing more."""
        self._leave_served()
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._waiting or len(data) > self.waiting_bytes_max:
            self._take_waiting()
            self._waiting = data
            self._take_waiting()
        else:
            # What the database has answered is read before this is carried out, and who waits for it goes on in turn.
            # Otherwise it would wait for all that its callers ask next, which come all at once: 64 connections make 5 %
            # fewer credits a second.
            self._waiting = data
            self.loop.call_soon(self._take_waiting)

    def eof_received(self) -> None:
        self._take_waiting()
        super().eof_received()

    def _take_waiting(self) -> None:
        data, self._waiting = self._waiting, b""
        if not data or self.transport.is_closing():
            return
        try:
            self._take(data)
        except Exception as bug:  # noqa: BLE001 - not hidden: it goes where it went if the event loop had called
            self.abort()
            self.loop.call_exception_handler({"message": "data_received() failed", "exception": bug, "protocol": self})

    def _take(self, data: bytes) -> None:
        if self._turned_away:
            return
        self._taken += len(data)
        self._much_taken = self._taken > self.head_bytes_max
        self._parsing = True
        super().data_received(data)
        self._parsing = False
        held, self._held = self._held, None
        if self._taken > self.head_bytes_max:
            self.send_400_response(f"more than {self.head_bytes_max} bytes are no complete head, and no body")
        # Also what is no head yet, such as an empty line, has ended the wait of a kept connection.
        elif self._head_timer is None and ((last := self._last()) is None or last.response_complete):
            self._await_head()
        # Last, since it may be answered at once, and what follows an answer may take its time.
        if held is not None:
            self._serve(held)

    def on_headers_complete(self) -> None:
        # With a head there may have come much else, so that only now it is known how long it is.
        if self._much_taken and self._head_bytes() > self.head_bytes_max:
            raise self._refuse(f"the head has more than {self.head_bytes_max} bytes")
        if len(self.headers) > self.headers_max:
            raise self._refuse(f"there are more than {self.headers_max} headers")
        if len(self.pipeline) >= self.pipelined_max:
            raise self._refuse("too many requests wait on this connection")
        self._taken = 0
        if self._head_timer is not None:
            self._stop_awaiting_head()
        self.scope["extensions"] = self._extensions
        super().on_headers_complete()
        # Trailers come after the head was judged, and may not add to it (RFC 9110, section 6.5.1).
        self.headers = []

    def on_body(self, body: bytes) -> None:
        self._taken = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        # As uvicorn does it, but for a timer that it sets at the end of each request and takes back at the next.
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._look_whether_idle)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def _look_whether_idle(self) -> None:
        self._idle_timer = None
        self._take_waiting()
        if self._idle_since is not None:
            left_s = self._idle_since + self.timeout_keep_alive - self.loop.time()
            if left_s > 0:
                self._idle_timer = self.loop.call_later(left_s, self._look_whether_idle)
            else:
                self.timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """Turn away what is no request, and close the connection. Called for whatever the parser does not take."""
        last = self._last()
        if self.pipeline or (last is not None and not last.response_complete and _is_whole(last)):
            # It would be taken for the answer to a request that is being carried out. That one is answered first, and
            # then the connection is closed.
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        self._turned_away = True
        self._taken = 0
        if last is None or not last.response_complete or not last.more_body:
            self.transport.write(_refusal(self._fault or msg, self.server_state.default_headers))
        if last is not None:
            # The rest of its body cannot come any more, so nothing of it was handed on.
            last.disconnected = True
            last.message_event.set()
        self.transport.write_eof()
        self.loop.call_later(self.linger_s_max, self.transport.close)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread_here = self.transport.get_write_buffer_size()
        BoundedProtocol.unread_bytes += self._unread_here
        if BoundedProtocol.unread_bytes > self.unread_bytes_max:
            self.abort()
        else:
            self._answer_timer = self.loop.call_later(self.answer_s_max, self.abort)

    def resume_writing(self) -> None:
        self._stop_awaiting_reader()
        super().resume_writing()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        # The class is uvicorn's to choose, which it does in the midst of reading the head.
        cycle.__class__ = OneWrite
        self._served = cycle
        if self._begin is None or app is not self.app or cycle.scope["method"] not in WRITE_METHODS:
            super()._start_asgi_task(cycle, app)
        elif self._parsing:
            self._held = cast(OneWrite, cycle)
        else:
            self._serve(cast(OneWrite, cycle))

    def _serve(self, cycle: OneWrite) -> None:
        """Begin with a write within this call if its body has come, and can be begun with. A task does all else."""
        simple = not (cycle.more_body or cycle.disconnected or cycle.waiting_for_100_continue)
        begin = self._begin if simple else None
        if begin and begin(cast(HTTPScope, cycle.scope), bytes(cycle.body), partial(self._reply, cycle)):
            cycle.body = bytearray()
        else:
            super()._start_asgi_task(cycle, self.app)

    def _reply(self, cycle: OneWrite, answer: Answer) -> None:
        """Send an answer from outside of any task, or have a task send it that may wait for the client to read."""
        if not cycle.answer(answer.status, answer.headers, answer.own_head(), answer.body):
            super()._start_asgi_task(cycle, cast(ASGI3Application, answer))

    def _leave_served(self) -> None:
        """Have nothing more sent. uvicorn sees to that only for the request that came last."""
        if self._served is not None and not self._served.response_complete:
            self._served.disconnected = True
            self._served.message_event.set()

    def _last(self) -> RequestResponseCycle | None:
        """The request that came last on this connection, if there was one."""
        # uvicorn's annotation leaves out that there may be none.
        return cast("RequestResponseCycle | None", self.cycle)

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_s_max, self._look_whether_late)

    def _look_whether_late(self) -> None:
        timer = self._head_timer
        self._take_waiting()
        # It has come, if that has ended the wait or begun another one.
        if self._head_timer is timer:
            self.transport.close()

    def _stop_awaiting_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_awaiting_reader(self) -> None:
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None
        BoundedProtocol.unread_bytes -= self._unread_here
        self._unread_here = 0

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _refuse(self, fault: str) -> Exception:
        self._fault = fault
        return ValueError(fault)


@contextmanager
def on_stop(scope: HTTPScope, tell: Callable[[], None]) -> Iterator[None]:
    """Have it told when the server stops, as long as the context lasts."""
    told: dict[object, object] = cast("dict[str, Any]", scope.get("extensions") or {}).get(ON_STOP, {})
    told[tell] = tell
    try:
        yield
    finally:
        told.pop(tell, None)


def _is_whole(cycle: RequestResponseCycle) -> bool:
    """Whether a request may be with the service already, or its answer on the way."""
    return cycle.response_started or not cycle.more_body


async def _turn_away(scope: Scope, receive: Receive, send: Send) -> None:
    """The answer on a connection that is one too many."""
    if scope["type"] == ScopeType.HTTP:
        answer = problem_answer(Problem(types.OVERLOADED, headers=(CLOSE,)), scope)
        await answer(scope, receive, send)


_SURPLUS: Final = Edge(_turn_away)


def _refusal(fault: str, default_headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The answer to what is no request, and so has no path and no id."""
    body = shapes.encode(malformed("", fault).problem.json_members(""))
    headers = (*default_headers, PROBLEM_JSON, *PLAIN, CLOSE, (b"content-length", b"%d" % len(body)))
    return b"".join((STATUS_LINE[400], *(b"%b: %b\r\n" % header for header in headers), b"\r\n", body))
