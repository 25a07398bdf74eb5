"""One connection through a proxy: both of its sides, and whether anything may pass between them."""

import asyncio
import socket
import struct
from typing import Any

import attrs


@attrs.define(eq=False)
class Link:
    """One connection through a proxy."""

    dialogue: Any
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    silent: bool = False
    _open: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)
    _stalls: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self._open.set()

    def hold(self) -> None:
        """Let nothing pass until as many ``unhold`` were called."""
        self._stalls += 1
        self._open.clear()

    def unhold(self) -> None:
        self._stalls -= 1
        if self._stalls == 0:
            self._open.set()

    async def opened(self) -> None:
        """Return when bytes may pass."""
        await self._open.wait()

    def cut(self, *, reset: bool = True) -> None:
        """Close both sides. The server's side is closed after what was written to it."""
        if self.server is not None:
            self.server.close()
        if reset:
            reset_socket(self.client)
        else:
            self.client.close()

    def fall_silent(self, *, server_closed: bool = False) -> None:
        """Let all bytes vanish from now on."""
        self.silent = True
        if server_closed and self.server is not None:
            self.server.close()
        while self._stalls:
            self.unhold()


def reset_socket(writer: asyncio.StreamWriter) -> None:
    """Close a socket with a reset instead of in good order."""
    sock = writer.get_extra_info("socket")
    # One that is closing already may have no descriptor any more.
    if sock is not None and sock.family != socket.AF_UNIX and not writer.transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
