"""The service under load: started as a user would start it, on the server that pgbench is measured on."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import attrs
import httpx
import psutil

READY_S_MAX: Final = 30.0
API_KEY: Final = "benchmark-key-of-this-run-only"


@attrs.frozen
class Served:
    """A running service. ``started_s`` is how long it took from the command to the first answered request."""

    url: str
    started_s: float
    process: psutil.Process

    def memory_mb(self) -> float:
        """The resident memory of the process that serves."""
        return float(self.process.memory_info().rss) / 2**20


@contextmanager
def serving(database_url: str, port: int) -> Iterator[Served]:
    """The service on a loopback port. Raises ``TimeoutError`` if it does not come up."""
    url = f"http://127.0.0.1:{port}"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("WALLET_")},
        "WALLET_DATABASE_URL": database_url,
        "WALLET_AUTO_MIGRATE": "on",
        "WALLET_PORT": str(port),
        "WALLET_BOOTSTRAP_API_KEY": API_KEY,
    }
    begun = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "entrypoints.cli", "serve"], env=environment, stdout=subprocess.DEVNULL
    ) as service:
        try:
            while not _answers(url):
                if time.monotonic() - begun > READY_S_MAX or service.poll() is not None:
                    raise TimeoutError("the service did not come up")
                time.sleep(0.01)
            yield Served(url, time.monotonic() - begun, psutil.Process(service.pid))
        finally:
            service.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready").status_code == 200
    except httpx.TransportError:
        return False
