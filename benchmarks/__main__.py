"""Measures the service against a yardstick, on this machine and in one run: rates, latencies, CPU, memory, bytes."""

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

from benchmarks.plot import svg
from benchmarks.rows import Report
from benchmarks.run import PARTS, Options, run
from benchmarks.tables import markdown
from benchmarks.targets import document
from benchmarks.wrk import KINDS_OF_KEYS


def main() -> None:
    """Parse the command line, and run what it names. Exits with 1 if a load failed or what it told is not true."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="how long each load lasts (default: %(default)s)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to run (default: all)")
    parser.add_argument(
        "--growth",
        nargs="+",
        type=int,
        default=[0, 1, 10],
        metavar="MILLIONS",
        help="the sizes of the ledgers of the part growth, in millions of transactions (default: 0 1 10)",
    )
    parser.add_argument("--workers", type=int, help="processes of the service (default: as many as it has by default)")
    parser.add_argument(
        "--keys",
        choices=KINDS_OF_KEYS,
        default="random",
        help="idempotency keys that are UUIDs at random, or in the order of time (default: %(default)s)",
    )
    parser.add_argument("--results", type=Path, default=Path(".benchmarks"), help="folder (default: %(default)s)")
    parser.add_argument("--markdown", type=Path, help="where the tables go besides the folder of the results")
    parser.add_argument("--plot", type=Path, help="where the picture goes besides the folder of the results")
    parser.add_argument("--from", type=Path, dest="source", help="run nothing, and take the results from this JSON")
    options = parser.parse_args()
    # So that servers that run by then are stopped.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    if options.source is not None:
        results: dict[str, Any] = json.loads(options.source.read_text())
    else:
        report = run(Options(options.seconds, options.parts, options.growth, options.keys, options.workers))
        results = _kept(report, options.results)
    tables = markdown(results)
    print(f"\n{tables}")
    if options.markdown:
        options.markdown.write_text(tables)
    if options.plot:
        options.plot.write_text(svg(results))
    if results["failures"]:
        sys.exit(1)


def _kept(report: Report, folder: Path) -> dict[str, Any]:
    """Write the JSON of a run, its tables and its picture, and return the first."""
    folder.mkdir(parents=True, exist_ok=True)
    results = document(report)
    path = folder / f"{report.started_at:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
    path.with_suffix(".md").write_text(markdown(results))
    path.with_suffix(".svg").write_text(svg(results))
    print(f"\n{path}")
    return results


if __name__ == "__main__":
    main()
