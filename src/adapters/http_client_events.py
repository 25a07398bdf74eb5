"""Events over HTTP: the core's port, and an iterator that follows a tenant's events without an end.

``follow`` tells each event at least once: store its cursor together with what was done about the event, in one
transaction, and each has its effect exactly once. See ``docs/events.md``.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Final
from uuid import UUID

import attrs

from adapters import http_client_told as told
from adapters.http_client_errors import Refused, ServiceUnavailable
from adapters.http_client_reads import Reads
from adapters.http_client_wire import Members, Wire
from wallet_core.events import PAGE_EVENTS_MAX, BadCursor, Event, Events

NOW: Final = "now"
"""In place of a cursor: only what comes from here on."""

WAIT_S_MAX: Final = 30.0
ANSWER_S: Final = 2.0
"""How much of an attempt's time is left for the answer, once the wait for an event has been in vain."""


async def follow(reads: Reads, after: str | None = None, *, page_events: int = 100) -> AsyncIterator[Event]:
    """All events after a cursor, as they come, from the beginning without one; ``NOW`` is a cursor too.

    It does not end by itself: while the service is away it goes on trying, with the waits of ``reads.wire.retries``.
    Raises ``BadCursor``, ``Refused`` (the key was revoked, for instance) and ``NotUnderstood``.
    """
    wait_s = max(0.0, min(WAIT_S_MAX, reads.wire.retries.attempt_s - ANSWER_S))
    while True:
        try:
            page = await read_events(reads, after, page_events, wait_s)
        except ServiceUnavailable:
            # It has insisted for as long as a single read does.
            continue
        for event in page.items:
            yield event
        after = page.next_cursor


async def read_events(reads: Reads, after: str | None, limit: int, wait_s: float = 0.0) -> Events:
    """The events after a cursor; if there are none yet, the first that come within this time.

    Raises ``BadCursor``, ``ServiceUnavailable``, ``Refused`` and ``NotUnderstood``.
    """
    query = {"limit": str(min(limit, PAGE_EVENTS_MAX)), "wait_ms": str(round(wait_s * 1000))}
    if after is not None:
        query["after"] = after
    try:
        return await reads.get("/v1/events", _events, **query)
    except Refused as refused:
        errors = refused.problem.details.get("errors") or ()
        if any(isinstance(error, Mapping) and error.get("field") == "after" for error in errors):
            raise BadCursor(after) from refused
        raise


@attrs.frozen
class HttpEvents:
    """An ``EventReader`` that asks a wallet service. ``api_keys``: one of each tenant, that may read.

    What the API does not tell of a transaction is listed in ``adapters.http_client_told``.
    """

    wire: Wire
    api_keys: Mapping[UUID, str] = attrs.field(repr=False)

    async def events(self, tenant: UUID, *, after: str | None, limit: int) -> Events:
        """The events after a cursor. See ``wallet_core.events.EventReader``."""
        if after == NOW:
            raise BadCursor(after)
        return await read_events(self._reads(tenant), after, limit)

    async def now(self, tenant: UUID) -> str:
        """The cursor behind everything that can be told by now. See ``wallet_core.events.EventReader``."""
        return (await read_events(self._reads(tenant), NOW, 1)).next_cursor

    def _reads(self, tenant: UUID) -> Reads:
        return Reads(self.wire, self.api_keys[tenant])


def _events(members: Members) -> Events:
    items = [Event(_cursor(item["cursor"]), told.transaction(item["transaction"])) for item in members["items"]]
    return Events(items, _cursor(members["next_cursor"]))


def _cursor(value: object) -> str:
    if not isinstance(value, str):
        raise told.Unreadable("a cursor is no text")
    return value
