"""Asks for known vulnerabilities of what is locked: Python packages, and what of the frontend is shipped.

Exit codes: 0, none is known; 1, there are some; 2, somebody who would know could not be asked, which is not the same as
none. A package that a source of advisories does not know counts as not asked for.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import click

ROOT = Path(__file__).parents[1]
ERROR_SHOWN_MAX = 300

Json = Any


@attrs.frozen
class Verdict:
    """What is known of packages, and of what nothing could be learnt."""

    found: Sequence[str]
    unasked: Sequence[str]


@click.command(help=__doc__)
@click.option("--requirements", type=Path, default=ROOT / "requirements" / "dev.txt", help="The lock of Python.")
@click.option("--frontend", type=Path, default=ROOT / "frontend", help="Where package-lock.json is.")
@click.option("--osv-url", help="A service that speaks the API of OSV, instead of the Python package index.")
def main(requirements: Path, frontend: Path, osv_url: str | None) -> None:
    """The exit code: see above."""
    verdicts = {"Python": python_packages(requirements, osv_url), "the frontend": npm_packages(frontend)}
    for name, verdict in verdicts.items():
        for line in verdict.found:
            click.echo(f"{name}: {line}")
        for line in verdict.unasked:
            click.echo(f"{name}: NOT AUDITED: {line}", err=True)
        if not verdict.found and not verdict.unasked:
            click.echo(f"{name}: nothing is known")
    if any(verdict.found for verdict in verdicts.values()):
        raise SystemExit(1)
    raise SystemExit(2 if any(verdict.unasked for verdict in verdicts.values()) else 0)


def python_packages(requirements: Path, osv_url: str | None = None) -> Verdict:
    """What the package index, or a service like OSV, knows of these."""
    source = ["--vulnerability-service", "osv", "--osv-url", osv_url] if osv_url else []
    lock = ["--require-hashes", "--disable-pip", "--requirement", str(requirements)]
    output, error = _run(
        sys.executable, "-m", "pip_audit", *source, *lock, "--format", "json", "--progress-spinner", "off"
    )
    report = _parsed(output)
    if report is None:
        return Verdict([], [error])
    found = [
        f"{package['name']} {package['version']}: {vulnerability['id']}, "
        f"fixed in {', '.join(vulnerability['fix_versions']) or 'no version'}"
        for package in report["dependencies"]
        for vulnerability in package.get("vulns", ())
    ]
    skipped = [package["skip_reason"] for package in report["dependencies"] if "skip_reason" in package]
    more = f"{len(skipped)} of {len(report['dependencies'])} packages: {skipped[0]}, …" if skipped else None
    return Verdict(found, [more] if more else [])


def npm_packages(frontend: Path) -> Verdict:
    """What the npm registry knows of those that are shipped."""
    output, error = _run("npm", "audit", "--omit=dev", "--package-lock-only", "--json", folder=frontend)
    report = _parsed(output)
    if report is None or "vulnerabilities" not in report:
        return Verdict([], [(report or {}).get("message", error)])
    # Whatever depends on a vulnerable package is listed as vulnerable too, by a name instead of an advisory.
    advisories = [
        advisory
        for each in report["vulnerabilities"].values()
        for advisory in each["via"]
        if isinstance(advisory, dict)
    ]
    found = {f"{each['name']} {each['range']}: {each['severity']}, {each['title']}" for each in advisories}
    return Verdict(sorted(found), [])


def _run(*command: str, folder: Path | None = None) -> tuple[str, str]:
    """The output, and the last line of what was said to be wrong."""
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    said = run.stderr.strip().splitlines() or [f"{command[0]} ended with {run.returncode} and said nothing"]
    return run.stdout, said[-1][:ERROR_SHOWN_MAX]


def _parsed(output: str) -> Json:
    try:
        return json.loads(output)
    except ValueError:
        return None


if __name__ == "__main__":
    main()
