"""A picture of a campaign, as SVG: calls over time by what came of them, each instance, latency, and the faults."""

import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tests.torture.campaign import Result
from tests.torture.faults.schedule import ALL

BINS_MAX: Final = 360
BIN_S_MIN: Final = 0.25

CLASSES: Final[Mapping[str, str]] = {
    "read": "#a9cfe8",
    "written": "#3f8f5f",
    "rejected by a rule": "#e3b448",
    "refused: version or key": "#b79ad6",
    "turned away": "#8b95a1",
    "no connection": "#d4d8dd",
    "outcome unknown": "#d1495b",
}
"""What can come of a call, with its colour, from the bottom of the picture to its top."""

_OF_OUTCOME: Final[Mapping[str, str]] = {
    "ok": "written",
    "read": "read",
    "fence-applied": "written",
    "fence-rejected": "written",
    "fence-fenced": "written",
    "not-found": "read",
    "version-conflict": "refused: version or key",
    "idempotency-key-reused": "refused: version or key",
    "idempotency-key-fenced": "refused: version or key",
    "contention": "turned away",
    "overloaded": "turned away",
    "database-unavailable": "turned away",
    "not-sent": "no connection",
    "no-answer": "outcome unknown",
    "outcome-unknown": "outcome unknown",
    "internal-error": "outcome unknown",
    "no-sense": "outcome unknown",
}

_ANSWERED: Final = ("read", "written", "rejected by a rule", "refused: version or key")
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": "#c5cbd1",
    "axes.labelcolor": "#3b4651",
    "xtick.color": "#3b4651",
    "ytick.color": "#3b4651",
    "svg.hashsalt": "wallet torture",
}


def draw(result: Result) -> str:
    """The picture, as an SVG element."""
    timeline = result.verdict.history.timeline
    at_s = (np.asarray(timeline.at_ns, dtype=np.float64) - result.began_ns) / 1e9
    names = list(CLASSES)
    of_call = np.asarray([names.index(_OF_OUTCOME.get(name, "rejected by a rule")) for name in timeline.effect])
    instance = np.asarray(timeline.instance)
    took_ms = np.asarray(timeline.took_us, dtype=np.float64) / 1000
    end_s = max(1.0, (result.ended_ns - result.began_ns) / 1e9)
    edges = np.arange(0, end_s + (bin_s := max(BIN_S_MIN, end_s / BINS_MAX)), bin_s)
    lanes = list(dict.fromkeys(ALL[strike.name].lane for strike in result.strikes)) or ["none"]
    with mpl.rc_context(_STYLE):
        heights = [3.2, 0.28 * result.options.cast.instances + 0.1, 1.5, 0.27 * len(lanes) + 0.2]
        figure = Figure(figsize=(12.5, sum(heights) + 1.3), layout="constrained")
        calls, strips, latency, faults = figure.subplots(4, 1, sharex=True, height_ratios=heights)
        _draw_calls(calls, at_s, of_call, edges)
        _draw_instances(strips, at_s, of_call, instance, edges, result.options.cast.instances)
        _draw_latency(latency, at_s, of_call, took_ms, edges)
        titles = _draw_faults(faults, result, lanes)
        quiet_s = (result.quiet_ns - result.began_ns) / 1e9
        for axes in (calls, strips, latency, faults):
            axes.axvspan(quiet_s, end_s, color="#eef3f7", zorder=0, linewidth=0)
            axes.spines[["top", "right"]].set_visible(False)
        calls.text(end_s, calls.get_ylim()[1], "healed, resolved", ha="right", va="bottom", fontsize=8, color="#6b7782")
        faults.set_xlim(0, end_s)
        faults.set_xlabel("seconds since the beginning")
        return _svg(figure, titles)


