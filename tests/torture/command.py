"""``wallet torture``: what it takes, and what it prints."""

import json
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import uvloop

from tests.torture import campaign
from tests.torture.campaign import Options, Result
from tests.torture.faults.schedule import ALL, named
from tests.torture.processes import CampaignError
from tests.torture.report import html
from tests.torture.stage import Cast

EXPLAINED_MAX: Final = 3
"""Of how many findings the evidence is printed; the report has that of all."""

LINE_LENGTH_MAX: Final = 300

EPILOG: Final = """\b
Exit codes: 0 nothing is wrong, and every fault that was asked for has struck; 1 otherwise; 2 it could not be run.
The same seed, duration and faults give the same schedule; docs/torture.md says what that repeats and what not.
"""


@click.command(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="How long faults strike.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="The same; 60 unless given.")
@click.option("--seed", type=int, help="Repeats the schedule of a run; a new one unless given.")
@click.option("--instances", type=click.IntRange(1, 8), default=2, show_default=True, help="Of the service.")
@click.option("--workers", type=click.IntRange(1, 16), default=2, show_default=True, help="Of each instance.")
@click.option("--clients", type=click.IntRange(2, 500), default=16, show_default=True, help="At once.")
@click.option("--rate", type=click.FloatRange(1), default=250, show_default=True, help="Things begun a second.")
@click.option("--faults", default="all", show_default=True, help="Names, or what they begin with, with commas.")
@click.option("--list", "lists", is_flag=True, help="Show the names of the faults, and end.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Write a report, as HTML.")
@click.option("--json", "as_json", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures, as JSON.")
def torture(
    minutes: float | None,
    seconds: float | None,
    seed: int | None,
    instances: int,
    workers: int,
    clients: int,
    rate: float,
    faults: str,
    lists: bool,
    report: Path | None,
    as_json: Path | None,
) -> None:
    """Break the service, its database and its cache while clients use it, and check that nothing went wrong."""
    if lists:
        for kind in ALL.values():
            click.echo(kind.name)
        return
    try:
        kinds = named([name.strip() for name in faults.split(",")])
    except LookupError as error:
        raise click.BadParameter(str(error.args[0]), param_hint="--faults") from None
    options = Options(
        seed=secrets.randbelow(1 << 31) if seed is None else seed,
        seconds=60 * minutes if minutes is not None else seconds or 60.0,
        kinds=kinds,
        cast=Cast(instances=instances, workers=workers),
        clients=clients,
        rate=rate,
    )
    try:
        result = uvloop.run(campaign.run(options, lambda line: click.echo(line, err=True)))
    except CampaignError as error:
        click.echo(f"wallet: {error}", err=True)
        sys.exit(2)
    for line in summary(result, faults):
        click.echo(line)
    if report is not None:
        report.write_text(html(result, outcomes(result), again(result, faults)))
        click.echo(f"report: {report}")
    if as_json is not None:
        as_json.write_text(json.dumps(figures(result), indent=2) + "\n")
    if not result.ok:
        sys.exit(1)


def again(result: Result, faults: str) -> str:
    """The command that repeats the schedule."""
    options = result.options
    return (
        f"wallet torture --seed {options.seed} --seconds {options.seconds:g} --instances {options.cast.instances}"
        f" --workers {options.cast.workers} --clients {options.clients} --rate {options.rate:g} --faults {faults}"
    )


def summary(result: Result, faults: str) -> Iterator[str]:
    """What to print."""
    history = result.verdict.history
    seconds = (result.quiet_ns - result.began_ns) / 1e9
    yield f"{history.calls:,} calls with {len(history.keys):,} keys in {seconds:.0f} s"
    yield (
        f"{result.verdict.transactions.applied:,} transactions with {result.verdict.transactions.entries:,} entries,"
        f" checked in {result.check_s:.1f} s"
    )
    yield ""
    yield f"{'fault':<28}{'scheduled':>10}{'fired':>8}"
    for name, (tried, fired) in result.coverage.items():
        why = result.impossible.get(name) or ("" if fired else _why_not(result, name))
        yield f"{name:<28}{tried:>10}{fired:>8}  {why}".rstrip()
    yield ""
    yield f"{'outcome':<28}{'calls':>10}"
    for name, amount in outcomes(result).items():
        yield f"{name:<28}{amount:>10,}"
    yield ""
    resolved = result.verdict.resolved()
    parts = ", ".join(f"{amount:,} {name}" for name, amount in resolved.items())
    yield f"{sum(resolved.values()):,} keys had an unknown outcome, and now have one: {parts}"
    yield f"{result.repeated:,} old keys were sent once more"
    counts = result.verdict.findings.counts
    yield f"{counts.total():,} violations" + "".join(f", {name}: {amount:,}" for name, amount in counts.items())
    for number, finding in enumerate(result.findings):
        yield f"  {finding}"
        for line in finding.evidence if number < EXPLAINED_MAX else ():
            yield f"    {line[:LINE_LENGTH_MAX]}"
    if result.never_fired:
        yield f"never fired: {', '.join(result.never_fired)}"
    yield f"again: {again(result, faults)}"


def outcomes(result: Result) -> dict[str, int]:
    """How many calls came to what, the most frequent first."""
    counts: dict[str, int] = {}
    for (_, name), amount in result.verdict.history.outcomes.most_common():
        counts[name] = counts.get(name, 0) + amount
    return counts


def figures(result: Result) -> dict[str, object]:
    """The figures for other programs."""
    history = result.verdict.history
    return {
        "seed": result.options.seed,
        "seconds": (result.quiet_ns - result.began_ns) / 1e9,
        "calls": history.calls,
        "keys": len(history.keys),
        "transactions": result.verdict.transactions.applied,
        "entries": result.verdict.transactions.entries,
        "faults": {name: {"scheduled": tried, "fired": fired} for name, (tried, fired) in result.coverage.items()},
        "impossible": result.impossible,
        "outcomes": outcomes(result),
        "resolved": result.verdict.resolved(),
        "repeated": result.repeated,
        "violations": dict(result.verdict.findings.counts),
        "findings": [str(finding) for finding in result.findings],
        "check_s": result.check_s,
        "strikes": [
            {
                "at_s": (strike.began_ns - result.began_ns) / 1e9,
                "seconds": (strike.ended_ns - strike.began_ns) / 1e9,
                "fault": strike.name,
                "fired": strike.fired,
                "says": strike.says,
            }
            for strike in result.strikes
        ],
    }


def _why_not(result: Result, name: str) -> str:
    return next((strike.says for strike in reversed(result.strikes) if strike.name == name), "")


if __name__ == "__main__":
    torture(prog_name="wallet torture")
