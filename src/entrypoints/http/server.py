"""The server: one process, or several under a parent that replaces those that die."""

import asyncio
import gc
import logging
import math
import multiprocessing
import resource
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Final

import uvicorn
from litestar.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from entrypoints.http.protocol import BoundedProtocol

FILES_BESIDE_CONNECTIONS: Final = 1_000
BACKLOG: Final = 2048
KEEP_ALIVE_S: Final = 75

GRACE_S_MAX: Final = 30
"""How long the end of a process waits for requests that are under way, in seconds."""

START_S_MAX: Final = 60.0
"""How long the start waits for the processes, in seconds, before it stops telling that it has succeeded."""

SILENT_S_MAX: Final = 30.0
"""How long a process may be silent, in seconds, before it is replaced. A new one is until it has been set up, which on
a busy machine takes longer than the 5 s of uvicorn: it would be killed, and the next one too."""

PING_S_MAX: Final = 0.2

STOP_S_MAX: Final = 60.0
"""How long the parent waits for its processes to end by themselves, in seconds: their requests, then their batches."""

GC_ALLOCATIONS: Final = 200_000
"""After how many objects more than were freed the garbage collector looks for cycles."""

logger = logging.getLogger("wallet.server")


def bind(host: str, port: int) -> socket.socket:
    """Take the address, without listening yet. Raises ``OSError``."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except BaseException:
        listener.close()
        raise
    return listener


def serve(
    build: Callable[[], ASGIApp],
    listeners: Sequence[socket.socket],
    *,
    start_logs: Callable[[], None],
    workers: int,
    request_timeout_s: float,
    announce: Callable[[], None],
    headers: Sequence[tuple[str, str]] = (),
) -> None:
    """Serve until a signal ends it: SIGTERM or SIGINT finishes what is under way, within a bounded time.

    ``start_logs`` and ``build``, which makes the application, are called in each process anew, so they must be
    picklable. ``announce`` is called once the service answers. ``headers`` come with every answer. Raises ``OSError``
    if the address is taken after all.
    """
    _raise_open_files_limit()
    config = uvicorn.Config(
        partial(_in_process, start_logs, build),
        factory=True,
        workers=workers,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        interface="asgi3",
        lifespan="on",
        log_config=None,
        access_log=False,
        # Whoever asks is told by the API key, never by the address.
        proxy_headers=False,
        server_header=False,
        headers=list(headers),
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=min(math.ceil(request_timeout_s) + 1, GRACE_S_MAX),
    )
    if workers == 1:
        _Announcing(config, announce).run(list(listeners))
    else:
        _Workers(config, listeners, announce).run()


class _Announcing(uvicorn.Server):
    """A server that says when it answers."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop. uvicorn takes a second SIGINT for leave to cancel what is under way; nothing gives that leave here."""
        if not self.should_exit:
            super().handle_exit(sig, frame)


class _Workers(Multiprocess):
    """Processes that share their listening sockets."""

    def __init__(
        self, config: uvicorn.Config, listeners: Sequence[socket.socket], announce: Callable[[], None]
    ) -> None:
        super().__init__(config, list(listeners))
        self._heard_at: dict[int | None, float] = {}
        self._announce = announce

    def init_processes(self) -> None:
        """Start the processes, and say when all of them answer."""
        super().init_processes()
        deadline = time.monotonic() + START_S_MAX
        waiting = list(self.processes)
        # A signal that comes meanwhile is in the queue, for the loop that follows to see.
        while waiting and not self.signal_queue and time.monotonic() < deadline:
            if not waiting[0].process.is_alive():
                return
            if waiting[0].is_ready(timeout=0.2):
                del waiting[0]
        if not waiting:
            self._announce()

    def keep_subprocess_alive(self) -> None:
        """Put others in the place of processes that have died, or have been silent for too long."""
        for number, process in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            now = time.monotonic()
            if process.process.is_alive():
                if process.ping(PING_S_MAX):
                    self._heard_at[process.pid] = now
                if now - self._heard_at.setdefault(process.pid, now) < SILENT_S_MAX:
                    continue
                logger.error("process %s was silent for %g s and is killed", process.pid, SILENT_S_MAX)
                process.kill()
            process.join()
            if process.exitcode == STARTUP_FAILURE:
                # The next one would fail in the same way.
                logger.error("process %s did not start, so this one ends too", process.pid)
                self.should_exit.set()
                return
            logger.warning("process %s ended with %s; another takes its place", process.pid, process.exitcode)
            self._heard_at.pop(process.pid, None)
            self.processes[number] = Process(self.config, self.sockets)
            self.processes[number].start()

    def terminate_all(self) -> None:
        """Tell the processes to stop, and let go of the address: with theirs gone too, it refuses connections instead
        of leaving them to wait for nobody."""
        super().terminate_all()
        for listener in self.sockets:
            listener.close()

    def join_all(self) -> None:
        """Wait for the processes to end; one that does not in time is killed. What it had not committed is undone."""
        deadline = time.monotonic() + STOP_S_MAX
        for process in self.processes:
            process.process.join(max(0.0, deadline - time.monotonic()))
            if process.process.is_alive():
                logger.error("process %s did not end in %g s and is killed", process.pid, STOP_S_MAX)
                process.process.kill()
                process.process.join()


def _in_process(start_logs: Callable[[], None], build: Callable[[], ASGIApp]) -> ASGIApp:
    """Make the application in the process that serves it. Called by the server, in its event loop."""
    start_logs()
    parent = multiprocessing.parent_process()
    if parent is not None:
        # A parent that was killed cannot pass the word on, and its processes would keep the address for ever.
        asyncio.get_running_loop().add_reader(parent.sentinel, _end_without_parent, parent.sentinel)
        # A terminal sends it to all processes. The parent passes the word on, and twice would be once too often.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    app = build()
    # What is there now stays, and requests leave hardly any cycles: looking through it all, as often as the default
    # has it, takes a tenth of what a process can do.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS)
    return app


def _end_without_parent(sentinel: int) -> None:
    asyncio.get_running_loop().remove_reader(sentinel)
    logger.error("the parent process is gone, so this one ends too")
    signal.raise_signal(signal.SIGTERM)


def _raise_open_files_limit() -> None:
    """Every connection is an open file, and the usual limit of them is a tenth of what a process can serve."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = BoundedProtocol.connections_max + FILES_BESIDE_CONNECTIONS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
