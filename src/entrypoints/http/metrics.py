"""``GET /metrics``: on the API's port, or on one of its own that the API is not on."""

from typing import Final, Protocol

import attrs
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from entrypoints.http import problem_types as types
from entrypoints.http.answers import Answer, problem_answer
from entrypoints.http.problems import Problem
from entrypoints.http.requests import header_values

PATH: Final = "/metrics"
HEALTH: Final = "/health/"


class Exposition(Protocol):
    """Knows the numbers."""

    async def answer(self, accept: str, /) -> tuple[str, bytes]:
        """The content type, out of those that the client accepts, and the metrics of all workers."""
        ...


@attrs.frozen
class Metrics:
    """The metrics, and the port that they are on; 0 for the API's."""

    exposition: Exposition
    port: int = 0

    async def answer(self, scope: HTTPScope) -> Answer:
        """The metrics. They need no key, and name no tenant."""
        accept = b",".join(header_values(scope, b"accept")).decode("latin-1")
        content_type, body = await self.exposition.answer(accept)
        return Answer(200, ((b"content-type", content_type.encode()),), body)

    def is_elsewhere(self, scope: HTTPScope) -> bool:
        """Whether the request came to the port of the metrics, where the API is not."""
        return bool(self.port) and self._is_here(scope)

    def _is_here(self, scope: HTTPScope) -> bool:
        server = scope["server"]
        return server is not None and server[1] == self.port

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application, with each on its own port. Health can be asked for on either."""
        if not self.port:
            return app

        async def by_port(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == ScopeType.HTTP:
                path, is_here = scope["path"], self._is_here(scope)
                if is_here != (path == PATH) and not (is_here and path.startswith(HEALTH)):
                    await problem_answer(Problem(types.NOT_FOUND), scope)(scope, receive, send)
                    return
            await app(scope, receive, send)

        return by_port