def _draw_calls(axes: Axes, at_s: Any, of_call: Any, edges: Any) -> None:
    names, width = list(CLASSES), edges[1] - edges[0]
    bottom = np.zeros(len(edges) - 1)
    for number, name in enumerate(names):
        rate = np.histogram(at_s[of_call == number], edges)[0] / width
        axes.fill_between(edges[:-1], bottom, bottom + rate, step="post", color=CLASSES[name], linewidth=0, label=name)
        bottom = bottom + rate
    axes.set_ylabel("calls a second")
    axes.set_ylim(0, max(1.0, float(bottom.max(initial=0.0)) * 1.08))
    axes.legend(ncols=len(names), loc="lower left", bbox_to_anchor=(0, 1.0), frameon=False, handlelength=1.1)


def _draw_instances(axes: Axes, at_s: Any, of_call: Any, instance: Any, edges: Any, instances: int) -> None:
    """A strip for each: green where calls are answered, red where they are not, blank where there are none."""
    answered_classes = [list(CLASSES).index(name) for name in _ANSWERED]
    answered = np.isin(of_call, answered_classes)
    shares = np.full((instances, len(edges) - 1), np.nan)
    for number in range(instances):
        here = instance == number
        total = np.histogram(at_s[here], edges)[0]
        good = np.histogram(at_s[here & answered], edges)[0]
        shares[number, total > 0] = good[total > 0] / total[total > 0]
    colours = LinearSegmentedColormap.from_list("share", ["#d1495b", "#f3d9a4", "#3f8f5f"])
    rows = np.arange(instances + 1) - 0.5
    axes.pcolormesh(edges, rows, np.ma.masked_invalid(shares), cmap=colours, vmin=0, vmax=1, rasterized=False)
    axes.set_yticks(range(instances), [f"instance {number}" for number in range(instances)])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)


def _draw_latency(axes: Axes, at_s: Any, of_call: Any, took_ms: Any, edges: Any) -> None:
    sent = of_call != list(CLASSES).index("no connection")
    places = np.digitize(at_s[sent], edges) - 1
    took = took_ms[sent]
    order = np.argsort(places, kind="stable")
    places, took = places[order], took[order]
    starts = np.searchsorted(places, np.arange(len(edges)))
    points = [(edges[n], took[starts[n] : starts[n + 1]]) for n in range(len(edges) - 1) if starts[n] < starts[n + 1]]
    at = [point for point, _ in points]
    for share, colour, label in ((50, "#2f6f9f", "half"), (99, "#d1495b", "99 %")):
        axes.plot(at, [np.percentile(each, share) for _, each in points], color=colour, linewidth=1, label=label)
    axes.set_yscale("log")
    axes.set_ylabel("answered within, ms")
    axes.grid(axis="y", color="#e6eaee", linewidth=0.6)
    axes.legend(ncols=2, loc="upper left", frameon=False, handlelength=1.1)


def _draw_faults(axes: Axes, result: Result, lanes: Sequence[str]) -> dict[str, str]:
    """A bar for each fault, in the row of its lane. Returns what to show of each when it is pointed at."""
    titles: dict[str, str] = {}
    for number, strike in enumerate(result.strikes):
        began_s = (strike.began_ns - result.began_ns) / 1e9
        seconds = max((strike.ended_ns - strike.began_ns) / 1e9, 0.25)
        colour = "#3b4651" if strike.fired else "white"
        row = lanes.index(ALL[strike.name].lane)
        bar = Rectangle(
            (began_s, row - 0.34), seconds, 0.68, facecolor=colour, edgecolor="#3b4651", linewidth=0.5, alpha=0.85
        )
        bar.set_gid(f"strike-{number}")
        axes.add_patch(bar)
        state = "" if strike.fired else " (did not fire)"
        titles[f"strike-{number}"] = f"{began_s:.1f} s {strike.name}{state}: {strike.says}"
    axes.set_yticks(range(len(lanes)), [f"faults: {lane}" for lane in lanes])
    axes.set_ylim(len(lanes) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    return titles


def _svg(figure: Figure, titles: Mapping[str, str]) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for gid, title in titles.items():
        text = text.replace(f'<g id="{gid}">', f'<g id="{gid}"><title>{escape(title)}</title>', 1)
    return text
