"""The bytes on the wire: what a server process makes of odd, long, hasty and senseless requests."""

import asyncio
import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.databases import Databases
from tests.http.process import API_KEY, Running, serving


def exchange(service: Running, request: bytes) -> bytes:
    """Send bytes as they are, and return what comes back until nothing more does."""
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        connection.sendall(request)
        connection.settimeout(1.0)
        received = b""
        try:
            while chunk := connection.recv(65_536):
                received += chunk
        except TimeoutError:
            pass
        return received


def raw(*headers: str, body: bytes = b"", path: str = "/v1/wallets") -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: wallet",
        f"Authorization: Bearer {API_KEY}",
        "Idempotency-Key: raw",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


JSON = "Content-Type: application/json"


@pytest.fixture(scope="module")
def service(databases: Databases) -> Iterator[Running]:
    dsn = databases.create()
    with serving(dsn) as running:
        yield running
    databases.drop(dsn)


def test_a_chunked_body_that_grows_too_large_is_refused_before_it_ends(service: Running) -> None:
    endless = b"1000\r\n" + b" " * 4096 + b"\r\n"
    answer = exchange(service, raw(JSON, "Transfer-Encoding: chunked", body=endless * 5))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"/problems/payload-too-large" in answer


def test_a_body_that_is_declared_too_large_is_refused_before_it_is_sent(service: Running) -> None:
    answer = exchange(service, raw(JSON, "Content-Length: 16385", "Expect: 100-continue"))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer


def test_a_body_that_is_announced_is_asked_for(service: Running) -> None:
    body = b'{"currency": "EUR"}'
    answer = exchange(service, raw(JSON, f"Content-Length: {len(body)}", "Expect: 100-continue", body=body))
    assert answer.startswith(b"HTTP/1.1 100 Continue")
    assert b"HTTP/1.1 201 " in answer


def test_requests_on_one_connection_are_answered_in_order(service: Running) -> None:
    body = b'{"currency": "EUR"}'
    write = raw(JSON, f"Content-Length: {len(body)}", body=body)
    answer = exchange(service, write + raw("Content-Length: 0", path="/v1/nowhere") + write)
    assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [b"201", b"404", b"201"]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/wallets\x00 HTTP/1.1\r\nHost: wallet\r\n\r\n",
        raw(JSON, "Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        raw(JSON, "Content-Length: -1"),
        raw(JSON, "Host: a b"),
    ],
)
def test_what_is_no_http_harms_nobody(service: Running, request_bytes: bytes) -> None:
    answer = exchange(service, request_bytes)
    assert not answer or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400", b"HTTP/1.1 4"))
    with service.client() as client:
        assert client.get("/health/live").status_code == 200


def test_the_server_does_not_name_itself(service: Running) -> None:
    with service.client() as client:
        assert "server" not in client.get("/v1/wallets").headers


async def test_fifty_at_once_with_one_key_are_one_effect(service: Running) -> None:
    async with service.async_client() as client:
        request = {"json": {"currency": "EUR"}, "headers": {"idempotency-key": "fifty"}}
        answers = await asyncio.gather(*(client.post("/v1/wallets", **request) for _ in range(50)))  # type: ignore[arg-type]  # the members differ in type
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.content for answer in answers}) == 1
        assert sorted(answer.headers["idempotent-replayed"] for answer in answers) == ["false"] + ["true"] * 49
