"""What holds for every request: headers of its answer, the room that bodies take, and that it has an answer at all."""

import asyncio
import os
from collections.abc import Callable
from functools import lru_cache
from itertools import count
from time import perf_counter
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, ReceiveMessage, Scope, Send

from entrypoints.http import problem_types as types
from entrypoints.http.answers import Answer, Reply, problem_answer
from entrypoints.http.problems import Problem, refusal
from entrypoints.http.requests import request_id
from entrypoints.http.security_headers import with_security_headers
from entrypoints.http.watch import Watch

Begin = Callable[[HTTPScope, bytes, Reply], bool]

BODIES_BYTES_MAX: Final = 4 * 1024 * 1024
"""How much room the bodies of all requests under way may take: no more than the commands that the queue has room for.
What is made of a body takes several times its room, and making it takes a megabyte a fifth of a second."""

_kept_with_security_headers = lru_cache(maxsize=256)(with_security_headers)
# Nobody has to guess an id, nor to be kept from it: what tells processes apart is drawn once, and the rest is counted.
_process = os.urandom(8).hex()
_numbers = count()


class Edge:
    """An ASGI application around another one. ``watch`` is told of each request that has ended. ``begin`` is the
    application's way to begin with a request without a task: see ``Direct.begin``."""

    def __init__(
        self,
        app: ASGIApp,
        bodies_bytes_max: int = BODIES_BYTES_MAX,
        *,
        watch: Watch | None = None,
        begin: Begin | None = None,
    ) -> None:
        self._app = app
        self._watch = watch
        self._begin = begin
        self._bodies_bytes_max = bodies_bytes_max
        self._bodies_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, with the headers added. The id is left in the scope's state for the log."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        id = _named(scope)
        began_at = 0.0 if self._watch is None else perf_counter()
        body_bytes = 0
        status = 0

        async def receive_within_room() -> ReceiveMessage:
            nonlocal body_bytes
            message = await receive()
            if message["type"] == "http.request" and (size := len(message["body"])):
                body_bytes += size
                self._bodies_bytes += size
                if self._bodies_bytes > self._bodies_bytes_max:
                    raise refusal(types.OVERLOADED)
            return message

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*with_security_headers(message["headers"]), (b"x-request-id", id)]
            await send(message)

        try:
            await self._app(scope, receive_within_room, send_with_headers)
        except asyncio.CancelledError:
            # The server's end has overtaken it. A write that was handed on does not come this way: see ``Service``.
            if status:
                raise
            await problem_answer(Problem(types.OVERLOADED), scope)(scope, receive, send_with_headers)
        finally:
            # Until here, because what was made of the body is in memory as long.
            self._bodies_bytes -= body_bytes
            if self._watch is not None:
                self._watch(scope, status, perf_counter() - began_at)

    def begin(self, scope: HTTPScope, body: bytes, reply: Reply) -> bool:
        """Begin with a request whose body is there, within this call, and ``reply`` when there is an answer.

        False: nothing was done, and the request is to be answered as by any application. A task for each request, and
        the layers of applications in it, take 20 µs of the 125 that a credit takes in Python.
        """
        size = len(body)
        if self._begin is None or self._bodies_bytes + size > self._bodies_bytes_max:
            return False
        id = _named(scope)
        began_at = 0.0 if self._watch is None else perf_counter()

        def answered(answer: Answer) -> None:
            self._bodies_bytes -= size
            headers = _kept_with_security_headers(tuple(answer.headers))
            reply(Answer(answer.status, headers, answer.body, (*answer.own, (b"x-request-id", id))))
            if self._watch is not None:
                self._watch(scope, answer.status, perf_counter() - began_at)

        self._bodies_bytes += size
        if not self._begin(scope, body, answered):
            self._bodies_bytes -= size
            return False
        return True


def _named(scope: HTTPScope) -> bytes:
    """The request's id, which is left in the scope's state for the log."""
    state = scope.setdefault("state", {})
    id = request_id(scope)
    if id is None:
        state["request_id"] = made = f"{_process}{next(_numbers):08x}"
        return made.encode()
    state["request_id"] = id.decode()
    return id
