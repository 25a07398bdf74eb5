"""The results as a picture: what each load came to in terms of the yardstick, with the targets. The same results always
give the same bytes."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.tables import folded

_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "wallet",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": "#c5cbd1",
    "axes.labelcolor": "#3b4651",
    "text.color": "#3b4651",
    "xtick.color": "#3b4651",
    "ytick.color": "#3b4651",
}
FASTER, SLOWER, YARDSTICK, OTHER = "#2f7f5f", "#c9823a", "#9aa4ae", "#4a7fb0"
FLOOR_COLOUR, AIM_COLOUR = "#b3262e", "#1d2b3a"
WIDTH_INCHES: Final = 9.5
BAR_INCHES: Final = 0.235
MARGIN_INCHES: Final = 1.35
TICKS: Final = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
LABEL_ROOM: Final = 4.0


@attrs.frozen
class Bar:
    """One load: its name, its ratio, what stands beside it, and the ratios that are marked."""

    name: str
    ratio: float
    text: str
    colour: str
    floor: float | None = None
    aim: float | None = None


def svg(results: Mapping[str, Any]) -> str:
    """The picture, as SVG."""
    panels = [
        ("times the rate of the yardstick (pgbench, 32 clients)", _rates(results)),
        ("times another row", _others(results)),
    ]
    panels = [(title, bars) for title, bars in panels if bars]
    with mpl.rc_context(_STYLE):
        heights = [len(bars) + 1.0 for _, bars in panels] or [1.0]
        figure = Figure(figsize=(WIDTH_INCHES, sum(heights) * BAR_INCHES + MARGIN_INCHES * max(1, len(panels)) * 0.75))
        figure.patch.set_facecolor("white")
        if panels:
            axes = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)
            for (title, bars), (ax,) in zip(panels, axes, strict=True):
                _draw(ax, title, bars)
            figure.tight_layout()
        output = io.StringIO()
        figure.savefig(output, format="svg", metadata={"Date": None, "Creator": None})
    return output.getvalue()


def _rates(results: Mapping[str, Any]) -> list[Bar]:
    targets = {target["key"]: target for target in results["targets"] if target["against"] == "yardstick"}
    bars = []
    for row in folded(results["rows"]):
        ratio, key = row["ratio"], row["key"]
        if not ratio:
            continue
        colour = YARDSTICK if key.startswith("pgbench-") else FASTER if ratio >= 1 else SLOWER
        target = targets.get(key, {})
        text = f"{ratio:.2f} × · {row['per_second']:,.0f}/s"
        bars.append(Bar(row["name"], ratio, text, colour, target.get("floor"), target.get("aim")))
    return bars


def _others(results: Mapping[str, Any]) -> list[Bar]:
    bars = []
    for target in results["targets"]:
        if target["against"] == "yardstick":
            continue
        better = " (lower is better)" if target["lower_is_better"] else ""
        name, ratio = f"{target['title']}{better}", target["ratio"]
        bars.append(Bar(name, ratio, f"{ratio:.2f} ×", OTHER, target["floor"], target["aim"]))
    return bars


def _draw(ax: Axes, title: str, bars: Sequence[Bar]) -> None:
    ax.set_xscale("log")
    places = range(len(bars))
    # From the yardstick to the ratio, to the right or to the left: on such a scale a bar has no other beginning.
    ax.barh(places, [bar.ratio - 1 for bar in bars], left=1, height=0.66, color=[bar.colour for bar in bars])
    for place, bar in enumerate(bars):
        furthest = max(value for value in (bar.ratio, bar.floor or 0, bar.aim or 0, 1.0))
        ax.annotate(bar.text, (furthest, place), (7, 0), textcoords="offset points", va="center", fontsize=8)
        if bar.floor is not None and bar.aim is not None:
            ax.plot([bar.floor] * 2, [place - 0.42, place + 0.42], color=FLOOR_COLOUR, linewidth=2)
            ax.plot([bar.aim] * 2, [place - 0.42, place + 0.42], color=AIM_COLOUR, linewidth=2, linestyle=(0, (1, 1)))
    ax.axvline(1, color="#5a6672", linewidth=1)
    values = [value for bar in bars for value in (bar.ratio, bar.floor, bar.aim, 1.0) if value]
    ax.set_xlim(min(values) / 1.15, max(values) * LABEL_ROOM)
    ax.set_ylim(len(bars) - 0.4, -0.6)
    ax.set_yticks(list(places), [bar.name for bar in bars])
    ax.set_xticks([tick for tick in TICKS if min(values) / 1.15 <= tick <= max(values) * LABEL_ROOM])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.minorticks_off()
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color="#e8ebee", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.set_title(f"{title}\n", loc="left", fontsize=9.5, fontweight="bold")
    ax.text(0, 1.01, "red line: floor, dotted line: aim", transform=ax.transAxes, fontsize=8, va="bottom")
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
