"""The service as a process of its own, on a free port."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import attrs
import httpx

API_KEY: Final = "the key of the tests, long enough".replace(" ", "-")
START_S_MAX: Final = 60
STOP_S_MAX: Final = 30

_LINK = re.compile(r"(http://127\.0\.0\.1:\d+)/(?:#key=(\S+))?")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process with these settings and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WALLET_")}
    return {**kept, **settings}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "entrypoints.cli", *arguments]


def run(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the service to its end."""
    return subprocess.run(
        command(*arguments), env=environment(settings), capture_output=True, text=True, timeout=START_S_MAX, check=False
    )


@attrs.define
class Running:
    """A service that has said it is ready."""

    process: "subprocess.Popen[str]"
    url: str
    api_key: str
    output: list[str]

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=30, **options)

    def async_client(self, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, headers=self.headers, timeout=30, **options)

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.api_key}"}

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_S_MAX)


@contextmanager
def serving(
    database_url: str | None = None, program: Sequence[str] = (), folder: Path | None = None, /, **settings: str
) -> Iterator[Running]:
    """The service, over this database, or over its own in ``WALLET_DATA_DIR``. Whatever happens, it ends with this.

    ``program`` is what is run instead of this checkout's command line, and ``folder`` where.
    """
    if database_url is not None:
        settings = {"WALLET_DATABASE_URL": database_url, "WALLET_BOOTSTRAP_API_KEY": API_KEY, **settings}
    with subprocess.Popen(
        [*program, "serve"] if program else command("serve"),
        cwd=folder,
        env=environment({"WALLET_PORT": "0", **settings}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield _wait_until_ready(process)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(STOP_S_MAX)
                except subprocess.TimeoutExpired:
                    process.kill()


def _wait_until_ready(process: "subprocess.Popen[str]") -> Running:
    output: IO[str] | None = process.stdout
    if output is None:
        raise RuntimeError("the service has no output")
    lines: list[str] = []
    for line in output:
        lines.append(line)
        if found := _LINK.search(line):
            # Read on, so that a service that has much to say is never held up by a full pipe.
            threading.Thread(target=lines.extend, args=(output,), daemon=True).start()
            return Running(process, found[1], found[2] or API_KEY, lines)
    raise RuntimeError(f"the service did not start: {''.join(lines)}")


def eventually(holds: Callable[[], bool], within_s: float = 15.0) -> bool:
    """Whether something comes to hold in time."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
