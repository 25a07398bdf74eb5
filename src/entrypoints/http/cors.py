"""Leave for pages of named origins to call the API from a browser (the Fetch standard, section 3.2, "CORS protocol").

A browser asks first, by an OPTIONS request that carries no key, and is told what it may send. No leave is given for
cookies: there are none, since a key travels in a header that the page itself sets.
"""

from collections.abc import Collection
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from entrypoints.http.answers import Answer

METHODS: Final = b"GET, PATCH, POST"
REQUEST_HEADERS: Final = (
    b"Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, X-Request-Id, traceparent, tracestate"
)
EXPOSED: Final = b"ETag, Idempotent-Replayed, Location, Retry-After, X-Request-Id"
"""What a page may read of an answer, besides the few headers that it always may."""

MAX_AGE_S: Final = b"600"

VARY: Final = (b"vary", b"Origin")
PREFLIGHT: Final = Answer(
    204,
    (
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", REQUEST_HEADERS),
        (b"access-control-max-age", MAX_AGE_S),
    ),
    b"",
)


class Cors:
    """An ASGI application around another one, for pages of these origins. ``finish`` is put around the answers that
    are made here."""

    def __init__(self, app: ASGIApp, origins: Collection[str], finish: type) -> None:
        self._app = app
        self._origins = frozenset(origin.encode() for origin in origins)
        self._preflight: ASGIApp = finish(PREFLIGHT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        allowed = origins[0] if len(origins) == 1 and origins[0] in self._origins else None

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                # A cache must not hand what one origin got to another: also not that one got no leave.
                headers = [*message["headers"], VARY]
                if allowed is not None:
                    headers += [
                        (b"access-control-allow-origin", allowed),
                        (b"access-control-expose-headers", EXPOSED),
                    ]
                message["headers"] = headers
            await send(message)

        asks_first = (
            allowed is not None
            and scope["method"] == "OPTIONS"
            and any(name == b"access-control-request-method" for name, _ in scope["headers"])
        )
        await (self._preflight if asks_first else self._app)(scope, receive, send_with_headers)
