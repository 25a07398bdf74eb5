"""The short way to an operation: taken by requests that need no routing, and never a way to another answer."""

import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote
from uuid import UUID

import httpx
import pytest
from litestar.types import HTTPScope, Receive, Scope, Send

from adapters.memory import MemoryStore
from entrypoints.http.answers import Answer
from entrypoints.http.app import create_app, create_routes
from entrypoints.http.direct import Direct, Endpoint
from entrypoints.http.edge import Edge
from entrypoints.http.operations import OPERATIONS
from entrypoints.http.service import Service
from entrypoints.http.writes import WRITES
from tests.http.api import KnownKeys, client_of
from tests.http.problem_scenarios import Always
from wallet_core.outcomes import (
    Contention,
    DatabaseUnavailable,
    KeyFenced,
    KeyReused,
    NotFound,
    Outcome,
    Overloaded,
    Thing,
    Unknown,
    VersionConflict,
)

ID = "018d5f3c-0000-7000-8000-0000000000aa"
SHORT = 299
"""A status that nothing else answers with."""


def requests() -> Iterator[tuple[str, str]]:
    """Every operation; what is no operation but looks like one; and other spellings of paths."""
    for operation in OPERATIONS:
        yield operation.method, operation.path.replace("{id}", ID)
        yield "OPTIONS", operation.path.replace("{id}", ID)
        yield "HEAD", operation.path.replace("{id}", ID)
    for id in (ID.upper(), ID[:-1], ID + "0", ID.replace("-", ""), "{id}", ID + "%0a", "%30" + ID[1:], f"{ID}%2f", ""):
        yield "GET", f"/v1/wallets/{id}"
        yield "POST", f"/v1/wallets/{id}/credits"
    for path in (
        f"/v1/wallets/{ID}/",
        f"/v1//wallets/{ID}",
        f"//v1/wallets/{ID}",
        f"/v1/wallets/{ID}/credits/",
        f"/v1/wallets/{ID}/CREDITS",
        f"/V1/wallets/{ID}",
        f"/v1/wallets/{ID}/{ID}",
        f"/v1/{ID}/wallets/{ID}",
        f"/{ID}",
        "/v1/wallets/",
        "/v1/wallets?limit=1",
        "/v1/wallets?nonsense=1",
        "/v1/nowhere",
        "/v1",
        "/",
    ):
        yield "GET", path
        yield "POST", path
        yield "DELETE", path


def service(outcome: Outcome | Exception = Overloaded()) -> Service:  # noqa: B008 - it never changes
    return Service(Always(outcome), MemoryStore(), MemoryStore(), KnownKeys(), 1.0)


@pytest.mark.parametrize("host", ["wallet", "wallet:8000", "[::1]:8000", "a_b", "a b", "a/b", ""])
async def test_no_request_gets_another_answer_for_being_answered_directly(host: str) -> None:
    async with client_of(create_app(service())) as short, client_of(Edge(create_routes(service()))) as long:
        for method, path in requests():
            for headers in ({}, {"authorization": "Bearer all", "idempotency-key": "k"}):
                sent = {"host": host, "x-request-id": "same", **headers}
                one = await short.request(method, path, headers=sent)
                other = await long.request(method, path, headers=sent)
                assert said(one) == said(other), f"{method} {path}"


BODIES: Final = {
    "openWallet": {"currency": "EUR"},
    "changeWallet": {"status": "frozen"},
    "postTransaction": {"postings": [{"source": None, "destination": ID, "amount": 1}]},
    "reverseTransaction": {},
    "captureHold": {},
    "releaseHold": {},
}
FAILURES: Final = (
    Overloaded(),
    DatabaseUnavailable(),
    Unknown(),
    Contention(),
    KeyReused("k"),
    KeyFenced("k"),
    NotFound(Thing.WALLET, UUID(ID)),
    VersionConflict(UUID(ID), 1, 2),
    RuntimeError("a bug"),
)


