"""Services that are wrong in one place, and what of a campaign has to find it."""

import json
from collections.abc import Sequence
from typing import ClassVar, Final

import httpx

from tests.fuzz.meddler import Send

AT_ONCE: Final = ("examples",)
AT_THE_BOUNDS: Final = ("examples", "coverage")


class Flaw:
    """Answers in place of the service. ``found_by`` is the check that finds it; None: the rows of the database do."""

    found_by: ClassVar[str | None]
    also_in_the_rows: ClassVar[bool] = False
    phases: ClassVar[Sequence[str]] = AT_ONCE

    def __call__(self, request: httpx.Request, send: Send) -> httpx.Response:
        raise NotImplementedError


class FailsInsteadOfRefusing(Flaw):
    found_by = "not_a_server_error"
    phases = AT_THE_BOUNDS

    def __call__(self, request: httpx.Request, send: Send) -> httpx.Response:
        response = send(request)
        return _with(response, status=500) if response.status_code == 400 else response


class HasAStatusOfItsOwn(Flaw):
    found_by = "status_code_conformance"

    def __call__(self, request: httpx.Request, send: Send) -> httpx.Response:
        response = send(request)
        return _with(response, status=202) if response.status_code == 201 else response


class WritesANumberAsText(Flaw):
    found_by = "response_schema_conformance"

    def __call__(self, request: httpx.Request, send: Send) -> httpx.Response:
        response = send(request)
        if request.url.path.startswith("/schema"):
            return response
        return _with(response, content=response.content.replace(b'"version":1', b'"version":"1"'))


class LeavesAHeaderOut(Flaw):
    found_by = "response_headers_conformance"

    def __call__(self, request: httpx.Request, send: Send) -> httpx.Response:
        response = send(request)
        if request.method == "POST" and response.status_code == 201:
            response.headers.pop("idempotent-replayed", None)
        return response


class CallsAProblemPlainJson(Flaw):
    found_by = "content_type_conformance"
    phases = AT_THE_BOUNDS

    def __call__(self, request: httpx.Request, send: Send) -> httpx.Response:
        response = send(request)
        if response.status_code == 400:
            response.headers["content-type"] = "application/json"
        return response


class TakesAnyCurrency(Flaw):
    found_by = "negative_data_rejection"
    phases = AT_THE_BOUNDS

    def __call__(self, request: httpx.Request, send: Send) -> httpx.Response:
        body = _json(request)
        if request.url.path == "/v1/wallets" and isinstance(body, dict) and "currency" in body:
            return send(_request(request, {**body, "currency": "EUR"}))
        return send(request)


class AsksForNoApiKey(Flaw):
    found_by = "ignored_auth"
    known = ""

    def __call__(self, request: httpx.Request, send: Send) -> httpx.Response:
        self.known = self.known or request.headers.get("authorization", "")
        request.headers["authorization"] = self.known
        return send(request)


class AsksForNoIdempotencyKey(Flaw):
    found_by = "missing_required_header"
    also_in_the_rows = True
    phases = AT_THE_BOUNDS

    def __call__(self, request: httpx.Request, send: Send) -> httpx.Response:
        request.headers.setdefault("idempotency-key", f"made-up-{id(request)}")
        return send(request)


class RefusesWhatIsDescribed(Flaw):
    found_by = "what_the_document_allows_is_taken"
    phases = AT_THE_BOUNDS

    def __call__(self, request: httpx.Request, send: Send) -> httpx.Response:
        body = _json(request)
        if isinstance(body, dict) and body.get("floor"):
            return send(_request(request, {**body, "floor": "below zero"}))
        return send(request)


class TakesAnyMethod(Flaw):
    found_by = "unsupported_method"
    phases = AT_THE_BOUNDS

    def __call__(self, request: httpx.Request, send: Send) -> httpx.Response:
        response = send(request)
        if response.status_code == 405:
            return httpx.Response(200, headers={"content-type": "application/json"}, content=b"{}")
        return response


class WritesBeforeItRefuses(Flaw):
    found_by = None
    phases = AT_THE_BOUNDS

    def __call__(self, request: httpx.Request, send: Send) -> httpx.Response:
        response = send(request)
        if _is_credit(request) and response.status_code == 400:
            send(_request(request, {"amount": 7}))
        return response


class AcknowledgesWithoutWriting(Flaw):
    found_by = None
    phases = AT_THE_BOUNDS
    said: httpx.Response | None = None

    def __call__(self, request: httpx.Request, send: Send) -> httpx.Response:
        response = send(request)
        if _is_credit(request) and response.status_code == 422 and self.said is not None:
            return self.said
        if _is_credit(request) and response.status_code == 201:
            self.said = response
        return response


class SaysThatARuleRefusedWhatWasDone(Flaw):
    found_by = None
    phases = AT_THE_BOUNDS

    def __call__(self, request: httpx.Request, send: Send) -> httpx.Response:
        response = send(request)
        if not (_is_credit(request) and response.status_code == 201):
            return response
        problem = {
            "type": "/problems/wallet-closed",
            "title": "The wallet is closed",
            "status": 422,
            "detail": "The wallet is closed.",
            "instance": request.url.path,
            "outcome": "rejected",
            "retry": "new_key",
            "wallet_id": request.url.path.split("/")[3],
            "wallet_status": "closed",
        }
        headers = {"content-type": "application/problem+json", "idempotent-replayed": "false"}
        return httpx.Response(422, headers=headers, content=json.dumps(problem).encode())


FLAWS: Final[Sequence[type[Flaw]]] = Flaw.__subclasses__()


def _is_credit(request: httpx.Request) -> bool:
    return request.method == "POST" and request.url.path.endswith("/credits")


def _json(request: httpx.Request) -> object:
    try:
        return json.loads(request.content)
    except ValueError:
        return None


def _request(request: httpx.Request, body: object) -> httpx.Request:
    """The same with another body."""
    kept = [(name, value) for name, value in request.headers.raw if name.lower() != b"content-length"]
    return httpx.Request(request.method, request.url, headers=kept, content=json.dumps(body).encode())


def _with(response: httpx.Response, status: int | None = None, content: bytes | None = None) -> httpx.Response:
    """The same with another status or content."""
    return httpx.Response(
        status or response.status_code,
        headers=response.headers,
        content=response.content if content is None else content,
    )
