"""The service as a process of its own, as it is started for production: ``wallet serve``."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs
import psutil

from benchmarks.ledger import API_KEY

START_S_MAX: Final = 60.0
STOP_S_MAX: Final = 60.0
POLL_S: Final = 0.01


@attrs.frozen
class Service:
    """A running service. ``started_s``: how long it took to the first answered request, in seconds."""

    url: str
    process: "subprocess.Popen[bytes]"
    started_s: float

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def memory_mib(self) -> float:
        """Resident memory of its largest Python process, in MiB: that of a worker."""
        parent = psutil.Process(self.process.pid)
        ours = [p for p in (parent, *parent.children(recursive=True)) if p.name().startswith(("wallet", "python"))]
        return max(process.memory_info().rss for process in ours) / 2**20


@contextmanager
def serving(settings: Mapping[str, str]) -> Iterator[Service]:
    """``wallet serve`` with these settings, on a port that is free, from its start to its orderly end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("WALLET_")}
    started_at = time.monotonic()
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "wallet"), "serve"],
        env={**ours, "WALLET_HOST": "127.0.0.1", "WALLET_PORT": str(port), **settings},
        stdout=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, process)
        yield Service(url, process, time.monotonic() - started_at)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def on_database(dsn: str, workers: int | None = None, redis_url: str | None = None) -> dict[str, str]:
    """Settings for a service on a database that is there, with the key that the loads send."""
    settings = {"WALLET_DATABASE_URL": dsn, "WALLET_BOOTSTRAP_API_KEY": API_KEY}
    if workers is not None:
        settings["WALLET_WORKERS"] = str(workers)
    if redis_url is not None:
        settings["WALLET_REDIS_URL"] = redis_url
    return settings


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended with {process.returncode}")
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=START_S_MAX) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(POLL_S)
    raise RuntimeError(f"the service was not ready after {START_S_MAX:.0f} s")
