"""Events over HTTP: a page of them, at once or as soon as there is something to tell, or all of them as they come."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final
from uuid import UUID

import attrs
from litestar.types import HTTPScope, Receive, Scope, Send

from entrypoints.http import problem_types as types
from entrypoints.http import shapes
from entrypoints.http.answers import JSON, Answer
from entrypoints.http.html import prefers
from entrypoints.http.operation import Parameter
from entrypoints.http.paging import LIMIT_DEFAULT, LIMIT_MAX, integer
from entrypoints.http.problems import Refused, malformed, refusal
from entrypoints.http.protocol import on_stop
from entrypoints.http.requests import header_values, query_parameters
from entrypoints.http.service import Service
from wallet_core.events import BadCursor, Event, Events
from wallet_core.events_feed import EventFeed, Tail, TooManyFollowers

NOW: Final = "now"
"""Stands for the cursor behind everything that can be told by now."""

WAIT_MS_MAX: Final = 30_000

KEY_CHECK_S: Final = 1.0
"""How often the key of whoever waits is looked at again, in seconds. It is remembered for a while by then."""

STREAM_PAGE_EVENTS: Final = 100
"""How many events of a stream are in memory at a time."""

HEARTBEAT: Final = b":\n\n"
HEARTBEAT_S: Final = 15.0
"""How long a stream is silent at most, in seconds, so that whoever passes it on does not take it for dead."""

RETRY_S: Final = 1.0
"""How long a stream waits with its next look at a database that was away, and its client before it connects again."""

EVENT_STREAM: Final = b"text/event-stream"
STREAM_HEADERS: Final = (
    (b"content-type", EVENT_STREAM),
    (b"vary", b"Accept"),
    # Proxies that gather an answer before they pass it on would hold events back.
    (b"x-accel-buffering", b"no"),
)
JSON_HEADERS: Final = (JSON, (b"vary", b"Accept"))

QUERY: Final = (
    Parameter("after", {"type": "string"}, "a cursor: only what comes after it; `now`: only what comes from here on"),
    Parameter(
        "limit", {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT}, "events on a page"
    ),
    Parameter(
        "wait_ms",
        {"type": "integer", "minimum": 0, "maximum": WAIT_MS_MAX, "default": 0},
        "how long to wait for an event, if there is none yet; in milliseconds",
    ),
)

DESCRIPTION: Final = (
    "Every applied transaction once, in an order that never changes, and in which the transactions of a wallet "
    "are in the order of its versions. `next_cursor` is always there, to go on from. "
    "With `Accept: text/event-stream` they come as server-sent events (`id` is the cursor, `event` is `transaction`, "
    "`data` the transaction) for as long as the connection lasts; `Last-Event-ID` stands for `after` then, and `limit` "
    "and `wait_ms` for nothing."
)

Gone = asyncio.Future[None]
"""Done once the client has gone."""


async def list_events(service: Service, tenant: UUID, scope: HTTPScope, receive: Receive) -> "Answer | EventStream":
    """A page of events, or a stream of them. Raises ``Refused``."""
    parameters = query_parameters(scope, ("after", "limit", "wait_ms"))
    feed = service.events
    if feed is None:
        raise refusal(types.NOT_FOUND)
    limit = integer(parameters, "limit", LIMIT_MAX) or LIMIT_DEFAULT
    wait_s = (integer(parameters, "wait_ms", WAIT_MS_MAX, smallest=0) or 0) / 1000
    after = parameters.get("after")
    if streams := prefers(scope, EVENT_STREAM, b"application/json"):
        after = _last_event_id(scope) or after
    if after == NOW:
        after = await service.read(feed.reader.now(tenant))
    following = Following(service, feed, tenant, scope)
    if streams:
        # What is wrong with the request is told before a stream begins.
        await following.next(after, 1)
        if feed.followers >= feed.followers_max or feed.stopped:
            raise refusal(types.OVERLOADED)
        return EventStream(following, after)
    if not wait_s:
        page = await following.next(after, limit)
    else:
        page = await _wait(following, after, limit, wait_s, receive)
    items = [shapes.Event(event.cursor, shapes.transaction(event.transaction)) for event in page.items]
    return Answer(200, JSON_HEADERS, shapes.encode(shapes.EventPage(items, page.next_cursor)))


@attrs.frozen
class Following:
    """Somebody who asks for a tenant's events, with the key that the request came with."""

    service: Service
    feed: EventFeed
    tenant: UUID
    scope: HTTPScope

    async def next(
        self, after: str | None, limit: int, tail: Tail | None = None, wait_s: float = 0.0, gone: Gone | None = None
    ) -> Events:
        """The events after a cursor. If there are none yet, waits for so long at the ``tail``, unless the client has
        ``gone``. Raises ``Refused``."""
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        while True:
            turn = 0 if tail is None else tail.turn
            page = None if tail is None else tail.recent(after, limit)
            if page is None:
                page = await self._read(after, limit)
            left_s = until - loop.time()
            if tail is None or page.items or left_s <= 0 or self.feed.stopped or (gone is not None and gone.done()):
                return page
            after = page.next_cursor
            await tail.news(turn, after, min(left_s, KEY_CHECK_S))
            await self.service.check_key(self.scope, "read")

    async def _read(self, after: str | None, limit: int) -> Events:
        try:
            return await self.service.read(self.feed.reader.events(self.tenant, after=after, limit=limit))
        except BadCursor:
            raise malformed("after", "is not a cursor that this tenant's events have given out") from None


