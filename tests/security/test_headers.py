"""What every answer tells a browser, whoever makes it, and whose pages may call the API."""

import socket
from email.message import Message
from http.client import parse_headers
from io import BytesIO
from urllib.parse import urlsplit

import httpx
import pytest

from entrypoints.http.cors import EXPOSED, METHODS, REQUEST_HEADERS
from tests.http.api import Api, problem_of
from tests.security.conftest import ORIGIN, Secured

ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

ASKED = [
    ("GET", "/", 200),
    ("GET", "/lab", 200),
    ("GET", "/schema", 200),
    ("GET", "/schema/openapi.json", 200),
    ("GET", "/problems/forbidden", 200),
    ("GET", "/problems/nothing", 404),
    ("GET", "/assets/nothing.js", 404),
    ("GET", "/nothing", 404),
    ("GET", "/health/live", 200),
    ("GET", "/metrics", 200),
    ("GET", "/v1/wallets", 200),
    ("GET", "/v1/wallets/0190a0a0-0000-7000-8000-000000000000", 404),
    ("POST", "/v1/wallets", 400),
    ("OPTIONS", "/v1/wallets", 405),
    ("DELETE", "/v1/wallets", 405),
    ("HEAD", "/", 405),
]


def check(headers: "httpx.Headers | Message[str, str]", *, tls: bool) -> None:
    """Hold an answer's headers to what all have in common."""
    for name, value in ALWAYS.items():
        assert headers[name] == value
    assert headers["cache-control"]
    assert "server" not in headers
    assert ("strict-transport-security" in headers) is tls
    directives = [part.strip().split(" ") for part in headers["content-security-policy"].split(";")]
    policy = {name: values for name, *values in directives}
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == ["'none'"]
    assert policy["form-action"] == ["'none'"]
    # Nothing inline, unless by its hash; nothing from anywhere else.
    for values in policy.values():
        assert all(value in ("'none'", "'self'", "data:") or value.startswith("'sha256-") for value in values)
    assert policy.get("script-src", ["'self'"]) == ["'self'"]


@pytest.mark.parametrize(("method", "path", "status"), ASKED)
def test_every_answer_tells_browsers_to_do_no_more_with_it_than_is_meant(
    secured: Secured, method: str, path: str, status: int
) -> None:
    with httpx.Client(base_url=secured.service.url, headers=secured.service.headers) as client:
        for accept in ("text/html", "application/json"):
            answer = client.request(method, path, headers={"accept": accept})
            assert answer.status_code == status
            check(answer.headers, tls=True)
        check(httpx.request(method, f"{secured.service.url}{path}").headers, tls=True)


@pytest.mark.parametrize(
    "sent", [b"NONSENSE\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"x" * 40_000]
)
def test_so_does_the_answer_to_what_is_no_request(secured: Secured, sent: bytes) -> None:
    address = urlsplit(secured.service.url)
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=10) as connection:
        connection.sendall(sent)
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    status, _, rest = answer.partition(b"\r\n")
    assert status == b"HTTP/1.1 400 Bad Request"
    check(parse_headers(BytesIO(rest)), tls=True)


async def test_nothing_is_said_of_tls_and_no_leave_is_given_unless_that_is_set(api: Api) -> None:
    for origin in ({}, {"origin": ORIGIN}):
        answer = await api.get("/v1/wallets", headers=origin)
        check(answer.headers, tls=False)
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "vary" not in answer.headers
    asked = {"origin": ORIGIN, "access-control-request-method": "GET"}
    preflight = await api.client.options("/v1/wallets", headers=asked)
    assert (preflight.status_code, problem_of(preflight)) == (405, "method-not-allowed")
    assert not [name for name in preflight.headers if name.startswith("access-control")]


def listed(value: bytes | str) -> set[str]:
    return {part.strip().lower() for part in (value.decode() if isinstance(value, bytes) else value).split(",")}


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/v1/wallets", "authorization,content-type,idempotency-key"),
        ("PATCH", "/v1/wallets/0190a0a0-0000-7000-8000-000000000000", "authorization,content-type,idempotency-key"),
        ("GET", "/v1/wallets/0190a0a0-0000-7000-8000-000000000000", "authorization,if-none-match,x-request-id"),
        ("GET", "/v1/events", "authorization,last-event-id"),
    ],
)
def test_a_page_of_a_named_origin_that_asks_first_gets_leave_without_a_key(
    secured: Secured, method: str, path: str, headers: str
) -> None:
    for origin in (ORIGIN, secured.shop):
        get_leave(secured, origin, method, path, headers)


def get_leave(secured: Secured, origin: str, method: str, path: str, headers: str) -> None:
    """Ask first, as a browser does, and hold the answer to what it goes by."""
    asked = {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": headers,
    }
    answer = httpx.options(f"{secured.service.url}{path}", headers=asked)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == origin
    assert method.lower() in listed(answer.headers["access-control-allow-methods"])
    assert listed(headers) <= listed(answer.headers["access-control-allow-headers"])
    assert int(answer.headers["access-control-max-age"]) > 0
    # Cookies are none of it, and there are none.
    assert "access-control-allow-credentials" not in answer.headers
    assert "origin" in listed(answer.headers["vary"])
    check(answer.headers, tls=True)


@pytest.mark.parametrize(
    "origin",
    [
        "https://shop.example.evil.example",
        "https://evil.example",
        "http://shop.example",
        "https://SHOP.example",
        "null",
        "",
    ],
)
def test_pages_of_other_origins_get_no_leave(secured: Secured, origin: str) -> None:
    asked = {"origin": origin, "access-control-request-method": "POST"}
    for answer in (
        httpx.options(f"{secured.service.url}/v1/wallets", headers=asked),
        httpx.get(f"{secured.service.url}/v1/wallets", headers={**secured.service.headers, "origin": origin}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "origin" in listed(answer.headers["vary"])
    assert answer.status_code == 200


def test_such_a_page_may_read_what_it_needs_of_an_answer_and_of_a_refusal(secured: Secured) -> None:
    with httpx.Client(base_url=secured.service.url, headers={"origin": ORIGIN}) as client:
        opened = client.post(
            "/v1/wallets",
            json={"currency": "EUR"},
            headers={**secured.service.headers, "idempotency-key": "from-a-page"},
        )
        for answer, status in ((opened, 201), (client.get("/v1/wallets"), 401), (client.get("/nothing"), 404)):
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            exposed = listed(answer.headers["access-control-expose-headers"])
            assert exposed == {"etag", "idempotent-replayed", "location", "retry-after", "x-request-id"}
    assert opened.headers["location"].startswith("/v1/wallets/")


def test_the_lists_of_the_cors_protocol_are_of_headers_and_methods_that_the_api_has() -> None:
    assert listed(METHODS) == {"get", "patch", "post"}
    assert {"authorization", "idempotency-key", "content-type", "if-none-match"} <= listed(REQUEST_HEADERS)
    assert "idempotent-replayed" in listed(EXPOSED)
