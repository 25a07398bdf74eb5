"""Redis for the replays, in a process of its own, in memory only."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import attrs

START_S_MAX: Final = 10.0
POLL_S: Final = 0.01


@attrs.frozen
class Redis:
    """A server on a socket."""

    url: str
    process: "subprocess.Popen[bytes]"


@contextmanager
def running_redis() -> Iterator[Redis]:
    """A server from its start to its end."""
    program = shutil.which("redis-server")
    if program is None:
        raise RuntimeError("redis-server is needed to measure replays with a cache, and not found")
    folder = Path(tempfile.mkdtemp(prefix="wallet-bench-"))
    path = folder / "redis.sock"
    options = ("--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no", "--dir", str(folder))
    process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        _wait(path, process)
        yield Redis(f"unix://{path}?db=0", process)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def _wait(path: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline and process.poll() is None:
        with closing(socket.socket(socket.AF_UNIX)) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                time.sleep(POLL_S)
            else:
                return
    raise RuntimeError("redis-server did not start")