async def _wait(following: Following, after: str | None, limit: int, wait_s: float, receive: Receive) -> Events:
    """A page that is waited for, until the client gives up or the service ends."""
    feed = following.feed
    try:
        with (
            feed.following(following.tenant) as tail,
            on_stop(following.scope, feed.stop),
            _gone(receive, tail) as gone,
        ):
            return await following.next(after, limit, tail, wait_s, gone)
    except TooManyFollowers:
        raise refusal(types.OVERLOADED) from None


@attrs.frozen
class EventStream:
    """Events as they come, as ``text/event-stream`` (WHATWG HTML, section 9.2): an ASGI application.

    It ends with the connection, with the service, and when its key is no longer good. While the database is away it is
    silent. What the client does not read is not read from the database either.
    """

    following: Following
    after: str | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until something ends it."""

        async def tell(piece: bytes) -> None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})

        await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
        await tell(b"retry: %d\n\n" % (RETRY_S * 1000))
        following = self.following
        feed = following.feed
        # Who comes after the last place was taken is told to come again, by the end of the stream.
        with (
            suppress(TooManyFollowers),
            feed.following(following.tenant) as tail,
            on_stop(following.scope, feed.stop),
            _gone(receive, tail) as gone,
        ):
            after = self.after
            while not (gone.done() or feed.stopped):
                try:
                    page = await following.next(after, STREAM_PAGE_EVENTS, tail, HEARTBEAT_S, gone)
                except Refused as refused:
                    if refused.problem.type.status != types.DATABASE_UNAVAILABLE.status:
                        break
                    await asyncio.wait((gone,), timeout=RETRY_S)
                    continue
                after = page.next_cursor
                await tell(b"".join(map(_told, page.items)) or HEARTBEAT)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@contextmanager
def _gone(receive: Receive, tail: Tail) -> Iterator[Gone]:
    """Done once the client has gone, which wakes whoever waits for it."""

    async def leave() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        tail.wake()

    gone = asyncio.ensure_future(leave())
    try:
        yield gone
    finally:
        gone.cancel()


def _told(event: Event) -> bytes:
    data = shapes.encode(shapes.transaction(event.transaction))
    return b"id: %b\nevent: transaction\ndata: %b\n\n" % (event.cursor.encode(), data)


def _last_event_id(scope: HTTPScope) -> str | None:
    values = header_values(scope, b"last-event-id")
    return values[-1].decode("latin-1") if values else None
