"""The same spread load on ledgers of different sizes."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from adapters.embedded_postgres import EmbeddedPostgres
from benchmarks.database import disk_bytes, execute
from benchmarks.fill import fill
from benchmarks.http_loads import USUAL_CONNECTIONS, warm_up
from benchmarks.ledger import Ledger, prepared_ledger
from benchmarks.rows import Report, Row, taken_in_turns
from benchmarks.service import Service, on_database, serving
from benchmarks.stage import Stage

MILLION: Final = 1_000_000
ROUNDS: Final = 3
WAL_MAX: Final = "6GB"
"""With the usual 1 GB there would be a checkpoint every few seconds, while the ledgers are filled as well as later."""

SETTLING_S_EACH: Final = 6
"""For how many seconds a ledger is written to before it is measured, for each million of its transactions. The first
change of a page after a checkpoint logs the whole page; on a large ledger that is nearly every change for a while."""


def filled_ledgers(server: EmbeddedPostgres, report: Report, millions: Sequence[int]) -> dict[int, Ledger]:
    """A ledger for each size, in millions of transactions; each is a database of its own."""
    ledgers: dict[int, Ledger] = {}
    owner = server.url("postgres")
    execute(owner, f"ALTER SYSTEM SET max_wal_size = '{WAL_MAX}'", "SELECT pg_reload_conf()")
    for count in millions:
        ledger = ledgers[count] = prepared_ledger(server, f"growth_{count}")
        if count:
            started_at = time.monotonic()
            before = disk_bytes(ledger.dsn)
            written = fill(ledger, count * MILLION)
            report.figure(f"ledger of {count} million: seconds to fill it by SQL", time.monotonic() - started_at)
            each = (disk_bytes(ledger.dsn) - before) / written
            report.figure(f"ledger of {count} million: bytes on disk for each transaction", each)
    execute(owner, "CHECKPOINT")
    return ledgers


def growth(stages: Mapping[int, Stage], workers: int | None) -> Iterator[Row]:
    """One row for each size, some time after a checkpoint, and one for each large one right after it. They take turns,
    so that a change of the machine meets all of them."""
    found: dict[int, list[Row]] = {count: [] for count in stages}
    with ExitStack() as stack:
        services: dict[int, Service] = {}
        for count, stage in stages.items():
            services[count] = stack.enter_context(serving(on_database(stage.ledger.dsn, workers)))
            warm_up(stage, services[count])
            if count:
                load = stage.load("credits.lua", USUAL_CONNECTIONS)
                yield stage.row(f"checkpoint-{count}", f"{_name(count)}, after a checkpoint", [services[count]], load)
                stage.load("credits.lua", USUAL_CONNECTIONS, seconds=SETTLING_S_EACH * count).run(services[count])
                stage.ledger.settle()
        for _ in range(ROUNDS):
            for count, stage in stages.items():
                load = stage.load("credits.lua", USUAL_CONNECTIONS)
                found[count].append(stage.row(f"growth-{count}", _name(count), [services[count]], load))
    for rows in found.values():
        yield taken_in_turns(rows)


def _name(count: int) -> str:
    return f"HTTP credits, {USUAL_CONNECTIONS} connections, spread, ledger of {count} million"
