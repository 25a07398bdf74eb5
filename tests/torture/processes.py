"""The processes that a campaign starts and breaks: instances of the service, Redis, and the disk under PostgreSQL."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs
import psutil

from tests.http.process import API_KEY, environment
from tests.torture.http_client import HttpClient, NoAnswer, NotSent

ROOT: Final = Path(__file__).parents[2]
HOST: Final = "127.0.0.1"
READY_S_MAX: Final = 120.0
STOP_S_MAX: Final = 30.0
POLL_S: Final = 0.05

SERVE: Final = (sys.executable, "-m", "entrypoints.cli", "serve")
"""The command that starts the service. A test of the checker starts a broken one instead."""


class CampaignError(Exception):
    """The campaign itself cannot go on. The message is for whoever runs it."""


async def eventually(holds: Callable[[], bool], within_s: float) -> bool:
    """Whether something comes to hold in time."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True


@attrs.define
class Instance:
    """One instance of the service: a parent and its workers, always at the same address."""

    number: int
    port: int
    settings: Mapping[str, str]
    log: Path
    command: Sequence[str] = SERVE
    workers: int = 2
    clock: Path | None = None
    """Where libfaketime reads by how much the instance's clock is off; None where its clock is left alone."""
    _process: "subprocess.Popen[bytes] | None" = attrs.field(default=None, init=False)

    @property
    def pid(self) -> int:
        if self._process is None:
            raise CampaignError(f"instance {self.number} is not started")
        return self._process.pid

    def start(self) -> None:
        """Start it, without waiting until it is ready."""
        settings = {
            "WALLET_HOST": HOST,
            "WALLET_PORT": str(self.port),
            "WALLET_WORKERS": str(self.workers),
            "WALLET_BOOTSTRAP_API_KEY": API_KEY,
            "WALLET_LAB": "on",
            **self.settings,
        }
        variables = environment(settings)
        if self.clock is not None:
            variables |= skewed(self.clock)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                env=variables,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def start_again(self) -> None:
        """Start it, and return when it is ready. Its parent may have died for want of a database: then once more."""
        deadline = time.monotonic() + READY_S_MAX
        while time.monotonic() < deadline:
            if not self.is_alive():
                self.start()
            if await self.is_ready():
                return
            await asyncio.sleep(POLL_S)
        raise CampaignError(f"instance {self.number} is not ready after {READY_S_MAX:g} s: {self.last_words()}")

    async def is_ready(self) -> bool:
        """Whether it answers that it can take writes."""
        client = HttpClient(HOST, self.port)
        try:
            return (await client.request("GET", "/health/ready", timeout_s=3.0)).status == 200
        except (NotSent, NoAnswer):
            return False
        finally:
            client.close()

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def worker_pids(self) -> list[int]:
        """The processes that serve."""
        if self.workers == 1:
            return [self.pid] if self.is_alive() else []
        found: list[int] = []
        with suppress(psutil.Error):
            for child in psutil.Process(self.pid).children():
                # One that has just ended has no command line any more.
                with suppress(psutil.Error):
                    if any("spawn_main" in part for part in child.cmdline()):
                        found.append(child.pid)
        return found

    async def stop(self) -> int:
        """SIGTERM, and the exit code."""
        process = self._process
        if process is None:
            return 0
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(process.wait, STOP_S_MAX)

    async def kill(self) -> list[int]:
        """Kill the parent alone, and return when it and its workers are gone; returns the workers that were."""
        workers = self.worker_pids()
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait, STOP_S_MAX)
        if not await eventually(lambda: not any(psutil.pid_exists(pid) for pid in workers), STOP_S_MAX):
            raise CampaignError(f"the workers {workers} outlive their parent")
        return workers

    def end(self) -> None:
        """Whatever state it is in: gone."""
        for pid in self.worker_pids() if self._process is not None else []:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-10:]) if self.log.exists() else ""


def faketime() -> Path | None:
    """The library that skews clocks, if it is installed."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


def skewed(clock: Path) -> dict[str, str]:
    """Variables for a process whose wall clock is off by what this file says. Monotonic clocks are left alone."""
    library = faketime()
    if library is None:
        return {}
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DISABLE_SHM": "1",
    }


@attrs.define
class RedisServer:
    """Redis, always at the same port."""

    folder: Path
    port: int
    _process: "subprocess.Popen[bytes] | None" = attrs.field(default=None, init=False)

    def start(self) -> None:
        """Start it, without waiting until it is ready."""
        options = {"port": str(self.port), "bind": HOST, "save": "", "appendonly": "no", "dir": str(self.folder)}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen(
            ["redis-server", *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )

    @property
    def pid(self) -> int:
        if self._process is None:
            raise CampaignError("Redis is not started")
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@attrs.define
class Disk:
    """A small file system of its own under PostgreSQL, whose size can be cut down to what is in use."""

    path: Path
    mounted: bool = False
    BYTES: Final = 6 << 30  # It takes no more memory than what is written to it.

    def mount(self) -> bool:
        """Mount it, if this process may; returns whether it is there."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.mounted = self._run("mount", "-t", "tmpfs", "-o", f"size={self.BYTES},mode=755", "wallet-torture")
        return self.mounted

    def fill(self) -> bool:
        """Leave no room but for a few pages; returns whether a file can no longer grow."""
        state = os.statvfs(self.path)
        used = (state.f_blocks - state.f_bfree) * state.f_frsize
        self._remount(used + (16 << 10))
        probe = self.path / "probe"
        try:
            with probe.open("wb") as file:
                file.write(bytes(1 << 20))
        except OSError:
            return True
        else:
            return False
        finally:
            probe.unlink(missing_ok=True)

    def free(self) -> None:
        if self.mounted:
            self._remount(self.BYTES)

    def unmount(self) -> None:
        if self.mounted:
            self._run("umount", "-l")
            self.mounted = False

    def _remount(self, size: int) -> None:
        self._run("mount", "-o", f"remount,size={size}")

    def _run(self, *words: str) -> bool:
        try:
            done = subprocess.run([*words, str(self.path)], capture_output=True, check=False)
        except OSError:
            return False
        return done.returncode == 0
