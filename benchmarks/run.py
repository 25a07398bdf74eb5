"""One run: every part that was asked for, with the yardstick before, between and after."""

import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import attrs

from adapters.embedded_postgres import EmbeddedPostgres
from benchmarks import http_loads
from benchmarks.costs import costs
from benchmarks.database import database, settings_of
from benchmarks.driver_loads import driver
from benchmarks.growth import filled_ledgers, growth
from benchmarks.instances import instances
from benchmarks.ledger import prepared_ledger
from benchmarks.library_loads import library
from benchmarks.rows import Report, Row
from benchmarks.service import Service, on_database, serving
from benchmarks.stage import Stage
from benchmarks.yardstick import Yardstick

PARTS: Final = (
    "start",
    "yardstick",
    "noop",
    "credits",
    "mixed",
    "batches",
    "replays",
    "reads",
    "library",
    "instances",
    "cost",
    "growth",
)
AGAIN_S_MIN: Final = 2

HttpLoad = Callable[[Stage, Service], Iterable[Row]]


@attrs.frozen
class Options:
    """What to run, and how. ``growth``: sizes of ledgers, in millions of transactions. ``workers``: None is the
    service's own default."""

    seconds: int
    parts: Sequence[str]
    growth: Sequence[int]
    keys: str
    workers: int | None

    def has(self, *parts: str) -> bool:
        return any(part in self.parts for part in parts)


def run(options: Options) -> Report:
    """Run it all. What went wrong is in the report's failures."""
    report = Report()
    report.options = {
        "seconds a load": options.seconds,
        "workers": options.workers or "as the service has it",
        "idempotency keys": options.keys,
    }
    if options.has("start"):
        _start(report)
    if not set(options.parts) - {"start"}:
        return report
    with database() as server:
        report.settings = settings_of(server.url("postgres"))
        print(", ".join(f"{name} {value}" for name, value in report.settings.items()), flush=True)
        _Run(options, report, server).all()
    return report


def _start(report: Report) -> None:
    """How long the service takes to its first answer, on a new folder and on one that has a database."""
    with tempfile.TemporaryDirectory(prefix="wallet-bench-") as folder:
        for name in ("first start with its own database, s", "later start, s"):
            with serving({"WALLET_DATA_DIR": str(Path(folder) / "data")}) as service:
                report.figure(name, service.started_s)


class _Run:
    def __init__(self, options: Options, report: Report, server: EmbeddedPostgres) -> None:
        self._options = options
        self._report = report
        self._server = server
        self._yardstick = Yardstick.prepared(server) if options.has("yardstick") else None
        self._rows_at_yardstick = 0

    def all(self) -> None:
        """Every part in turn."""
        if self._yardstick is not None:
            self._add("yardstick", self._yardstick.runs(self._options.seconds))
            self._rows_at_yardstick = len(self._report.rows)
        if set(self._options.parts) - {"start", "yardstick", "growth"}:
            self._on_one_ledger()
        if self._options.has("growth"):
            self._on_grown_ledgers()

    def _on_one_ledger(self) -> None:
        options = self._options
        ledger = prepared_ledger(self._server, "ledger")
        stage = Stage(self._server, ledger, self._report, options.seconds, options.keys)
        groups: tuple[dict[str, HttpLoad], ...] = (
            {"noop": http_loads.no_ops, "credits": http_loads.credits},
            {
                "mixed": http_loads.mixed,
                "batches": http_loads.batches,
                "reads": http_loads.reads,
                "replays": partial(http_loads.replays, workers=options.workers),
            },
        )
        for group in groups:
            if not options.has(*group):
                continue
            with serving(on_database(ledger.dsn, options.workers)) as service:
                http_loads.warm_up(stage, service)
                for part, load in group.items():
                    self._add(part, load(stage, service))
            self._again()
        self._add("library", library(stage))
        if self._yardstick is not None:
            self._add("library", driver(self._yardstick, options.seconds))
        self._add("instances", instances(stage, options.workers))
        self._add("cost", costs(stage, options.workers))
        self._again()

    def _on_grown_ledgers(self) -> None:
        options = self._options
        ledgers = filled_ledgers(self._server, self._report, options.growth)
        # Filling takes minutes, in which the machine may have changed.
        self._again(at_once=True)
        stages = {
            count: Stage(self._server, ledger, self._report, options.seconds, options.keys)
            for count, ledger in ledgers.items()
        }
        self._add("growth", growth(stages, options.workers))
        self._again()

    def _add(self, part: str, rows: Iterable[Row]) -> None:
        """Run a part, if it was asked for. What it fails of is kept, and the others go on."""
        if not self._options.has(part):
            return
        try:
            self._report.add(rows)
        except (RuntimeError, OSError, subprocess.SubprocessError) as failure:
            self._report.fail(f"{part}: {failure}")

    def _again(self, *, at_once: bool = False) -> None:
        """Measure the yardstick once more, if anything was measured since the last time."""
        if self._yardstick is None:
            return
        if at_once or len(self._report.rows) > self._rows_at_yardstick:
            self._add("yardstick", self._yardstick.again(max(AGAIN_S_MIN, self._options.seconds // 2)))
            self._rows_at_yardstick = len(self._report.rows)
