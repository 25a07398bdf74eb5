"""What every answer carries, whoever made it: the request's id, and headers that keep money out of caches."""

import os

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from entrypoints.http.requests import request_id

NO_STORE = (b"cache-control", b"no-store")
NO_SNIFF = (b"x-content-type-options", b"nosniff")
NO_REFERRER = (b"referrer-policy", b"no-referrer")


class Edge:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, with the headers added. The id is left in the scope's state for the log."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        id = request_id(scope["headers"]) or os.urandom(12).hex().encode()
        scope.setdefault("state", {})["request_id"] = id.decode()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message["headers"], (b"x-request-id", id), NO_SNIFF, NO_REFERRER]
                if not any(name == b"cache-control" for name, _ in message["headers"]):
                    headers.append(NO_STORE)
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, send_with_headers)
