"""A Redis server of a test's own, in a process that can be stopped, frozen and started again."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
from redis.asyncio import Redis

START_S_MAX: Final = 10.0
POLL_S: Final = 0.01


class NoRedis(Exception):
    """There is no Redis to test with."""


def redis_program() -> str:
    """The path of ``redis-server``. Raises ``NoRedis``."""
    found = shutil.which("redis-server")
    if found is None:
        raise NoRedis("redis-server is not on the PATH; it is the Debian package of that name (.ci/run installs it)")
    return found


@attrs.define
class RedisServer:
    """On a port of the loopback and on a socket, in memory only."""

    folder: Path
    port: int
    options: tuple[str, ...] = ()
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket_url(self) -> str:
        return f"unix://{self.folder}/redis.sock?db=0"

    def start(self) -> None:
        """Start, or start again with nothing kept. Returns when it answers."""
        process = self._process = self._spawn()
        deadline = time.monotonic() + START_S_MAX
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise NoRedis(f"redis-server did not start: {(self.folder / 'log').read_text()[-1000:]}")
            time.sleep(POLL_S)

    def _spawn(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [
                *(redis_program(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
                *("--unixsocket", str(self.folder / "redis.sock"), "--save", "", "--appendonly", "no"),
                *("--logfile", str(self.folder / "log"), *self.options),
            ]
        )

    def stop(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it hang: connections are taken by the system, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Any]:
        """An administrator's connection, with a password if the options set one."""
        password = self.options[self.options.index("--requirepass") + 1] if "--requirepass" in self.options else None
        connection = Redis(port=self.port, password=password)
        try:
            yield connection
        finally:
            await connection.aclose()

    async def keys(self) -> list[bytes]:
        """All keys, in order."""
        async with self.client() as client:
            return sorted([key async for key in client.scan_iter()])

    def _answers(self) -> bool:
        with closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.settimeout(START_S_MAX)
            try:
                connection.connect(str(self.folder / "redis.sock"))
                connection.sendall(b"PING\r\n")
                # Or a complaint that no password was given, which is an answer too.
                return connection.recv(1) in (b"+", b"-")
            except OSError:
                return False

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("the server does not run")
        self._process.send_signal(number)


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """A running server with these options."""
    folder = Path(tempfile.mkdtemp(prefix="wallet-redis-"))
    server = RedisServer(folder, free_port(), options)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def free_port() -> int:
    """A port that nothing listens on just now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
