"""What a connection may bring, and how long it may take, on a real server with small limits."""

import asyncio
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, ClassVar, Final, cast

import attrs
import pytest
import uvicorn
from litestar.types import ASGIApp, Receive, Scope, Send

from entrypoints.http.answers import Answer
from entrypoints.http.problems import Refused
from entrypoints.http.protocol import ABORT, STOPPING, BoundedProtocol
from entrypoints.http.requests import header_values, read_body

ANSWER_S_MAX: Final = 10.0
GRACE_S: Final = 2


class SmallProtocol(BoundedProtocol):
    """Limits that a test can reach."""

    connections_max: ClassVar[int] = 3
    head_bytes_max: ClassVar[int] = 2048
    headers_max: ClassVar[int] = 10
    head_s_max: ClassVar[float] = 0.3
    pipelined_max: ClassVar[int] = 3
    linger_s_max: ClassVar[float] = 0.3
    answer_s_max: ClassVar[float] = 0.3


@attrs.define
class Served:
    """An application that tells what it got, and waits where it is told to. It counts what it was asked."""

    address: tuple[str, int] = ("", 0)
    asked: list[str] = attrs.field(factory=list)
    go_on: threading.Event = attrs.field(factory=threading.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http = cast(Any, scope)
        self.asked.append(http["path"])
        body = b""
        if http["path"] == "/early":
            await Answer(413, (), b"")(scope, receive, send)
            return
        if http["method"] == "POST":
            with suppress(Refused):
                body = await read_body(http, receive, 1_000_000, 5)
        match http["path"]:
            case "/wait":
                await asyncio.to_thread(self.go_on.wait, ANSWER_S_MAX)
            case "/drop":
                http["extensions"][ABORT]["abort"]()
            case "/large":
                body = b"x" * 30_000_000
            case "/trailer":
                body = b",".join(header_values(http, b"x-late"))
            case _:
                pass
        await Answer(200, (), body)(scope, receive, send)

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=ANSWER_S_MAX)

    def exchange(self, request: bytes) -> bytes:
        with self.connect() as connection:
            connection.sendall(request)
            return until_closed(connection)


