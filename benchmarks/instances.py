"""Several instances of the service on one database, all writing to one hot wallet, with the load spread over them."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from benchmarks.http_loads import USUAL_CONNECTIONS, warm_up
from benchmarks.rows import Row, taken_in_turns
from benchmarks.service import on_database, serving
from benchmarks.stage import Stage

COUNTS: Final = (1, 2, 4)
ROUNDS: Final = 2


def instances(stage: Stage, workers: int | None) -> Iterator[Row]:
    """One row for each number of instances. They take turns, so that a change of the machine meets all of them."""
    found: dict[int, list[Row]] = {count: [] for count in COUNTS}
    with ExitStack() as stack:
        settings = on_database(stage.ledger.dsn, workers)
        services = [stack.enter_context(serving(settings)) for _ in range(max(COUNTS))]
        warm_up(stage, *services)
        load = stage.load("contended.lua", USUAL_CONNECTIONS, wallets=1)
        for _ in range(ROUNDS):
            for count in COUNTS:
                name = f"HTTP credits, {USUAL_CONNECTIONS} connections, hot, {count} instance{'s' * (count > 1)}"
                row = stage.row(f"instances-{count}", name, services[:count], load, effect="contended credits")
                found[count].append(row)
    for rows in found.values():
        yield taken_in_turns(rows)
