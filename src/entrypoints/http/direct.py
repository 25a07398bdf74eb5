"""The short way to an operation, around the routes of the framework.

Finding a route, making a request object and a response of what a handler returns take the framework 50 µs of a credit's
300 µs of CPU. A request whose path is an operation's, letter by letter, needs nothing of that. Every other request, and
so everything there is to be decided about a path, is left to the routes: they have these operations as well.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from entrypoints.http.answers import Answer, Make, Reply, ReplyFrom
from entrypoints.http.requests import header_values

Endpoint = Callable[[HTTPScope, Receive], Awaitable[ASGIApp]]
Failed = Callable[[HTTPScope, Exception], Answer]
Beginning = Callable[[HTTPScope, bytes, ReplyFrom], bool]
"""Begins with a request whose body is there; False if it has to wait for something else than its outcome."""

T = TypeVar("T")

ID: Final = re.compile("/([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})(?=/|$)")
HOST: Final = re.compile(rb"[0-9a-zA-Z.-]{1,200}(?::[0-9]{1,5})?")


class Direct:
    """An ASGI application that answers the operations itself, and has ``routes`` answer everything else.

    ``endpoints``: by method and path, with ``{id}`` for an id. ``failed`` makes the answer to a bug. ``beginnings``: of
    those that can begin without a task.
    """

    def __init__(
        self,
        routes: ASGIApp,
        endpoints: Mapping[tuple[str, str], Endpoint],
        failed: Failed,
        beginnings: Mapping[tuple[str, str], Beginning] | None = None,
    ) -> None:
        self._routes = routes
        self._endpoints = endpoints
        self._failed = failed
        self._beginnings = beginnings or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the short way, if there is one for the request."""
        if scope["type"] != ScopeType.HTTP or (endpoint := _found(self._endpoints, scope)) is None:
            await self._routes(scope, receive, send)
            return
        try:
            answer = await endpoint(scope, receive)
        except Exception as bug:  # noqa: BLE001 - not hidden: it is logged, and the client learns of it
            answer = self._failed(scope, bug)
        await answer(scope, receive, send)

    def begin(self, scope: HTTPScope, body: bytes, reply: Reply) -> bool:
        """Begin with a request whose body is there, and ``reply`` when there is an answer. False: nothing was done, and
        the request is to be answered in the ordinary way."""
        beginning = _found(self._beginnings, scope)
        if beginning is None:
            return False

        # The annotation is evaluated each time: spelled out here, it would take half a microsecond.
        def answered(make: Make) -> None:
            try:
                answer = make()
            except Exception as bug:  # noqa: BLE001 - as above
                answer = self._failed(scope, bug)
            reply(answer)

        try:
            return beginning(scope, body, answered)
        except Exception as bug:  # noqa: BLE001 - as above
            reply(self._failed(scope, bug))
            return True


def _found(of_paths: Mapping[tuple[str, str], T], scope: HTTPScope) -> T | None:
    """What there is for the request's method and path; the id in the path is then in its scope."""
    path = scope["path"]
    named = ID.search(path)
    id = named[1] if named else ""
    found = of_paths.get((scope["method"], path.replace(id, "{id}", 1) if id else path))
    if found is None or "{" in path or scope["root_path"] or not _has_plain_host(scope):
        return None
    scope["path_params"] = {"id": id}
    return found


def _has_plain_host(scope: HTTPScope) -> bool:
    """Whether the request's host is none that the framework would refuse."""
    hosts = header_values(scope, b"host")
    return len(hosts) == 1 and HOST.fullmatch(hosts[0]) is not None