@contextmanager
def running(
    app: ASGIApp, protocol: type[BoundedProtocol] = SmallProtocol, grace_s: int = GRACE_S, keep_alive_s: int = 5
) -> Iterator[tuple[str, int]]:
    """The address of a server of its own, in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        cast(Any, app),
        http=protocol,
        loop="uvloop",
        lifespan="off",
        log_config=None,
        # Else the application would be wrapped in another one, and nothing be begun without a task.
        proxy_headers=False,
        timeout_graceful_shutdown=grace_s,
        timeout_keep_alive=keep_alive_s,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def served() -> Iterator[Served]:
    app = Served()
    with running(app) as address:
        app.address = address
        yield app
        app.go_on.set()


def until_closed(connection: socket.socket) -> bytes:
    received = b""
    with suppress(ConnectionResetError):
        while chunk := connection.recv(65_536):
            received += chunk
    return received


def statuses(answers: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1\.1 (\d+) ", answers)


def get(path: str = "/", *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: wallet", *headers, "\r\n"]).encode()


LAST: Final = "Connection: close"
CHUNKED: Final = b"POST %b HTTP/1.1\r\nHost: wallet\r\nTransfer-Encoding: chunked\r\n\r\n"


# -------------------------------------------------------------------- between requests


def test_a_connection_on_which_nothing_is_asked_is_closed_and_none_before_its_time() -> None:
    app = Served()
    with running(app, keep_alive_s=1) as address:
        app.address = address
        with app.connect() as connection:
            for path in ("/", "/wait", "/"):
                connection.sendall(get(path))
                if path == "/wait":
                    # Longer than a connection may be idle, which it is not.
                    time.sleep(1.5)
                    app.go_on.set()
                assert statuses(connection.recv(65_536)) == [b"200"]
                time.sleep(0.7)
            asked_at = time.monotonic()
            connection.sendall(get())
            assert statuses(until_closed(connection)) == [b"200"]
            assert 0.9 < time.monotonic() - asked_at < 3
    assert app.asked == ["/", "/wait", "/", "/"]


# -------------------------------------------------------------------- heads


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (get("/", *(f"X-{number}: y" for number in range(10))), b"more than 10 headers"),
        (get("/", "X: " + "y" * 2048), b"more than 2048 bytes"),
        (get("/" + "y" * 2048), b"more than 2048 bytes"),
        (get("/", "X: " + "y" * 200_000), b"more than 2048 bytes"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 3000, b"more than 2048 bytes"),
        (b"\x16\x03\x01\x00\xa5\x01", b"Invalid HTTP request"),
    ],
    ids=["many headers", "long header", "long path", "very long header", "endless header", "no HTTP"],
)
def test_a_head_beyond_the_limits_is_answered_and_goes_no_further(served: Served, head: bytes, said: bytes) -> None:
    answer = served.exchange(head)
    assert statuses(answer) == [b"400"]
    assert b"content-type: application/problem+json\r\n" in answer
    assert b"/problems/malformed-request" in answer
    assert said in answer
    assert served.asked == []


def test_a_head_within_the_limits_is_served_in_however_many_pieces_it_comes(served: Served) -> None:
    head = get("/", *(f"X-{number}: {'y' * 150}" for number in range(8)), LAST)
    with served.connect() as connection:
        for at in range(0, len(head), 100):
            connection.sendall(head[at : at + 100])
        assert statuses(until_closed(connection)) == [b"200"]


@pytest.mark.parametrize(
    ("kept", "sent"),
    [(False, b""), (False, b"\r\n"), (True, b"\r\n"), (False, b"GET / HTTP/1.1\r\nHost: wal"), (True, b"GET /")],
)
def test_a_client_that_does_not_get_on_with_its_request_is_not_waited_for(
    served: Served, kept: bool, sent: bytes
) -> None:
    """However often it sends a little."""
    with served.connect() as connection:
        if kept:
            connection.sendall(get())
            assert statuses(connection.recv(65_536)) == [b"200"]
        began = time.monotonic()
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.settimeout(0.1)
            while time.monotonic() < began + ANSWER_S_MAX:
                connection.sendall(sent)
                sent = sent[:2] if sent == b"\r\n" else b"l" * len(sent[:1])
                with suppress(TimeoutError):
                    if connection.recv(65_536) == b"":
                        break
        assert 0.2 < time.monotonic() - began < 3


def test_the_wait_for_a_head_ends_with_it(served: Served) -> None:
    """What takes longer afterwards is the service's, and has its own limit."""
    with served.connect() as connection:
        connection.sendall(get("/wait", LAST))
        time.sleep(0.6)
        served.go_on.set()
        assert statuses(until_closed(connection)) == [b"200"]


# -------------------------------------------------------------------- bodies


def test_a_trailer_adds_nothing_to_the_head(served: Served) -> None:
    """It would pass for a header, such as an idempotency key, that nothing before the service has seen."""
    body = b"2\r\nab\r\n0\r\nX-Late: trailer\r\n\r\n"
    answer = served.exchange(CHUNKED % b"/trailer" + body + get("/", LAST))
    assert statuses(answer) == [b"200", b"200"]
    assert b"trailer" not in answer


