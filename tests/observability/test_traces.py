"""Traces: whose they are, what they are made of, who decides about them, and that nobody gets any unasked."""

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import StatusCode, format_span_id, format_trace_id

from adapters.ids import UuidV7
from adapters.memory import MemoryStore
from adapters.tracing import setup
from adapters.tracing.spans import Tracing
from entrypoints.http.app import create_app
from entrypoints.http.service import Service
from tests.http.api import TENANT, KnownKeys, client_of
from wallet_core.group_commit import GroupCommit
from wallet_core.ledger import BatchLedger

TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
PARENT: Final = "b7ad6b7169203331"
STEPS: Final = ["load", "decide", "append", "commit"]


@attrs.frozen
class Traced:
    """A service, and the spans that it has ended."""

    client: httpx.AsyncClient
    memory: InMemorySpanExporter

    async def write(self, path: str, body: Any, key: str, **headers: str) -> httpx.Response:
        sent = {"authorization": "Bearer all", "idempotency-key": key, **headers}
        return await self.client.post(path, json=body, headers=sent)

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.memory.get_finished_spans() if span.name == name]


@asynccontextmanager
async def traced(sampler: Sampler) -> AsyncIterator[Traced]:
    memory = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracing = Tracing(provider)
    store = MemoryStore()
    group = GroupCommit(BatchLedger(store, UuidV7(), observer=tracing), observer=tracing)
    app = tracing.around(create_app(Service(group, store, store, KnownKeys(), 5.0)))
    async with client_of(app) as client:
        yield Traced(client, memory)
    await group.close()
    await tracing.close()


def ids(span: ReadableSpan) -> tuple[str, str]:
    context = span.get_span_context()
    assert context is not None
    return format_trace_id(context.trace_id), format_span_id(context.span_id)


def parent_of(span: ReadableSpan) -> str | None:
    return None if span.parent is None else format_span_id(span.parent.span_id)


def of(span: ReadableSpan) -> Mapping[str, Any]:
    return dict(span.attributes or {})


async def test_a_request_goes_on_with_the_trace_that_it_brings_and_its_batch_hangs_below_it() -> None:
    async with traced(ParentBased(ALWAYS_ON)) as service:
        answer = await service.write("/v1/wallets", {"currency": "EUR"}, "k", traceparent=f"00-{TRACE}-{PARENT}-01")
        (request,) = service.spans("POST /v1/wallets")
        (batch,) = service.spans("batch")
        steps = [span for span in service.memory.get_finished_spans() if span.name in STEPS]
    assert ids(request)[0] == ids(batch)[0] == TRACE
    assert parent_of(request) == PARENT
    assert parent_of(batch) == ids(request)[1]
    assert [(ids(step)[0], parent_of(step)) for step in steps] == [(TRACE, ids(batch)[1])] * 4
    assert [step.name for step in steps] == STEPS
    for before, after in itertools.pairwise(steps):
        assert before.end_time == after.start_time
    assert of(request) == {
        "http.request.method": "POST",
        "url.path": "/v1/wallets",
        "http.route": "/v1/wallets",
        "http.response.status_code": 201,
        "wallet.tenant": str(TENANT),
        "wallet.request_id": answer.headers["x-request-id"],
    }
    assert of(batch)["wallet.outcomes.Applied"] == of(batch)["wallet.commands"] == 1


async def test_a_batch_is_linked_to_each_of_its_requests() -> None:
    async with traced(ParentBased(ALWAYS_ON)) as service:
        opened = await service.write("/v1/wallets", {"currency": "EUR"}, "k")
        path = f"/v1/wallets/{opened.json()['id']}/credits"
        await asyncio.gather(*(service.write(path, {"amount": 1}, f"k{n}") for n in range(20)))
        requests = service.spans("POST /v1/wallets/{id}/credits")
        batches = service.spans("batch")[1:]
    assert len({ids(request)[0] for request in requests}) == 20
    linked = [
        (format_trace_id(link.context.trace_id), format_span_id(link.context.span_id))
        for batch in batches
        for link in batch.links
    ]
    assert sorted(linked) == sorted(map(ids, requests))
    assert len(batches) < 20
    for batch in batches:
        assert parent_of(batch) == format_span_id(batch.links[0].context.span_id)


async def test_what_the_caller_does_not_sample_is_not_recorded_and_no_batch_is_for_it() -> None:
    async with traced(ParentBased(ALWAYS_ON)) as service:
        answer = await service.write("/v1/wallets", {"currency": "EUR"}, "k", traceparent=f"00-{TRACE}-{PARENT}-00")
        assert answer.status_code == 201
        assert service.memory.get_finished_spans() == ()


async def test_the_sampler_decides_where_nobody_has() -> None:
    async with traced(ParentBased(TraceIdRatioBased(0.0))) as service:
        assert (await service.write("/v1/wallets", {"currency": "EUR"}, "k")).status_code == 201
        assert service.memory.get_finished_spans() == ()
        # A batch is recorded for the one that is sampled, and links to no other.
        opened = await service.write("/v1/wallets", {"currency": "EUR"}, "l", traceparent=f"00-{TRACE}-{PARENT}-01")
        path = f"/v1/wallets/{opened.json()['id']}/credits"
        sampled = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        await asyncio.gather(
            *(service.write(path, {"amount": 1}, f"k{n}", **(sampled if n == 7 else {})) for n in range(10))
        )
        (request,) = service.spans("POST /v1/wallets/{id}/credits")
        batch = service.spans("batch")[-1]
    assert [link.context.span_id for link in batch.links] == [int(ids(request)[1], 16)]
    assert of(batch)["wallet.commands"] > 1


async def test_a_failure_is_one_in_the_trace_and_a_refusal_is_not() -> None:
    async with traced(ALWAYS_ON) as service:
        await service.write("/v1/wallets/nothing/credits", {"amount": 1}, "k")
        await service.client.get("/v1/nowhere")
        (refused,) = service.spans("POST /v1/wallets/{id}/credits")
        (unknown,) = service.spans("GET")
    assert refused.status.status_code is StatusCode.UNSET
    assert of(refused)["wallet.problem"] == "wallet-not-found"
    assert of(unknown)["http.response.status_code"] == 404


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "wallet"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, False),
    ],
)
def test_there_are_traces_where_the_standard_variables_ask_for_them(environ: dict[str, str], wanted: bool) -> None:
    assert setup.is_wanted(environ) is wanted
    if not wanted:
        assert setup.tracing_of(environ, "1") is None


def test_a_protocol_that_is_not_spoken_and_libraries_that_are_not_there_stop_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    assert setup.tracing_of({**asked, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "1") is None
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert setup.tracing_of(asked, "1") is None
    first, second = (record.getMessage() for record in caplog.records)
    assert "grpc is not spoken" in first
    assert "install the extra otel" in second
