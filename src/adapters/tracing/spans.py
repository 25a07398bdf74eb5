"""Spans: of each request; of each batch, linked to its requests; and of a batch's steps.

A batch serves many requests, which have traces of their own. Its span is in the trace of the first of them that is
sampled, and links to all that are; where none is, there is no span. So the sampler's decision is the requests'.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextvars import ContextVar
from time import time_ns
from typing import Any, Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from opentelemetry.context import Context, attach, detach
from opentelemetry.propagate import extract
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)

from wallet_core import watching
from wallet_core.outcomes import Outcome
from wallet_core.watching import UNWATCHED_ATTEMPT, UNWATCHED_BATCH, Step

END_S_MAX: Final = 5.0
"""How long the end waits for the spans that are still to be sent."""

TRACER: Final = "wallet"

# The span of the batch that this task carries out. A task goes from batch to batch.
_batch_span: ContextVar[Span | None] = ContextVar("wallet_batch_span", default=None)


class Tracing(watching.Observer):
    """Watches requests and batches, and tells of them in spans."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer(TRACER)
        self.origin = _sampled_span

    async def close(self) -> None:
        """Send what is left, if that is done soon."""
        ending = asyncio.to_thread(self._provider.shutdown)
        await asyncio.wait([asyncio.ensure_future(ending)], timeout=END_S_MAX)

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application, with a span for each request, within the trace that the request brings along."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                await app(scope, receive, send)
                return
            carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            span = self._tracer.start_span(
                scope["method"],
                extract(carrier),
                SpanKind.SERVER,
                {"http.request.method": scope["method"], "url.path": scope["path"]},
            )
            status = 0

            async def send_noting_status(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            token = attach(set_span_in_context(span))
            try:
                await app(scope, receive, send_noting_status)
            finally:
                detach(token)
                if span.is_recording():
                    _describe(span, scope.get("state") or {}, status)
                span.end()

        return traced

    def batch(self, commands: int, waited_s: float, origins: Sequence[object]) -> watching.Batch:
        sampled = [origin for origin in origins if isinstance(origin, SpanContext)]
        if not sampled:
            _batch_span.set(None)
            return UNWATCHED_BATCH
        span = self._tracer.start_span(
            "batch",
            set_span_in_context(NonRecordingSpan(sampled[0])),
            SpanKind.INTERNAL,
            {"wallet.commands": commands, "wallet.waited_ms": round(waited_s * 1000, 3)},
            [Link(each) for each in sampled],
        )
        _batch_span.set(span)
        return _Batch(span)

    def attempt(self, *, stacked: bool, locked: bool) -> watching.Attempt:
        span = _batch_span.get()
        if span is None or not span.is_recording():
            return UNWATCHED_ATTEMPT
        span.add_event("attempt", {"wallet.stacked": stacked, "wallet.locked": locked})
        return _Attempt(self._tracer, set_span_in_context(span))

    def race_lost(self, *, below: bool) -> None:
        self._note("race lost", {"wallet.below": below})

    def connection_lost(self, *, in_doubt: bool) -> None:
        self._note("connection lost", {"wallet.in_doubt": in_doubt})

    def doubt_settled(self) -> None:
        self._note("doubt settled", {})

    def found_in_cache(self, replays: int) -> None:
        self._note("found in cache", {"wallet.replays": replays})

    def _note(self, event: str, attributes: dict[str, Any]) -> None:
        span = _batch_span.get()
        if span is not None:
            span.add_event(event, attributes)


class _Batch(watching.Batch):
    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    def ended(self, outcomes: Sequence[Outcome]) -> None:
        for kind, times in Counter(map(type, outcomes)).items():
            self._span.set_attribute(f"wallet.outcomes.{kind.__name__}", times)
        self._span.end()

    def failed(self, commands: int, bug: Exception) -> None:
        # Its name only: what it says may quote what it was about.
        self._span.set_attribute("error.type", type(bug).__qualname__)
        self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class _Attempt(watching.Attempt):
    __slots__ = ("_context", "_last_at", "_tracer")

    def __init__(self, tracer: Tracer, context: Context) -> None:
        self._tracer = tracer
        self._context = context
        self._last_at = time_ns()

    def passed(self, step: Step) -> None:
        now = time_ns()
        self._tracer.start_span(step.value, self._context, start_time=self._last_at).end(now)
        self._last_at = now


def _sampled_span() -> object:
    """The span of the request that asks, if its trace is recorded."""
    context = get_current_span().get_span_context()
    return context if context.is_valid and context.trace_flags.sampled else None


def _describe(span: Span, state: dict[str, Any], status: int) -> None:
    """Say of a request what the application has left in its state."""
    route: str | None = state.get("route")
    if route is not None:
        span.update_name(route)
        span.set_attribute("http.route", route.partition(" ")[2])
    principal = state.get("principal")
    if principal is not None:
        span.set_attribute("wallet.tenant", str(principal.tenant))
    for name in ("request_id", "outcome", "problem"):
        if name in state:
            span.set_attribute(f"wallet.{name}", state[name])
    if status:
        span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_attribute("error.type", str(status))
        span.set_status(Status(StatusCode.ERROR))