def test_a_trailer_without_an_end_is_not_kept(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(CHUNKED % b"/" + b"2\r\nab\r\n0\r\nX-Late: ")
        time.sleep(0.1)
        connection.sendall(b"y" * 3000)
        assert statuses(until_closed(connection)) == [b"400"]


def test_the_rest_of_a_body_that_was_answered_is_waited_for_a_while_only(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(b"POST /early HTTP/1.1\r\nHost: wallet\r\nContent-Length: 1000000\r\n\r\n")
        assert statuses(connection.recv(65_536)) == [b"413"]
        began = time.monotonic()
        with suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() < began + ANSWER_S_MAX:
                connection.sendall(b"y")
                time.sleep(0.05)
        assert 0.2 < time.monotonic() - began < 3


# -------------------------------------------------------------------- pipelining


@pytest.mark.parametrize("then", [b"\x16\x03\x01", b"GET / HTTP/1.1\r\nX: " + b"y" * 3000], ids=["no HTTP", "long"])
def test_what_follows_a_request_is_not_answered_in_its_place(served: Served, then: bytes) -> None:
    """A refusal that overtakes the answer would be taken for it, and say of a write that it did not happen."""
    with served.connect() as connection:
        connection.sendall(get("/wait"))
        time.sleep(0.1)
        connection.sendall(then)
        time.sleep(0.1)
        served.go_on.set()
        answers = until_closed(connection)
    assert statuses(answers) == [b"200"]
    assert b"connection: close\r\n" in answers


def test_requests_beyond_the_limit_of_one_connection_are_not_taken(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(get("/wait") + get() * 20)
        time.sleep(0.1)
        served.go_on.set()
        assert statuses(until_closed(connection)) == [b"200"] * 4
    assert len(served.asked) == 4


def test_a_body_that_turns_out_to_be_none_is_refused_at_once(served: Served) -> None:
    answer = served.exchange(CHUNKED % b"/" + b"2\r\nab\r\nno size\r\n")
    assert statuses(answer) == [b"400"]


def test_a_body_in_many_pieces_is_no_head(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: wallet\r\nConnection: close\r\nContent-Length: 6000\r\n\r\n")
        for _ in range(6):
            time.sleep(0.02)
            connection.sendall(b"y" * 1000)
        assert until_closed(connection).endswith(b"y" * 6000)


# -------------------------------------------------------------------- answers and connections


def test_an_answer_that_is_read_leaves_no_limit_behind(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(get("/large"))
        received = 0
        while received < 30_000_000:
            received += len(connection.recv(1_000_000))
        time.sleep(0.6)
        connection.sendall(get("/", LAST))
        assert statuses(until_closed(connection)) == [b"200"]


def test_an_answer_that_is_not_read_is_given_up(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(get("/large"))
        assert connection.recv(1) == b"H"
        time.sleep(1)
        received = until_closed(connection)
    assert len(received) < 30_000_000
    assert_that_in_time(lambda: BoundedProtocol.unread_bytes == 0)


def test_answers_that_nobody_reads_do_not_add_up() -> None:
    class NoRoom(SmallProtocol):
        answer_s_max = 60.0
        unread_bytes_max = 50_000_000

    app = Served()
    with running(app, NoRoom) as address:
        app.address = address
        with app.connect() as first, app.connect() as second:
            first.sendall(get("/large"))
            assert first.recv(1) == b"H"
            second.sendall(get("/large"))
            assert len(until_closed(second)) < 30_000_000
            first.sendall(get("/", LAST))
            assert len(until_closed(first)) > 30_000_000
    assert BoundedProtocol.unread_bytes == 0


def test_a_connection_too_many_is_told_so_and_closed(served: Served) -> None:
    kept = [served.connect() for _ in range(3)]
    for connection in kept:
        connection.sendall(get())
        assert statuses(connection.recv(65_536)) == [b"200"]
    answer = served.exchange(get())
    assert statuses(answer) == [b"503"]
    for header in (b"retry-after: 1", b"connection: close", b"content-type: application/problem+json"):
        assert header + b"\r\n" in answer
    kept.pop().close()
    assert_that_in_time(lambda: statuses(served.exchange(get("/", LAST))) == [b"200"])
    for connection in kept:
        connection.close()


def test_a_connection_can_be_dropped_without_an_answer(served: Served) -> None:
    assert served.exchange(get("/drop")) == b""
    assert served.asked == ["/drop"]


def test_a_connection_that_comes_while_the_server_stops_does_not_hold_it_up() -> None:
    """The server tells its connections to end, and one was accepted just then: nobody would ever tell it."""
    late = threading.Event()

    class Late(SmallProtocol):
        head_s_max = 60.0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
            if late.is_set() and STOPPING not in self.app_state:
                self.loop.call_later(0.01, self.connection_made, transport)
            else:
                super().connection_made(transport)

    app = Served()
    with ExitStack() as connections:
        began = time.monotonic()
        with running(app, Late) as address:
            app.address = address
            first = connections.enter_context(app.connect())
            first.sendall(get())
            assert statuses(first.recv(65_536)) == [b"200"]
            late.set()
            second = connections.enter_context(app.connect())
            time.sleep(0.1)
            began = time.monotonic()
        assert time.monotonic() - began < GRACE_S
        assert until_closed(second) == b""


def assert_that_in_time(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ANSWER_S_MAX
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
