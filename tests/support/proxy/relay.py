"""A TCP proxy on a free port of the loopback, in front of a server on TCP or on a Unix socket; the base of those that
understand what they pass on.

A connection is a ``Link``: two pumps, one for each direction. What a pump has read is split into frames by the
protocol's ``Dialogue``, which says at which frame which point is reached; rules armed at the point then do as they say.
Without a rule, all bytes are passed on as they are.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Final, Protocol, Self
from weakref import WeakSet

import attrs

from tests.support.proxy.link import Link
from tests.support.proxy.rules import Action, Cut, Firings, HalfOpen, Moment, Replace, Rule, Stall, Truncate

CHUNK_BYTES: Final = 1 << 16

Address = tuple[str, int] | Path
"""A host and a port, or the path of a Unix socket."""


class ProtocolError(Exception):
    """A peer sent what cannot be a frame."""


@attrs.frozen
class Passage:
    """Bytes to pass on, and the points that are reached before and after them. ``reply`` answers the client itself, in
    place of the server."""

    data: bytes
    before: Moment | None = None
    after: Moment | None = None
    reply: bytes = b""


class Dialogue(Protocol):
    """What one connection has said so far. Splits both directions into passages, however their bytes arrive."""

    def opened(self) -> Moment | None:
        """The point that is reached when the client has connected, before the server is."""
        ...

    def from_client(self, data: bytes) -> Iterable[Passage]: ...

    def from_server(self, data: bytes) -> Iterable[Passage]: ...


@attrs.define
class Shape:
    """How slow the way is: a delay for each piece, in milliseconds, and the largest piece, in bytes."""

    delay_ms: float = 0.0
    piece_bytes_max: int = CHUNK_BYTES


class _Ended(Exception):
    """The connection was cut."""


class Relay:
    """A proxy; a context manager. It belongs to the event loop that it is entered on.

    ``random`` decides about rules with a probability, so that a seed repeats its decisions.
    """

    def __init__(self, upstream: Address, *, random: Random | None = None, shape: Shape | None = None) -> None:
        self.upstream = upstream
        self.shape = shape or Shape()
        self.errors: list[Exception] = []
        """What it could not understand. Such a connection is cut."""
        self.links: set[Link] = set()
        self.port = 0
        self._random = random or Random(0)
        self._rules: list[Rule] = []
        self._firings: dict[StrEnum, Firings] = defaultdict(Firings)
        self._listener: asyncio.Server | None = None
        self._serving: set[asyncio.Task[Any]] = set()
        self._closing: WeakSet[asyncio.WriteTransport] = WeakSet()

    def dialogue(self) -> Dialogue:
        """What follows a new connection."""
        raise NotImplementedError

    def arm(
        self,
        point: StrEnum,
        action: Action | None = None,
        *,
        times: int | None = 1,
        skip: int = 0,
        probability: float = 1.0,
        text: str | None = None,
        application: str | None = None,
    ) -> Rule:
        """Have this happen at the point: see ``Rule``. Of several rules the one that was armed first goes first."""
        rule = Rule(point, action or Cut(), times, skip, probability, text, application)
        self._rules.append(rule)
        return rule

    def disarm(self, rule: Rule | None = None) -> None:
        """Take back one rule, or all of them, and end their stalls."""
        for armed in [rule] if rule is not None else list(self._rules):
            armed.release()
            if armed in self._rules:
                self._rules.remove(armed)

    async def fired(self, point: StrEnum, times: int = 1) -> None:
        """Return when rules at the point have fired so often. Raises ``AssertionError`` if they do not in time."""
        await self._firings[point].reach(times)

    @property
    def fired_counts(self) -> dict[str, int]:
        """How often rules have fired, by point."""
        return {point.value: firings.count for point, firings in self._firings.items() if firings.count}

    def cut_all(self) -> None:
        """Cut every connection that there is now."""
        for link in list(self.links):
            link.cut()

    def silence_all(self, *, server_closed: bool = False) -> int:
        """Leave every connection that there is now half-open. Returns how many these were."""
        talking = [link for link in self.links if not link.silent]
        for link in talking:
            link.fall_silent(server_closed=server_closed)
        return len(talking)

    async def listen(self) -> None:
        """Take connections (again), always at the same port."""
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._listener.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Take no more connections: they are refused, as by a machine where no server runs."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        # What was written to a peer that does not read keeps a socket open for as long as the event loop lasts.
        for transport in list(self._closing):
            transport.abort()
        await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is served by a task")
        self._serving.add(task)
        link = Link(self.dialogue(), writer)
        self.links.add(link)
        try:
            await self._serve(link, reader)
        except (_Ended, OSError):
            pass
        except ProtocolError as error:
            self.errors.append(error)
        except asyncio.CancelledError:
            # The end of the proxy is no error of the connection's, which is what asyncio would report it as.
            pass
        finally:
            self.links.discard(link)
            self._serving.discard(task)
            for side in (link.server, link.client):
                if side is not None:
                    side.close()
                    self._closing.add(side.transport)

    async def _serve(self, link: Link, reader: asyncio.StreamReader) -> None:
        opened = link.dialogue.opened()
        if opened is not None:
            await self._act(link, self._rule_at(opened))
        if isinstance(self.upstream, Path):
            answers, link.server = await asyncio.open_unix_connection(str(self.upstream))
        else:
            answers, link.server = await asyncio.open_connection(*self.upstream)
        pumps = [
            asyncio.create_task(self._pump(link, reader, link.server, link.dialogue.from_client)),
            asyncio.create_task(self._pump(link, answers, link.client, link.dialogue.from_server)),
        ]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in done:
                pump.result()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, link: Link, source: asyncio.StreamReader, sink: asyncio.StreamWriter, split: Any) -> None:
        try:
            while data := await source.read(CHUNK_BYTES):
                if not link.silent:
                    await self._pass(link, sink, split(data))
        except OSError:
            # A reset is an end like any other; and where all is silent it is not heard of either.
            pass
        await link.opened()
        if link.silent:
            await asyncio.get_running_loop().create_future()

    async def _pass(self, link: Link, sink: asyncio.StreamWriter, passages: Iterable[Passage]) -> None:
        waiting: list[bytes] = []
        for passage in passages:
            before = self._rule_at(passage.before)
            data: bytes = passage.data
            if before is not None:
                await self._send(link, sink, waiting)
                waiting = []
                data = await self._act(link, before, data, sink)
            if passage.reply:
                await self._send(link, link.client, [passage.reply])
            waiting.append(data)
            after = self._rule_at(passage.after)
            if after is not None:
                # Nothing may come back before the rule has done what it does.
                await link.opened()
                link.hold()
                try:
                    await self._write(sink, b"".join(waiting))
                    waiting = []
                    await self._act(link, after)
                finally:
                    if not link.silent:
                        link.unhold()
        await self._send(link, sink, waiting)

    async def _send(self, link: Link, sink: asyncio.StreamWriter, parts: Sequence[bytes]) -> None:
        data = b"".join(parts)
        if data:
            await link.opened()
            if not link.silent:
                await self._write(sink, data)

    async def _write(self, sink: asyncio.StreamWriter, data: bytes) -> None:
        size = self.shape.piece_bytes_max
        for start in range(0, len(data), size):
            if self.shape.delay_ms:
                await asyncio.sleep(self.shape.delay_ms / 1000)
            sink.write(data[start : start + size])
            await sink.drain()
            if size < len(data):
                # Otherwise the next piece would join this one in the socket's buffer.
                await asyncio.sleep(0)

    def _rule_at(self, moment: Moment | None) -> Rule | None:
        if moment is None:
            return None
        for rule in self._rules:
            if rule.fires(moment, self._random):
                self._firings[moment.point].add()
                return rule
        return None

    async def _act(
        self, link: Link, rule: Rule | None, data: bytes = b"", sink: asyncio.StreamWriter | None = None
    ) -> bytes:
        """Do as the rule says. Returns what is to be passed on."""
        if rule is None:
            return data
        match rule.action:
            case Cut(reset):
                link.cut(reset=reset)
                raise _Ended
            case Stall(seconds):
                link.hold()
                try:
                    async with asyncio.timeout(seconds):
                        await rule.released.wait()
                except TimeoutError:
                    pass
                finally:
                    if not link.silent:
                        link.unhold()
            case HalfOpen(server_closed):
                link.fall_silent(server_closed=server_closed)
            case Truncate(kept):
                if sink is not None:
                    await self._write(sink, data[: len(data) // 2 if kept is None else kept])
                link.cut(reset=False)
                raise _Ended
            case Replace(make):
                return make(data)
        return data
