"""Measure the service against the yardstick, in one run on one PostgreSQL with durable settings.

python -m benchmarks [--seconds 5] [--wallets 100000] [--json FILE]
"""

import argparse
import asyncio
import json
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import UUID

import attrs

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.postgres.migrate import upgrade
from benchmarks import library, yardstick
from benchmarks.measure import Measurement, wrk
from benchmarks.served import API_KEY, Served, serving

HERE: Final = Path(__file__).parent
MEMORY_AFTER_WRITES: Final = 100_000


def main() -> None:
    """Run every measurement, and print a table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each load lasts (default: 5)")
    parser.add_argument("--wallets", type=int, default=100_000, help="over how many wallets a spread load is spread")
    parser.add_argument("--json", type=Path, help="where to write the results as well")
    options = parser.parse_args()

    folder = Path(tempfile.mkdtemp(prefix="wallet-bench-"))
    try:
        with EmbeddedPostgres(folder / "data") as server:
            results = list(measurements(server.url(), folder, options.seconds, options.wallets))
    finally:
        shutil.rmtree(folder)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps([attrs.asdict(result) for result in results], indent=2) + "\n")


def measurements(database_url: str, folder: Path, seconds: float, wallets: int) -> Iterator[Measurement]:
    """All measurements, each printed as soon as it is there."""
    asyncio.run(upgrade(database_url))
    asyncio.run(yardstick.prepare(database_url))
    print(
        f"{os.cpu_count()} cores, {seconds:g} s each; × is the ratio to pgbench with 32 clients under the same load\n"
    )
    print(f"{'load':<44} {'a second':>9} {'×':>7} {'p50 ms':>8} {'p99 ms':>8}")

    spread = yardstick.measure(database_url, clients=32, hot=False, seconds=seconds)
    hot = yardstick.measure(database_url, clients=32, hot=True, seconds=seconds)
    for result, base in (
        (spread, spread),
        (hot, hot),
        (yardstick.measure(database_url, clients=1, hot=False, seconds=seconds), spread),
    ):
        yield _show(result, base)

    with serving(database_url, _free_port()) as service:
        ids = folder / "wallets"
        asyncio.run(library.open_wallets(database_url, wallets, ids))
        one = folder / "wallet"
        one.write_text(ids.read_text().splitlines()[0] + "\n")
        for connections in (1, 16, 64):
            yield _show(_credits(service, ids, connections, seconds, f"{wallets:,} wallets"), spread)
        for connections in (16, 64):
            yield _show(_credits(service, one, connections, seconds, "one hot wallet"), hot)
        for size in (100, 1000):
            yield _show(_batches(service, ids, size, seconds), spread)
        writes = 0
        while writes < MEMORY_AFTER_WRITES:
            writes += int(_credits(service, ids, 64, seconds, "to fill the memory").rate * seconds)
        memory_mb = service.memory_mb()
    many = [UUID(line) for line in ids.read_text().splitlines()]
    for size in (1, 100, 1000):
        yield _show(library.run(database_url, many, size=size, seconds=seconds, word=uuid.uuid4().hex), spread)
    print(f"\nfrom the command to the first answered request: {service.started_s:.2f} s")
    print(f"memory of the worker after more than {writes:,} writes: {memory_mb:.0f} MiB")


def _credits(service: Served, ids: Path, connections: int, seconds: float, place: str) -> Measurement:
    name = f"HTTP credits, {connections} connections, {place}"
    arguments = [API_KEY, str(ids), uuid.uuid4().hex]
    return wrk(name, service.url, HERE / "credit.lua", arguments, connections=connections, seconds=seconds)


def _batches(service: Served, ids: Path, size: int, seconds: float) -> Measurement:
    name = f"HTTP batches of {size}, 4 connections, commands"
    arguments = [API_KEY, str(ids), uuid.uuid4().hex, str(size)]
    script = HERE / "batch.lua"
    return wrk(name, service.url, script, arguments, connections=4, seconds=seconds, per_request=size)


def _show(result: Measurement, base: Measurement) -> Measurement:
    latencies = "".join(f" {value:8.1f}" if value is not None else " " * 9 for value in (result.p50_ms, result.p99_ms))
    print(f"{result.name:<44} {result.rate:9.0f} {result.rate / base.rate:7.2f}{latencies}  {result.note}", flush=True)
    return result


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
