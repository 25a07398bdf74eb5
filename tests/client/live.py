"""Clients of the real service, whose requests ask its lab for faults or are tampered with on the way."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from uuid import UUID

import attrs
import httpx

from adapters.http_client import Retries, WalletClient

FAULT: Final = "Wallet-Lab-Fault"
HURRIED: Final = Retries(backoff_s_first=0.02, backoff_s_max=0.1)

Tamper = Callable[[httpx.Request], None]
Pipe = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def faulty(fault: str) -> Tamper:
    """Have the first request that is sent meet this fault."""
    left = [fault]

    def tamper(request: httpx.Request) -> None:
        if left:
            request.headers[FAULT] = left.pop()

    return tamper


@attrs.define
class Live:
    """A tenant of the real service, and what its clients sent."""

    url: str
    api_key: str
    sent: list[httpx.Request] = attrs.field(factory=list)
    connections: set[Any] = attrs.field(factory=set)
    """The client's ends of the connections that answers came on."""
    _https: list[httpx.AsyncClient] = attrs.field(factory=list)

    def client(self, *tampering: Tamper, retries: Retries = HURRIED, url: str | None = None) -> WalletClient:
        """A client, whose requests are tampered with before they are sent."""

        async def send(request: httpx.Request) -> None:
            for tamper in tampering:
                tamper(request)
            self.sent.append(request)

        async def receive(response: httpx.Response) -> None:
            self.connections.add(response.extensions["network_stream"].get_extra_info("client_addr"))

        hooks: dict[str, list[Callable[..., Any]]] = {"request": [send], "response": [receive]}
        http = httpx.AsyncClient(verify=False, event_hooks=hooks)
        self._https.append(http)
        return WalletClient(url or self.url, self.api_key, retries=retries, http=http)

    async def open(self) -> UUID:
        """A new wallet."""
        return (await self.client().open("EUR")).wallet.id

    async def state(self, wallet_id: UUID) -> tuple[int, int]:
        """Its balance and version."""
        wallet = await self.client().wallet(wallet_id)
        return wallet.balance, wallet.version

    @property
    def keys(self) -> list[str]:
        """The idempotency keys of the writes to a wallet, in order."""
        return [each.headers["idempotency-key"] for each in self.sent if each.url.path.endswith(("credits", "debits"))]

    async def close(self) -> None:
        for http in self._https:
            await http.aclose()


def free_port() -> socket.socket:
    """An address on which connections are refused, until somebody listens."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    return bound


@asynccontextmanager
async def listening(pipe: Pipe, at: socket.socket | None = None) -> AsyncIterator[str]:
    """A server of connections, as a proxy is one; its URL."""
    bound = at or free_port()
    server = await asyncio.start_server(pipe, sock=bound)
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.close()


def relay(url: str, cut_answers: int = 0) -> Pipe:
    """Passes on what is sent and answered, but cuts the first connections when the service begins to answer."""
    target = httpx.URL(url)
    cuts = [None] * cut_answers

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, on = await asyncio.open_connection(target.host, target.port)
        try:
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(_copy(reader, on))
                while answer := await back.read(65_536):
                    if cuts:
                        cuts.pop()
                        writer.transport.abort()
                        break
                    writer.write(answer)
                    await writer.drain()
                sending.cancel()
        finally:
            on.close()
            writer.close()

    return pipe


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
