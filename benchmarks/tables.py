"""The results as tables in Markdown, made from the document that is kept as JSON."""

import statistics
from collections.abc import Sequence
from typing import Any, Final

COLUMNS: Final = (
    "load",
    "per second",
    "× yardstick",
    "p50 ms",
    "p99 ms",
    "without effect",
    "CPU of service",
    "of PostgreSQL",
    "of generator",
    "of others",
    "worker MiB",
    "WAL bytes each",
)
TARGET_COLUMNS: Final = ("target", "ratio", "floor", "aim", "reached")
FIGURE_COLUMNS: Final = ("figure", "")


def markdown(document: dict[str, Any]) -> str:
    """All tables."""
    machine, options = document["machine"], document["options"]
    parts = [
        f"Measured at {document['at']}, in {document['took_s']} s, on {machine['cpus']} cores ({machine['cpu']}), "
        f"{machine['memory_gib']} GiB; Python {machine['python']}. "
        + ", ".join(f"{name} {value}" for name, value in options.items())
        + ".",
        "PostgreSQL: " + ", ".join(f"`{name}` {value}" for name, value in document["settings"].items()) + ".",
    ]
    if document["targets"]:
        parts.append(_table(TARGET_COLUMNS, [_target_cells(target) for target in document["targets"]]))
    if document["rows"]:
        parts.append(_table(COLUMNS, [_row_cells(row) for row in folded(document["rows"])]))
    if document["figures"]:
        parts.append(_table(FIGURE_COLUMNS, [(name, f"{value:,.1f}") for name, value in document["figures"].items()]))
    parts += [f"FAILED: {failure}" for failure in document["failures"]]
    return "\n\n".join(parts) + "\n"


def folded(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each load: what was measured again and again is there as its mean, with the lowest and highest."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["key"], []).append(row)
    return [_mean(same) if len(same) > 1 else same[0] for same in found.values()]


def _mean(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    means: dict[str, Any] = {}
    for name in ("per_second", "ratio", "p50_ms", "p99_ms", "wal_bytes_each"):
        known = [row[name] for row in rows if row[name] is not None]
        means[name] = statistics.fmean(known) if known else None
    rates = [row["per_second"] for row in rows]
    means["note"] = f"{min(rates):,.0f} to {max(rates):,.0f}, measured {len(rates)} times"
    means["without_effect"] = sum(row["without_effect"] for row in rows)
    costs = {
        name: None if value is None else statistics.fmean(row["costs"][name] for row in rows)
        for name, value in rows[0]["costs"].items()
    }
    return {**rows[0], **means, "costs": costs}


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *("--:" for _ in columns[1:])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (columns, rule, *lines))


def _target_cells(target: dict[str, Any]) -> tuple[str, ...]:
    bound = "at most " if target["lower_is_better"] else ""
    floor, aim = (f"{bound}{target[name]:g}" for name in ("floor", "aim"))
    return target["title"], f"{target['ratio']:.2f}", floor, aim, target["reached"]


def _row_cells(row: dict[str, Any]) -> tuple[str, ...]:
    costs = row["costs"]
    note = f" ({row['note']})" if row["note"] else ""
    latency = "" if row["latency_ratio"] is None else f" (× {row['latency_ratio']:.2f})"
    return (
        row["name"] + note,
        f"{row['per_second']:,.0f}",
        _number(row["ratio"], "{:.2f}"),
        f"{row['p50_ms']:.2f}{latency}",
        f"{row['p99_ms']:.2f}",
        f"{row['without_effect']:,}",
        _number(costs["service_cpu"], "{:.0f} %"),
        _number(costs["postgres_cpu"], "{:.0f} %") + _number(costs["redis_cpu"], " (Redis {:.0f} %)"),
        _number(costs["generator_cpu"], "{:.0f} %"),
        _number(costs["others_cpu"], "{:.0f} %"),
        _number(costs["memory_mib"], "{:.0f}"),
        _number(row["wal_bytes_each"], "{:,.0f}"),
    )


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
