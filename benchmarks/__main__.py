"""Runs the loads one after the other, and prints a table of ratios to the yardstick."""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from adapters.embedded_postgres import EmbeddedPostgres
from benchmarks.database import database, fetch_value
from benchmarks.http_loads import batches, credits, wrk
from benchmarks.ledger import prepared_ledger
from benchmarks.library_loads import library
from benchmarks.rows import Report
from benchmarks.service import Service, on_database, serving
from benchmarks.yardstick import yardstick

WRITES_BEFORE_MEMORY: Final = 100_000
MEMORY_S_MAX: Final = 120
PARTS: Final = ("start", "yardstick", "library", "http")


def main() -> None:
    """Parse the command line, and run what it names."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="how long each load lasts (default: %(default)s)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to run (default: all)")
    parser.add_argument(
        "--results", type=Path, default=Path(".benchmarks"), help="where the JSON goes (default: %(default)s)"
    )
    options = parser.parse_args()
    # So that servers that run by then are stopped.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    report = Report()
    if "start" in options.parts:
        _start(report)
    with database() as server:
        _loads(report, server, options.parts, options.seconds)
    print(f"\n{report.table()}\n\n{report.save(options.results)}")


def _start(report: Report) -> None:
    """How long the service takes to its first answer, on a new folder and on one that has a database."""
    with tempfile.TemporaryDirectory(prefix="wallet-bench-") as folder:
        for name in ("first start with its own database, s", "later start, s"):
            with serving({"WALLET_DATA_DIR": str(Path(folder) / "data")}) as service:
                report.figure(name, service.started_s)


def _loads(report: Report, server: EmbeddedPostgres, parts: tuple[str, ...], seconds: int) -> None:
    if "yardstick" in parts:
        report.add(yardstick(server, seconds))
    if not {"library", "http"} & set(parts):
        return
    dsn = server.url()
    tenant = prepared_ledger(dsn)
    if "library" in parts:
        report.add(library(dsn, tenant, seconds))
    if "http" in parts:
        with serving(on_database(dsn)) as service:
            before = _transactions(dsn)
            report.add(credits(service, dsn, seconds))
            report.add(batches(service, dsn, seconds))
            _memory(report, service, dsn, before)


def _memory(report: Report, service: Service, dsn: str, before: int) -> None:
    """What a worker takes once it has written enough, which the loads so far may have fallen short of."""
    deadline = time.monotonic() + MEMORY_S_MAX
    part = 0
    while (written := _transactions(dsn) - before) < WRITES_BEFORE_MEMORY and time.monotonic() < deadline:
        part += 1
        wrk(service, "batches.lua", 1, 1, [f"memory-{part}", "1000", "1000"])
    report.figure(f"memory of a worker after {written:,} writes, MiB", service.memory_mib())


def _transactions(dsn: str) -> int:
    return int(fetch_value(dsn, "SELECT count(*) FROM transactions"))


if __name__ == "__main__":
    main()
