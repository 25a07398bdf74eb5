"""What the service is meant to reach, as ratios to the yardstick of the same run, or to another row of it."""

from typing import Any, Final

import attrs

from benchmarks.rows import Report

Against = str
"""The yardstick's rate, its median latency with one client, or the rate of the row of this key."""


@attrs.frozen
class Target:
    """``floor`` has to be reached, ``aim`` is wished for. ``lower_is_better`` for a latency."""

    key: str
    title: str
    against: Against
    floor: float
    aim: float
    lower_is_better: bool = False

    def reached(self, ratio: float) -> str:
        """In a word."""
        sign = -1 if self.lower_is_better else 1
        if sign * ratio >= sign * self.aim:
            return "aim"
        return "floor" if sign * ratio >= sign * self.floor else "missed"


TARGETS: Final = (
    Target("credits-spread-64", "HTTP credits, spread, 64 connections", "yardstick", 1.0, 1.5),
    Target("credits-hot-64", "HTTP credits, one hot wallet, 64 connections", "yardstick", 8.0, 15.0),
    Target("mixed", "mixed load", "yardstick", 0.8, 1.2),
    Target("batches-1000", "batches of 1000, commands", "yardstick", 3.0, 5.0),
    Target("replays-redis", "replays, with Redis", "yardstick", 1.2, 2.0),
    Target("growth-10", "spread load at 10 million transactions, against an empty ledger", "growth-0", 0.8, 0.95),
    Target("credits-spread-1", "median latency of one credit at a time", "latency", 3.0, 2.0, lower_is_better=True),
    Target("instances-2", "two instances on one hot wallet, against one", "instances-1", 0.7, 1.0),
)


@attrs.frozen
class Result:
    """What became of a target."""

    target: Target
    ratio: float
    reached: str


def results(report: Report) -> list[Result]:
    """Those targets whose rows were measured."""
    found = []
    for target in TARGETS:
        place = next((place for place, row in enumerate(report.rows) if row.key == target.key), None)
        if place is None:
            continue
        if target.against == "yardstick":
            ratio = report.ratio(place)
        elif target.against == "latency":
            ratio = report.latency_ratio(place)
        else:
            other = report.row(target.against)
            ratio = report.rows[place].per_second / other.per_second if other and other.per_second else None
        if ratio is not None:
            found.append(Result(target, ratio, target.reached(ratio)))
    return found


def document(report: Report) -> dict[str, Any]:
    """The report and its targets, for JSON."""
    reached = [{**attrs.asdict(r.target), "ratio": r.ratio, "reached": r.reached} for r in results(report)]
    return {**report.document(), "targets": reached}
