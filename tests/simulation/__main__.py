"""``python -m tests.simulation``: run schedules by their seeds; replay one with a trace."""

import logging
import time
from collections import Counter

import click

from tests.simulation.cluster import Setup
from tests.simulation.coverage import REQUIRED
from tests.simulation.schedule import run_schedule
from tests.simulation.variants import VARIANTS


@click.command()
@click.option("--seed", type=int, default=0, show_default=True, help="The first seed.")
@click.option("--schedules", type=int, default=1, show_default=True, help="How many seeds from there on.")
@click.option("--without", type=click.Choice(list(VARIANTS)), help="Take this mechanism out of the service.")
@click.option("--trace", is_flag=True, help="Show all that happens.")
def main(seed: int, schedules: int, without: str | None, trace: bool) -> None:
    """Run simulated schedules. Exits with 1 if any of them shows a violation."""
    logging.disable()
    setup = Setup() if without is None else VARIANTS[without].setup
    started = time.perf_counter()
    covered: Counter[str] = Counter()
    calls = failures = 0
    for each in range(seed, seed + schedules):
        course = run_schedule(each, setup, traced=trace)
        for line in course.trace:
            click.echo(line)
        covered.update(course.covered)
        calls += course.calls
        if course.failure is not None:
            failures += 1
            click.echo(f"seed {each}: {type(course.failure).__name__}: {course.failure}")
    if schedules > 1:
        for event in sorted(REQUIRED - covered.keys()):
            click.echo(f"{'never':>7}  {event}")
        for event, times in sorted(covered.items(), key=lambda item: (item[1], item[0])):
            click.echo(f"{times:7}  {event}")
    seconds = time.perf_counter() - started
    click.echo(f"{schedules} schedules, {calls} calls, {failures} failures, {seconds:.1f} s")
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
