"""What was measured, as ratios to the yardstick of the same run: measured before and after, since machines vary."""

import os
import platform
import statistics
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from benchmarks.meter import Costs, machine

SPREAD: Final = "pgbench-spread-32"
HOT: Final = "pgbench-hot-32"
SPREAD_ALONE: Final = "pgbench-spread-1"
HOT_ALONE: Final = "pgbench-hot-1"

OTHERS_CPU_MAX: Final = 20.0
"""Of one core, in per cent: what is used beside a load, and may be the system's own work."""


@attrs.frozen
class Row:
    """One load. ``per_second``: commands that took effect. Latencies are those of a request, in milliseconds.

    ``yardstick`` is the key of the row that the rate is to be held against, ``alone`` that of the row for the median
    latency. ``without_effect`` counts what had to be sent again, or was refused. ``range_per_second`` has the lowest
    and the highest rate, if it was measured several times.
    """

    key: str
    name: str
    per_second: float
    p50_ms: float
    p99_ms: float
    costs: Costs
    yardstick: str
    alone: str | None = None
    without_effect: int = 0
    seconds: float = 1.0
    range_per_second: tuple[float, float] | None = None
    note: str = ""

    @property
    def wal_bytes_each(self) -> float | None:
        """Bytes of the write-ahead log for each command that took effect."""
        effects = self.per_second * self.seconds
        return self.costs.wal_bytes / effects if effects else None


def taken_in_turns(rows: Sequence[Row]) -> Row:
    """One row of several runs of the same load, which took turns with others."""
    rates = [row.per_second for row in rows]
    costs = Costs(wal_bytes=sum(row.costs.wal_bytes for row in rows))
    for name in ("service_cpu", "postgres_cpu", "generator_cpu", "redis_cpu", "others_cpu", "memory_mib"):
        known = [value for row in rows if (value := getattr(row.costs, name)) is not None]
        setattr(costs, name, statistics.fmean(known) if known else None)
    return attrs.evolve(
        rows[0],
        per_second=sum(row.per_second * row.seconds for row in rows) / sum(row.seconds for row in rows),
        p50_ms=statistics.fmean(row.p50_ms for row in rows),
        p99_ms=statistics.fmean(row.p99_ms for row in rows),
        without_effect=sum(row.without_effect for row in rows),
        seconds=sum(row.seconds for row in rows),
        range_per_second=(min(rates), max(rates)),
        note=f"{min(rates):,.0f} to {max(rates):,.0f} in {len(rates)} rounds",
        costs=costs,
    )


@attrs.define
class Report:
    """Rows as they come in, figures that are no rates, and what went wrong."""

    settings: dict[str, str] = attrs.field(factory=dict)
    options: dict[str, Any] = attrs.field(factory=dict)
    machine: dict[str, Any] = attrs.field(factory=machine)
    started_at: datetime = attrs.field(factory=lambda: datetime.now(UTC))
    rows: list[Row] = attrs.field(factory=list)
    figures: dict[str, float] = attrs.field(factory=dict)
    failures: list[str] = attrs.field(factory=list)

    def add(self, rows: Iterable[Row]) -> None:
        """Keep the rows, and show each as soon as it is known."""
        for row in rows:
            self.rows.append(row)
            ratio = self.ratio(len(self.rows) - 1)
            others = row.costs.others_cpu
            disturbed = f"others used {others:.0f} % of a core" if others > OTHERS_CPU_MAX else ""
            print(
                f"{row.name:52} {row.per_second:>9,.0f}/s {'' if ratio is None else f'{ratio:.2f}':>7} "
                f"{row.p50_ms:>8.2f} {row.p99_ms:>8.2f} ms  {row.note} {disturbed}",
                flush=True,
            )

    def figure(self, name: str, value: float) -> None:
        """Keep a figure, and show it."""
        self.figures[name] = value
        print(f"{name:76} {value:>12,.1f}", flush=True)

    def fail(self, what: str) -> None:
        """Keep what makes the run a failure, and show it."""
        self.failures.append(what)
        print(f"FAILED: {what}", flush=True)

    def row(self, key: str) -> Row | None:
        """The first row of this key."""
        return next((row for row in self.rows if row.key == key), None)

    def ratio(self, place: int) -> float | None:
        """The row's rate in terms of its yardstick's, if that was measured too."""
        reference = self._nearby(place, self.rows[place].yardstick, "per_second")
        return self.rows[place].per_second / reference if reference else None

    def latency_ratio(self, place: int) -> float | None:
        """The row's median latency in terms of that of its yardstick with one client."""
        alone = self.rows[place].alone
        reference = None if alone is None else self._nearby(place, alone, "p50_ms")
        return self.rows[place].p50_ms / reference if reference else None

    def document(self) -> dict[str, Any]:
        """All of it, for JSON. Tables and plots are made from this."""
        return {
            "at": self.started_at.isoformat(timespec="seconds"),
            "took_s": round((datetime.now(UTC) - self.started_at).total_seconds()),
            "machine": {**self.machine, "platform": platform.platform(), **_python()},
            "options": self.options,
            "settings": self.settings,
            "rows": [
                {
                    **attrs.asdict(row),
                    "ratio": self.ratio(place),
                    "latency_ratio": self.latency_ratio(place),
                    "wal_bytes_each": row.wal_bytes_each,
                }
                for place, row in enumerate(self.rows)
            ],
            "figures": self.figures,
            "failures": self.failures,
        }

    def _nearby(self, place: int, key: str, name: str) -> float | None:
        """The mean of the yardstick's last measurement up to a row and the first one after it."""
        if self.rows[place].key == key:
            return float(getattr(self.rows[place], name))
        before = next((row for row in reversed(self.rows[:place]) if row.key == key), None)
        after = next((row for row in self.rows[place + 1 :] if row.key == key), None)
        values = [float(getattr(row, name)) for row in (before, after) if row is not None]
        return statistics.fmean(values) if values else None


def _python() -> dict[str, str]:
    """The interpreter, and which one it is: two of a version can be built so that one takes 15 % more CPU."""
    return {"python": platform.python_version(), "interpreter": os.path.realpath(sys.executable)}
