"""One address for several instances: each connection goes to the next one that accepts it."""

import asyncio
from contextlib import suppress

import attrs


@attrs.define
class Balancer:
    """Passes bytes on, both ways. ``backends`` may be changed while it runs."""

    backends: list[tuple[str, int]]
    address: tuple[str, int] = ("", 0)
    _next: int = 0
    _server: asyncio.Server | None = None
    _tasks: "set[asyncio.Task[None]]" = attrs.field(factory=set)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = self._server.sockets[0].getsockname()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            back_reader, back_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        try:
            await asyncio.gather(_pass_on(reader, back_writer), _pass_on(back_reader, writer))
        finally:
            writer.close()
            back_writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in self.backends:
            self._next += 1
            with suppress(OSError):
                return await asyncio.open_connection(*self.backends[self._next % len(self.backends)])
        raise ConnectionRefusedError


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        # Either end closes both, as it would without something between.
        writer.close()
