"""TLS in front of a PostgreSQL that has none: the embedded server is built without, and listens on no address.

It speaks the part of PostgreSQL's protocol that agrees on TLS, and passes on what is inside. What a client verifies is
the same as with a server that does this itself.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import attrs

from tests.support.proxy.postgres import DECLINED, address_of
from tests.support.proxy.postgres_frames import SSL_REQUEST

ACCEPTED = b"S"
CHUNK_BYTES = 1 << 16
END_S_MAX = 5.0


@attrs.define
class TlsFront:
    """Where it listens, and how many came through, by whether they were encrypted."""

    port: int = 0
    encrypted: int = 0
    plain: int = 0


@asynccontextmanager
async def tls_front(dsn: str, context: ssl.SSLContext | None) -> AsyncIterator[TlsFront]:
    """In front of the only host of this URL. Without a context, TLS is declined, and what is plain is passed on."""
    upstream = address_of(dsn)
    front = TlsFront()
    serving: set[asyncio.Task[None]] = set()

    def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(serve(reader, writer)))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError):
            opening = await reader.readexactly(8)
            if int.from_bytes(opening[4:]) == SSL_REQUEST:
                writer.write(DECLINED if context is None else ACCEPTED)
                if context is not None:
                    await writer.start_tls(context)
                # Whoever does not agree to that leaves without a word.
                opening = await reader.readexactly(8)
            if writer.get_extra_info("ssl_object") is None:
                front.plain += 1
            else:
                front.encrypted += 1
            if isinstance(upstream, Path):
                server_reader, server = await asyncio.open_unix_connection(upstream)
            else:
                server_reader, server = await asyncio.open_connection(*upstream)
            server.write(opening)
            await asyncio.gather(_pump(reader, server), _pump(server_reader, writer))
        writer.close()

    listener = await asyncio.start_server(take, "127.0.0.1", 0)
    front.port = listener.sockets[0].getsockname()[1]
    try:
        yield front
    finally:
        listener.close()
        if serving:
            await asyncio.wait(serving, timeout=END_S_MAX)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
