"""The report of a campaign: one HTML file that needs nothing else."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from tests.torture.campaign import Result
from tests.torture.picture import draw

STYLE: Final = """
:root { color-scheme: light }
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; background: #fff; max-width: 1240px; margin: 0 auto;
  padding: 28px 24px 60px }
h1 { font-size: 25px; margin: 0 0 2px } h2 { font-size: 17px; margin: 34px 0 8px }
p { margin: 4px 0 } .quiet { color: #6b7782 }
.figures { display: flex; flex-wrap: wrap; gap: 10px 34px; margin: 18px 0 10px }
.figures div { min-width: 90px } .figures b { display: block; font-size: 23px; font-weight: 600; line-height: 1.2 }
.good b { color: #2f7d4f } .bad b, .bad { color: #b3263a }
code, pre { font: 12.5px/1.45 ui-monospace, monospace; background: #f4f6f8; border-radius: 4px }
code { padding: 2px 5px; overflow-wrap: anywhere } pre { padding: 10px; overflow-x: auto; margin: 6px 0 }
table { border-collapse: collapse; font-size: 13.5px }
table { font-variant-numeric: tabular-nums } th { text-align: left; font-weight: 600; color: #6b7782 }
td, th { padding: 2px 22px 2px 0; vertical-align: top } td.n, th.n { text-align: right }
tr + tr td { border-top: 1px solid #eef1f4 }
.columns { display: flex; flex-wrap: wrap; gap: 0 60px } .columns > div { flex: none }
.faults { columns: 2; column-gap: 60px } .faults table { width: 100% }
svg { width: 100%; height: auto; display: block; margin-top: 8px }
summary { cursor: pointer; margin-top: 14px }
"""


def html(result: Result, outcomes: dict[str, int], command: str) -> str:
    """The whole report."""
    history, verdict = result.verdict.history, result.verdict
    violations = verdict.findings.counts.total()
    fired = sum(count for _, count in result.coverage.values())
    resolved = verdict.resolved()
    seconds = (result.quiet_ns - result.began_ns) / 1e9
    headline = "Nothing was lost, doubled or misreported" if not violations else f"{violations:,} violations"
    figures = [
        ("", f"{history.calls:,}", "calls"),
        ("", f"{len(history.keys):,}", "idempotency keys"),
        ("", f"{verdict.transactions.applied:,}", "transactions"),
        ("", f"{fired:,}", f"faults of {sum(1 for _, count in result.coverage.values() if count)} kinds"),
        ("", f"{sum(resolved.values()):,}", "unknown outcomes, resolved"),
        ("bad" if violations else "good", f"{violations:,}", "violations"),
    ]
    cast = result.options.cast
    return "".join(
        (
            "<!doctype html><html lang=en><meta charset=utf-8>",
            "<meta name=viewport content='width=device-width'><title>Torture report</title>",
            f"<style>{STYLE}</style><h1>{escape(headline)}</h1>",
            f"<p class=quiet>{seconds / 60:.1f} minutes, seed {result.options.seed}; {cast.instances} instances of",
            f" {cast.workers} workers each on one PostgreSQL{' and one Redis' if cast.redis else ''};",
            f" {result.options.clients} clients; checked in {result.check_s:.1f} s</p>",
            "<div class=figures>",
            *(f"<div class='{kind}'><b>{value}</b>{escape(name)}</div>" for kind, value, name in figures),
            "</div>",
            draw(result),
            "<p class=quiet>Dark bars are faults that have struck, and were undone at their end; point at one to see",
            " what it was. Strips: green where an instance answers, red where it does not.</p>",
            _violations(result),
            "<h2>Faults</h2><p class=quiet>Scheduled, and shown to have struck.</p><div class=faults>",
            _table(("fault", "scheduled", "fired", ""), _coverage(result)),
            "</div><div class=columns><div><h2>What calls came to</h2>",
            _table(("outcome", "calls"), [(name, f"{amount:,}") for name, amount in outcomes.items()]),
            "</div><div><h2>Unknown, and then</h2>",
            _table(("", "keys"), [(name, f"{amount:,}") for name, amount in resolved.items()]),
            f"<p class=quiet>{result.repeated:,} old keys were sent once more, and answered as before.</p></div></div>",
            "<h2>Again</h2><p>The same schedule of faults:</p>",
            f"<pre>{escape(command)}</pre>",
            "<details><summary>Every fault, in order</summary>",
            _table(("at", "fault", "", "how it is known"), _strikes(result)),
            "</details></html>\n",
        )
    )


def _violations(result: Result) -> str:
    parts = []
    if result.never_fired:
        parts.append(f"<p class=bad>Never fired: {escape(', '.join(result.never_fired))}</p>")
    if result.findings:
        parts.append("<h2 class=bad>Violations</h2>")
    for finding in result.findings:
        evidence = "\n".join(finding.evidence)
        parts.append(f"<p><b>{escape(finding.kind)}</b> {escape(finding.says)}</p>")
        if evidence:
            parts.append(f"<details><summary>the calls that show it</summary><pre>{escape(evidence)}</pre></details>")
    return "".join(parts)


def _coverage(result: Result) -> Iterable[Sequence[str]]:
    for name, (tried, fired) in result.coverage.items():
        yield name, f"{tried:,}", f"{fired:,}", result.impossible.get(name, "")


def _strikes(result: Result) -> Iterable[Sequence[str]]:
    for strike in result.strikes:
        at_s = (strike.began_ns - result.began_ns) / 1e9
        yield f"{at_s:.1f} s", strike.name, "" if strike.fired else "did not fire", strike.says


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what looks like a number is set to the right."""
    numbers = {"scheduled", "fired", "calls", "keys"}
    kinds = [" class=n" if head in numbers else "" for head in heads]
    head = "".join(f"<th{kind}>{escape(name)}" for kind, name in zip(kinds, heads, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}" for kind, cell in zip(kinds, row, strict=True)) for row in rows
    )
    return f"<table><tr>{head}{body}</table>"
