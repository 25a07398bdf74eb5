"""The load generator: wrk, with scripts in ``loads/``, on the same machine."""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from benchmarks.ledger import API_KEY
from benchmarks.service import Service

LOADS: Final = Path(__file__).parent / "loads"
GRACE_S_MAX: Final = 60
MARK: Final = "RESULT "
KINDS_OF_KEYS: Final = ("random", "ordered")


@attrs.frozen
class Measured:
    """What wrk says of a run. Times are microseconds; ``refused`` answers had a status other than 2xx;
    ``unexpected`` ones are counted by the scripts in which refusals are to be expected."""

    requests: int
    refused: int
    unexpected: int
    broken: int
    replays: int
    duration_us: int
    p50_us: int
    p99_us: int


@attrs.frozen
class Load:
    """A script and how it is run. With several services each has a thread, and its share of the connections."""

    script: str
    connections: int
    seconds: int
    wallets: int
    keys: str = "random"
    arguments: Sequence[str] = ()

    def run(self, *services: Service) -> Measured:
        """Run it. Raises ``RuntimeError`` if wrk fails, or connections break."""
        program = shutil.which("wrk")
        if program is None:
            raise RuntimeError("the load generator wrk is needed, and not found")
        # A seed of its own for each run: keys that were used before would make it a load of replays.
        arguments = [API_KEY, self.keys, str(secrets.randbits(32)), str(self.wallets), *self.arguments]
        command = [
            *(program, "--threads", str(len(services)), "--connections", str(self.connections)),
            *("--duration", f"{self.seconds}s", "--timeout", "10s", "--script", str(LOADS / self.script)),
            *(services[0].url, "--", *arguments),
        ]
        run = subprocess.run(
            command,
            cwd=LOADS,
            env={**os.environ, "WALLET_BENCHMARK_PORTS": " ".join(str(service.port) for service in services)},
            capture_output=True,
            text=True,
            timeout=self.seconds + GRACE_S_MAX,
            check=False,
        )
        found = [line for line in run.stdout.splitlines() if line.startswith(MARK)]
        if run.returncode != 0 or not found:
            raise RuntimeError(f"wrk failed: {run.stderr.strip() or run.stdout.strip()}")
        measured = Measured(**json.loads(found[0].removeprefix(MARK)))
        if measured.broken:
            raise RuntimeError(f"{measured.broken} connections broke or timed out")
        return measured
