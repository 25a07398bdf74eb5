"""The service as it is run: two processes that count as one, on a port of their own, with logs and traces."""

import gzip
import json
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import attrs
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from adapters.metrics.exposition import REUSED_S
from tests.databases import Databases
from tests.http.process import API_KEY, Running, eventually, serving
from tests.observability.scrape import Scrape, scraped
from tests.support.http_servers import Quiet, answering

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
WRITERS, WRITES = 4, 50


class Collector:
    """What OpenTelemetry is sent to."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        collector = self

        class Handler(Quiet, BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

        self.handler = Handler

    def _all(self) -> Iterator[Span]:
        for request in list(self.requests):
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    yield from scope.spans

    def spans(self, trace: str) -> list[Span]:
        return [span for span in self._all() if span.trace_id.hex() == trace]

    def traces(self) -> set[str]:
        return {span.trace_id.hex() for span in self._all()}

    def resources(self) -> list[dict[str, str]]:
        return [
            {each.key: each.value.string_value for each in resource.resource.attributes}
            for request in list(self.requests)
            for resource in request.resource_spans
        ]


@attrs.frozen
class Pair:
    """Two workers."""

    service: Running
    metrics_url: str
    collector: Collector
    folder: Path
    """Of temporary files."""

    def scrape(self) -> Scrape:
        # For as long, a worker gives the answer again that it gave to somebody before.
        time.sleep(REUSED_S)
        # A connection of its own, so that either worker may be the one that answers.
        with httpx.Client(base_url=self.metrics_url, timeout=30) as client:
            return scraped(client)


@pytest.fixture(scope="module")
def pair(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("service")
    collector, dsn = Collector(), databases.create()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "TMPDIR": str(folder),
        "WALLET_WORKERS": "2",
        "WALLET_LAB": "on",
        "WALLET_METRICS": str(port),
        "WALLET_LOG_FORMAT": "json",
        "WALLET_ACCESS_LOG": "on",
        "OTEL_TRACES_SAMPLER": "parentbased_always_off",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    with (
        answering(collector.handler) as url,
        serving(dsn, **settings, OTEL_EXPORTER_OTLP_ENDPOINT=url) as service,
    ):
        yield Pair(service, f"http://127.0.0.1:{port}", collector, folder)
    databases.drop(dsn)


def write(client: httpx.Client, path: str, key: str, body: object, **headers: str) -> httpx.Response:
    return client.post(path, json=body, headers={"idempotency-key": key, **headers})


def open_wallet(pair: Pair, key: str) -> str:
    with pair.service.client() as client:
        id: str = write(client, "/v1/wallets", key, {"currency": "EUR"}).json()["id"]
        return id


def test_workers_that_are_scraped_under_load_count_as_one_and_lose_nothing(pair: Pair) -> None:
    wallets = [open_wallet(pair, f"open-{number}") for number in range(WRITERS)]
    before = pair.scrape()("wallet_writes_total", outcome="applied")

    def credit(number: int) -> None:
        # A connection for every few writes, so that both workers get some.
        for start in range(0, WRITES, 5):
            with pair.service.client() as client:
                for write_number in range(start, start + 5):
                    key = f"{number}-{write_number}"
                    answer = write(client, f"/v1/wallets/{wallets[number]}/credits", key, {"amount": 1})
                    assert answer.status_code == 201, answer.text

    scrapes: list[Scrape] = []
    with ThreadPoolExecutor(WRITERS) as threads:
        writers = [threads.submit(credit, number) for number in range(WRITERS)]
        while not all(writer.done() for writer in writers):
            scrapes.append(pair.scrape())
        for writer in writers:
            writer.result()
    assert eventually(lambda: pair.scrape()("wallet_writes_total", outcome="applied") == before + WRITERS * WRITES)
    scrapes.append(pair.scrape())
    for name in ("wallet_writes_total", "wallet_batch_commands_count", "wallet_http_requests_total"):
        told = [scrape.total(name) for scrape in scrapes]
        assert told == sorted(told), name
    last = scrapes[-1]
    route = "/v1/wallets/{id}/credits"
    assert last("wallet_http_requests_total", method="POST", route=route, status="201") == WRITERS * WRITES
    assert last("wallet_workers") == last("wallet_worker_starts_total") == 2
    assert last.counts("process_resident_memory_bytes", "worker").keys() == {"0", "1"}
    assert last("wallet_queue_commands_max") == 20_000


def test_a_worker_that_is_killed_leaves_its_counts_and_is_replaced(pair: Pair) -> None:
    wallet = open_wallet(pair, "of-the-killed")
    before = pair.scrape()
    fault = {"wallet-lab-fault": "before-answer=crash"}
    with pair.service.client() as client, pytest.raises(httpx.TransportError):
        write(client, f"/v1/wallets/{wallet}/credits", "last", {"amount": 1}, **fault)

    def is_replaced() -> bool:
        scrape = pair.scrape()
        return (scrape("wallet_worker_starts_total"), scrape("wallet_workers")) == (3, 2)

    # On a busy machine a process takes long to start.
    assert eventually(is_replaced, within_s=60)
    after = pair.scrape()
    applied = before("wallet_writes_total", outcome="applied")
    assert after("wallet_writes_total", outcome="applied") == applied + 1
    for (name, labels), value in before.samples.items():
        if name.startswith("wallet_") and name.endswith(("_total", "_count", "_bucket")):
            assert after.samples[name, labels] >= value, (name, labels)


def test_metrics_have_a_port_of_their_own_where_nothing_else_is(pair: Pair) -> None:
    api, metrics = pair.service.url, pair.metrics_url
    headers = pair.service.headers
    assert httpx.get(f"{api}/metrics", headers=headers).status_code == 404
    for path in ("/v1/wallets", "/", "/schema", "/metrics/", "/nowhere"):
        assert httpx.get(f"{metrics}{path}", headers=headers).status_code == 404, path
    post = {**headers, "idempotency-key": "elsewhere"}
    assert httpx.post(f"{metrics}/v1/wallets", json={"currency": "EUR"}, headers=post).status_code == 404
    assert httpx.get(f"{metrics}/health/ready").status_code == httpx.get(f"{api}/health/ready").status_code == 200
    answer = httpx.get(f"{metrics}/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_a_trace_is_sent_where_the_variables_say(pair: Pair) -> None:
    with pair.service.client() as client:
        sent = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        assert write(client, "/v1/wallets", "traced", {"currency": "EUR"}, **sent).status_code == 201
    wanted = {"POST /v1/wallets", "batch", "load", "decide", "append", "commit"}
    assert eventually(lambda: {span.name for span in pair.collector.spans(TRACE)} == wanted)
    # Nothing else was sampled.
    assert pair.collector.traces() == {TRACE}
    assert all(resource["service.name"] == "wallet-service" for resource in pair.collector.resources())


def test_each_line_of_the_log_is_json_and_none_has_a_secret(pair: Pair) -> None:
    with pair.service.client() as client:
        for _ in range(2):
            assert write(client, "/v1/wallets", "a-key-to-be-kept", {"currency": "EUR"}).status_code == 201
        client.get("/v1/idempotency-keys", params={"key": "a-key-to-be-kept"})
        fault = {"wallet-lab-fault": "before-commit=error*3"}
        assert write(client, "/v1/wallets", "doubtful-key", {"currency": "EUR"}, **fault).status_code == 503
        request_id = client.get("/v1/wallets").headers["x-request-id"]
    assert eventually(lambda: any(request_id in line for line in pair.service.output))
    ready = next(number for number, line in enumerate(pair.service.output) if "POST" in line and line[0] == "{")
    lines = [json.loads(line) for line in pair.service.output[ready:] if line.strip()]
    for secret in (API_KEY, "a-key-to-be-kept", "doubtful-key"):
        assert not [line for line in pair.service.output[ready:] if secret in line]
    told = [line for line in lines if line.get("route") == "POST /v1/wallets"]
    assert {line["outcome"] for line in told} >= {"done", "replayed", "unknown"}
    (unknown,) = (line for line in told if line["outcome"] == "unknown")
    assert (unknown["level"], unknown["status"], unknown["problem"]) == ("warning", 503, "database-unavailable")
    replayed = [line["key_sha256"] for line in told if line["outcome"] == "replayed"]
    assert len(replayed) == 1
    assert {line["process"] for line in lines} - {os.getpid()}
    assert all({"request_id", "status", "duration_ms", "tenant", "api_key_id"} <= line.keys() for line in told)


def test_what_the_workers_shared_is_removed_at_the_end(pair: Pair) -> None:
    """The last test here: it stops the service."""
    (folder,) = pair.folder.glob("wallet-metrics-*")
    assert len(list(folder.iterdir())) == 2
    assert pair.service.stop() == 0
    assert list(pair.folder.glob("wallet-metrics-*")) == []
