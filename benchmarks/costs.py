"""What writing costs besides time: bytes on disk, bytes of the write-ahead log, and memory."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from adapters.embedded_postgres_processes import BINARIES
from benchmarks.database import disk_bytes, execute, fetch_row
from benchmarks.http_loads import BATCH_CONNECTIONS, USUAL_CONNECTIONS
from benchmarks.rows import Row
from benchmarks.service import Service, on_database, serving
from benchmarks.stage import Stage
from benchmarks.wrk import Load

WRITES_BEFORE_MEMORY: Final = 100_000
WRITES_S_MAX: Final = 120
WALDUMP_S_MAX: Final = 120
TOTAL: Final = re.compile(
    r"^Total\s+\d+\s+(?P<records>\d+) \[[^]]*\]\s+(?P<images>\d+) \[[^]]*\]\s+(?P<all>\d+) \[", re.MULTILINE
)


def costs(stage: Stage, workers: int | None) -> Iterator[Row]:
    """Put the figures into the report. On a service of its own, whose memory nothing has used yet."""
    with serving(on_database(stage.ledger.dsn, workers)) as service:
        stage.report.figure("memory of a worker that has just started, MiB", service.memory_mib())
        loads: dict[str, Load] = {
            "1 connection": stage.load("credits.lua", 1),
            f"{USUAL_CONNECTIONS} connections": stage.load("credits.lua", USUAL_CONNECTIONS),
            "batches of 1000": stage.load("batches.lua", BATCH_CONNECTIONS, "1000"),
        }
        for name, load in loads.items():
            _wal(stage, name, partial(load.run, service))
        _disk_and_memory(stage, service)
    # Figures, but no rows.
    yield from ()


def _wal(stage: Stage, name: str, write: Callable[[], object]) -> None:
    """Bytes of the log for each transaction: of records, and of whole pages, each of which is written once after each
    checkpoint. A checkpoint comes first, so a load as short as this one writes more of these than a long one."""
    ledger = stage.ledger
    execute(ledger.dsn, "CHECKPOINT")
    last, start = ledger.last_id(), _wal_place(ledger.dsn)
    write()
    ledger.settle()
    written, end = ledger.state(last).transactions, _wal_place(ledger.dsn)
    records, images = _wal_parts(stage, start, end)
    stage.report.figure(f"WAL bytes of records for each transaction, {name}", records / written)
    stage.report.figure(f"WAL bytes of page images for each transaction, {name}, after a checkpoint", images / written)


def _disk_and_memory(stage: Stage, service: Service) -> None:
    """What the ledger takes, and a worker, after enough writes."""
    ledger = stage.ledger
    before, last = disk_bytes(ledger.dsn), ledger.last_id()
    deadline = time.monotonic() + WRITES_S_MAX
    load = stage.load("batches.lua", BATCH_CONNECTIONS, "1000", seconds=1)
    while (written := ledger.state(last).transactions) < WRITES_BEFORE_MEMORY and time.monotonic() < deadline:
        load.run(service)
        ledger.settle()
    grown = disk_bytes(ledger.dsn) - before
    stage.report.figure("bytes on disk for each transaction, tables and indexes", grown / written)
    stage.report.figure(f"memory of a worker after {written:,} writes in batches of 1000, MiB", service.memory_mib())


def _wal_place(dsn: str) -> str:
    return str(fetch_row(dsn, "SELECT pg_current_wal_flush_lsn()::text")[0])


def _wal_parts(stage: Stage, start: str, end: str) -> tuple[int, int]:
    """Bytes of records and of page images between two places of the log."""
    path = stage.server.cluster / "pg_wal"
    command = [str(BINARIES / "pg_waldump"), "--stats", f"--path={path}", f"--start={start}", f"--end={end}"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=WALDUMP_S_MAX, check=False)
    total = TOTAL.search(run.stdout)
    if total is None:
        raise RuntimeError(f"pg_waldump failed: {run.stderr.strip() or run.stdout.strip()}")
    return int(total["records"]), int(total["images"])
