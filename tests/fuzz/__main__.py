"""A campaign for as long as one likes: ``make fuzz MINUTES=30``. With ``SEED=`` it begins as another did."""

import random
from collections import Counter

import click

from tests.databases import Databases, postgres_server, run
from tests.fuzz.aftermath import contradictions
from tests.fuzz.campaign import campaign
from tests.http.process import serving

EXAMPLES = 100


@click.command()
@click.option("--minutes", type=float, default=5.0, show_default=True)
@click.option("--seed", type=int, help="Where to begin; by default anywhere.")
def main(minutes: float, seed: int | None) -> None:
    """Attack a service of its own, on a database of its own, and compare the rows with the answers."""
    seed = random.randrange(2**32) if seed is None else seed
    click.echo(f"{minutes:g} minutes, seed {seed}")
    with postgres_server() as admin_dsn:
        dsn = Databases(admin_dsn).create()
        with serving(dsn) as service:
            report = campaign(
                service.url, service.api_key, seed=seed, examples=EXAMPLES, sequences=EXAMPLES, minutes=minutes
            )
        wrong = [*map(str, report.findings), *run(contradictions(dsn, report.calls))]
    for number, finding in enumerate(wrong, 1):
        click.echo(f"\n{number}. {finding}")
    statuses = Counter(call.status for call in report.calls)
    counted = ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items()))
    click.echo(f"{len(report.calls)} calls ({counted}), {len(wrong)} found")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
