"""Loads over HTTP, made by wrk, on the same machine. What took effect is counted in the database, not believed."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from benchmarks.database import WALLETS
from benchmarks.ledger import API_KEY, applied
from benchmarks.rows import HOT_YARDSTICK, SPREAD_YARDSTICK, Row
from benchmarks.service import Service

LOADS: Final = Path(__file__).parent / "loads"
CONNECTIONS: Final = (1, 16, 64)
BATCH_SIZES: Final = (100, 1000)
BATCH_CONNECTIONS: Final = 2
GRACE_S_MAX: Final = 60
MARK: Final = "RESULT "


@attrs.frozen
class Measured:
    """What wrk says of a run. Times are microseconds; ``refused`` answers had a status of 400 or more."""

    requests: int
    refused: int
    broken: int
    duration_us: int
    p50_us: int
    p99_us: int


def wrk(service: Service, script: str, connections: int, seconds: int, arguments: Sequence[str]) -> Measured:
    """Run wrk with one of the scripts. Raises ``RuntimeError`` if connections broke."""
    program = shutil.which("wrk")
    if program is None:
        raise RuntimeError("the load generator wrk is needed, and not found")
    command = [
        *(program, "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"),
        *("--timeout", "10s", "--script", str(LOADS / script), service.url, "--", API_KEY, *arguments),
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=seconds + GRACE_S_MAX, check=False)
    found = [line for line in run.stdout.splitlines() if line.startswith(MARK)]
    if run.returncode != 0 or not found:
        raise RuntimeError(f"wrk failed: {run.stderr.strip() or run.stdout.strip()}")
    measured = Measured(**json.loads(found[0].removeprefix(MARK)))
    if measured.broken:
        raise RuntimeError(f"{measured.broken} connections broke or timed out")
    return measured


def credits(service: Service, dsn: str, seconds: int) -> Iterator[Row]:
    """Single credits at each number of connections, spread over all wallets and on one."""
    for wallets, name, yardstick in ((WALLETS, "spread", SPREAD_YARDSTICK), (1, "hot", HOT_YARDSTICK)):
        for connections in CONNECTIONS:
            prefix = f"{name}-{connections}"
            measured = wrk(service, "credits.lua", connections, seconds, [prefix, str(wallets)])
            yield _row(f"HTTP credits, {connections} connections, {name}", measured, dsn, prefix, yardstick)


def batches(service: Service, dsn: str, seconds: int) -> Iterator[Row]:
    """Batches of each size. What is counted are the commands in them."""
    for size in BATCH_SIZES:
        prefix = f"batch-{size}"
        measured = wrk(service, "batches.lua", BATCH_CONNECTIONS, seconds, [prefix, str(WALLETS), str(size)])
        name = f"HTTP batches of {size}, {BATCH_CONNECTIONS} connections"
        yield _row(name, measured, dsn, prefix, SPREAD_YARDSTICK, size)


def _row(name: str, measured: Measured, dsn: str, prefix: str, yardstick: str, size: int = 1) -> Row:
    effects = applied(dsn, f"{prefix}-")
    # Requests that were under way when wrk stopped took effect too, without having been answered.
    missed = max(0, measured.requests * size - effects)
    answered = min(effects, measured.requests * size)
    return Row(
        name,
        answered / (measured.duration_us / 1e6),
        measured.p50_us / 1000,
        measured.p99_us / 1000,
        missed=missed,
        yardstick=yardstick,
        note=f"{measured.refused} refused" if measured.refused else "",
    )
