"""When a connection takes what was read: after all that has come to the process meanwhile, and never out of its order.

The protocol serves real connections in the loop of the test, so that what comes in one look of the loop is known.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any, Final, cast

import attrs
import pytest
import uvicorn
from litestar.types import HTTPScope, Receive, Scope, Send
from uvicorn.server import ServerState

from entrypoints.http.answers import Answer, Reply
from entrypoints.http.protocol import BoundedProtocol

ANSWER_S_MAX: Final = 5.0


@attrs.define(eq=False)
class App:
    """Begins with each request at once, and tells what it was asked."""

    asked: "asyncio.Queue[str]" = attrs.field(factory=asyncio.Queue)

    def begin(self, scope: HTTPScope, body: bytes, reply: Reply) -> bool:
        if scope["path"] == "/bug":
            raise RuntimeError("a bug")
        self.asked.put_nowait(f"{scope['path']} {len(body)}")
        reply(Answer(200, (), b""))
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Nothing is asked that cannot be begun at once."""
        raise NotImplementedError

    async def hears(self, amount: int) -> list[str]:
        """What it is asked first, waited for."""
        async with asyncio.timeout(ANSWER_S_MAX):
            return [await self.asked.get() for _ in range(amount)]

    def has_heard(self) -> list[str]:
        """What it was asked by now."""
        return [self.asked.get_nowait() for _ in range(self.asked.qsize())]


class Made(BoundedProtocol):
    """Tells when it has been made."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self.app_state["made"].set_result(self)


@attrs.frozen
class Client:
    """A connection of which both ends are in this process."""

    socket: socket.socket
    served: BoundedProtocol

    def post(self, path: str, size: int = 0) -> None:
        self.socket.sendall(post(path, size))

    async def received(self) -> bytes:
        """What comes until the connection is closed."""
        loop = asyncio.get_running_loop()
        chunks = b""
        async with asyncio.timeout(ANSWER_S_MAX):
            while chunk := await loop.sock_recv(self.socket, 65_536):
                chunks += chunk
        return chunks


def post(path: str, size: int = 0) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: wallet\r\nContent-Length: {size}\r\n\r\n".encode() + b"x" * size


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
async def client(app: App) -> AsyncIterator[Client]:
    config = uvicorn.Config(cast(Any, app), http=Made, lifespan="off", log_config=None, proxy_headers=False)
    config.load()
    loop = asyncio.get_running_loop()
    made: asyncio.Future[BoundedProtocol] = loop.create_future()
    server = await loop.create_server(lambda: Made(config, ServerState(), {"made": made}), "127.0.0.1", 0)
    async with server:
        with socket.create_connection(server.sockets[0].getsockname()) as connected:
            connected.setblocking(False)
            served = await made
            yield Client(connected, served)
            served.abort()


async def test_who_waits_for_something_else_that_has_come_goes_on_before_a_request_is_taken(
    app: App, client: Client
) -> None:
    """As a batch does whose answer has come from the database in the same look."""
    loop = asyncio.get_running_loop()
    database, answering = socket.socketpair()
    with database, answering:
        answer: asyncio.Future[bytes] = loop.create_future()
        loop.add_reader(database, lambda: answer.set_result(database.recv(1)))
        answer.add_done_callback(lambda _: app.asked.put_nowait("goes on"))
        answer.add_done_callback(lambda _: loop.remove_reader(database))
        answering.send(b"!")
        client.post("/asked")
        assert await app.hears(2) == ["goes on", "/asked 0"]


async def test_what_comes_in_pieces_is_taken_in_their_order(app: App, client: Client) -> None:
    large = BoundedProtocol.waiting_bytes_max + 1
    for piece in (post("/1"), post("/2", 3), post("/3", large), post("/4")):
        client.served.data_received(piece)
    assert await app.hears(4) == ["/1 0", "/2 3", f"/3 {large}", "/4 0"]


async def test_no_more_waits_than_the_limit(app: App, client: Client) -> None:
    client.served.data_received(post("/1", BoundedProtocol.waiting_bytes_max))
    assert app.has_heard() == [f"/1 {BoundedProtocol.waiting_bytes_max}"]
    client.served.data_received(post("/2"))
    assert app.has_heard() == []
    client.served.data_received(post("/3"))
    assert app.has_heard() == ["/2 0", "/3 0"]


async def test_what_was_read_is_taken_of_a_client_that_sends_nothing_more(app: App, client: Client) -> None:
    client.served.data_received(post("/last"))
    client.served.eof_received()
    assert app.has_heard() == ["/last 0"]


async def test_what_was_read_is_taken_by_a_server_that_stops(app: App, client: Client) -> None:
    client.served.data_received(post("/last"))
    client.served.shutdown()
    assert app.has_heard() == ["/last 0"]
    assert (await client.received()).startswith(b"HTTP/1.1 200 ")


async def test_what_was_read_is_taken_before_a_limit_that_has_passed_closes_the_connection(
    app: App, client: Client
) -> None:
    """The event loop looks at its timers before it comes to what it was told to do soon."""
    client.served.data_received(post("/late"))
    client.served._look_whether_late()
    assert app.has_heard() == ["/late 0"]
    client.served._idle_since = 0.0
    client.served.data_received(post("/idle"))
    client.served._look_whether_idle()
    assert app.has_heard() == ["/idle 0"]
    assert not client.served.transport.is_closing()
    client.served._look_whether_late()
    assert client.served.transport.is_closing()


async def test_nothing_is_taken_of_a_connection_that_was_closed_meanwhile(app: App, client: Client) -> None:
    client.served.data_received(post("/gone"))
    client.served.abort()
    assert await client.received() == b""
    await asyncio.sleep(0.01)
    assert app.has_heard() == []


async def test_a_bug_closes_the_connection_and_is_told(client: Client) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    client.post("/bug")
    assert await client.received() == b""
    assert [str(context["exception"]) for context in told] == ["a bug"]


async def test_a_bug_does_not_keep_a_server_from_stopping(client: Client) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    client.served.data_received(post("/bug"))
    client.served.shutdown()
    assert await client.received() == b""
    assert [str(context["exception"]) for context in told] == ["a bug"]
