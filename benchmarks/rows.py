"""What was measured, as ratios to the yardstick of the same run: a table for people, and JSON."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs

SPREAD_YARDSTICK: Final = "pgbench, 32 clients, spread"
HOT_YARDSTICK: Final = "pgbench, 32 clients, hot"


@attrs.frozen
class Row:
    """One load. ``per_second``: commands that took effect. Latencies are those of a request, in milliseconds.

    ``yardstick`` names the row that it is to be held against; ``missed`` is how many requests had no effect.
    """

    name: str
    per_second: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    missed: int = 0
    yardstick: str | None = None
    note: str = ""


@attrs.define
class Report:
    """Rows as they come in, and figures that are no rates."""

    rows: list[Row] = attrs.field(factory=list)
    figures: dict[str, float] = attrs.field(factory=dict)

    def add(self, rows: Iterable[Row]) -> None:
        """Keep the rows, and show each as soon as it is known."""
        for row in rows:
            self.rows.append(row)
            print(self._line(row), flush=True)

    def figure(self, name: str, value: float) -> None:
        """Keep a figure, and show it."""
        self.figures[name] = value
        print(f"{name:48} {value:>10,.1f}", flush=True)

    def ratio(self, row: Row) -> float | None:
        """The row's rate in terms of its yardstick's, if that was measured too."""
        reference = next((other.per_second for other in self.rows if other.name == row.yardstick), 0.0)
        return row.per_second / reference if reference else None

    def table(self) -> str:
        """All rows, in Markdown."""
        head = "| load | per second | × yardstick | p50 ms | p99 ms | without effect |"
        return "\n".join([head, "| --- | --: | --: | --: | --: | --: |", *map(self._markdown, self.rows)])

    def save(self, folder: Path) -> Path:
        """Write the JSON of this run, and return where to."""
        folder.mkdir(parents=True, exist_ok=True)
        now = datetime.now(UTC)
        document: dict[str, Any] = {
            "at": now.isoformat(timespec="seconds"),
            "machine": {"cpus": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()},
            "rows": [{**attrs.asdict(row), "ratio": self.ratio(row)} for row in self.rows],
            "figures": self.figures,
        }
        path = folder / f"{now:%Y%m%dT%H%M%SZ}.json"
        path.write_text(json.dumps(document, indent=2) + "\n")
        return path

    def _cells(self, row: Row) -> Sequence[str]:
        ratio = self.ratio(row)
        return (
            f"{row.per_second:,.0f}",
            "" if ratio is None else f"{ratio:.2f}",
            "" if row.p50_ms is None else f"{row.p50_ms:.2f}",
            "" if row.p99_ms is None else f"{row.p99_ms:.2f}",
            f"{row.missed:,}",
        )

    def _line(self, row: Row) -> str:
        return f"{row.name:48} " + " ".join(f"{cell:>10}" for cell in self._cells(row)) + f"  {row.note}"

    def _markdown(self, row: Row) -> str:
        return f"| {row.name} | " + " | ".join(self._cells(row)) + " |"
