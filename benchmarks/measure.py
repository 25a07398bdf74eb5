"""What a measurement is, and how the load generators are called and understood."""

import re
import subprocess
from pathlib import Path
from typing import Final

import attrs

SLACK_S: Final = 60
"""How much longer than its load a load generator may take before it is given up."""

_UNITS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@attrs.frozen
class Measurement:
    """A rate, in commands that took effect per second, and latencies of single requests in milliseconds."""

    name: str
    rate: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    note: str = ""


def run(command: list[str], load_s: float, environment: dict[str, str] | None = None) -> str:
    """The output of a load generator. Raises ``subprocess.SubprocessError`` if it fails or does not end."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=load_s + SLACK_S, env=environment
    )
    if done.returncode != 0:
        raise subprocess.SubprocessError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def percentile(sorted_values: list[float], share: float) -> float:
    """The value below which this share of the values lies."""
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]


def wrk(
    name: str, url: str, script: Path, arguments: list[str], *, connections: int, seconds: float, per_request: int = 1
) -> Measurement:
    """Load by wrk for so many seconds. Every answer must be a success; if not, this raises ``ValueError``."""
    output = run(
        [
            "wrk",
            "--threads=1",
            f"--connections={connections}",
            f"--duration={seconds:g}s",
            "--timeout=10s",
            "--latency",
            f"--script={script}",
            url,
            "--",
            *arguments,
        ],
        seconds,
    )
    if "Non-2xx" in output or "Socket errors" in output:
        raise ValueError(f"{name}: not every request was answered with success:\n{output}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    p50, p99 = (re.search(rf"\s{share}%\s+([\d.]+)(us|ms|s|m)\b", output) for share in (50, 99))
    if rate is None or p50 is None or p99 is None:
        raise ValueError(f"{name}: wrk's output is not understood:\n{output}")
    return Measurement(
        name, float(rate[1]) * per_request, float(p50[1]) * _UNITS[p50[2]], float(p99[1]) * _UNITS[p99[2]]
    )