@pytest.mark.parametrize("outcome", FAILURES, ids=lambda outcome: type(outcome).__name__)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"idempotency-key": ""},
        {"authorization": "Bearer nobody's"},
        {"host": "a_b"},
    ],
    ids=str,
)
async def test_no_write_gets_another_answer_for_being_begun_at_once(
    outcome: Outcome | Exception, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(service(outcome))
    assert isinstance(app, Edge)
    begun: list[bool] = []
    begin = app.begin

    def noting(*arguments: Any) -> bool:
        begun.append(begin(*arguments))
        return begun[-1]

    monkeypatch.setattr(app, "begin", noting)
    sent = {
        "content-type": "application/json",
        "authorization": "Bearer all",
        "idempotency-key": "k",
        "x-request-id": "same",
        **headers,
    }
    async with client_of(app) as short, client_of(Edge(create_routes(service(outcome)))) as long:
        for operation in OPERATIONS:
            if operation.id in WRITES:
                path, body = operation.path.replace("{id}", ID), BODIES.get(operation.id, {"amount": 1})
                for content in (json.dumps(body).encode(), b"{", b"[]", b'{"amount": 1, "amount": 1}', b" " * 20_000):
                    one = await short.request(operation.method, path, content=content, headers=sent)
                    other = await long.request(operation.method, path, content=content, headers=sent)
                    assert said(one) == said(other), f"{operation.id} {content[:40]!r}"
    # Only what is too long, has a host to be looked at, or an unknown key is left to the ordinary way.
    ordinary = begun.count(False)
    everything = len(begun)
    assert ordinary == (everything if {"host", "authorization"} & headers.keys() else everything / 5)


async def test_a_write_that_was_begun_at_once_is_answered_in_time() -> None:
    service_ = Service(Always(Overloaded(), after_s=30), MemoryStore(), MemoryStore(), KnownKeys(), 0.05)
    async with client_of(create_app(service_)) as client:
        sent = {"content-type": "application/json", "authorization": "Bearer all", "idempotency-key": "k"}
        answer = await client.post("/v1/wallets", json={"currency": "EUR"}, headers=sent)
        assert (answer.status_code, answer.json()["outcome"]) == (504, "unknown")


def said(answer: httpx.Response) -> tuple[int, list[tuple[str, str]], bytes]:
    return answer.status_code, sorted(answer.headers.items()), answer.content


@pytest.fixture
async def direct() -> httpx.AsyncClient:
    """Operations that are answered directly say so; nothing else does."""

    async def routes(scope: Scope, receive: Receive, send: Send) -> None:
        await Answer(404, (), b"")(scope, receive, send)

    async def endpoint(scope: HTTPScope, receive: Receive) -> Answer:
        return Answer(SHORT, (), scope.get("path_params", {}).get("id", "").encode())

    endpoints: dict[tuple[str, str], Endpoint] = {
        (operation.method, operation.path): endpoint for operation in OPERATIONS
    }
    return client_of(Direct(routes, endpoints, lambda scope, bug: Answer(500, (), b"")))


async def test_every_operation_is_answered_directly_and_gets_the_id_of_its_path(direct: httpx.AsyncClient) -> None:
    for operation in OPERATIONS:
        answer = await direct.request(operation.method, operation.path.replace("{id}", ID))
        assert answer.status_code == SHORT, operation.id
        assert answer.text == (ID if "{id}" in operation.path else "")


@pytest.mark.parametrize("host", ["a b", "a/b", "[::1]", ""])
async def test_hosts_that_the_framework_may_refuse_are_left_to_it(direct: httpx.AsyncClient, host: str) -> None:
    assert (await direct.get(f"/v1/wallets/{ID}", headers={"host": host})).status_code == 404


async def test_other_methods_and_spellings_are_left_to_the_routes(direct: httpx.AsyncClient) -> None:
    known = {(operation.method, operation.path.replace("{id}", ID)) for operation in OPERATIONS}
    for method, path in requests():
        spelled = unquote(path.partition("?")[0]).replace(ID.upper(), ID)
        if (method, spelled) not in known:
            assert (await direct.request(method, path)).status_code == 404, f"{method} {path}"
