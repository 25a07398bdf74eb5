"""Loads through the library, without HTTP: one process, on the same event loop that the service has."""

import asyncio
import random
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import attrs
import uvloop

from adapters.ids import UuidV7
from adapters.postgres.unit_of_work import PostgresStore
from benchmarks.ledger import Ledger, wallet_id, writing_engine
from benchmarks.meter import Meter
from benchmarks.rows import HOT, SPREAD, SPREAD_ALONE, Row
from benchmarks.stage import Stage
from benchmarks.statements import Clocked
from benchmarks.truth import Told, Untrue, witnessed
from wallet_core import Applied, BatchLedger, Command, GroupCommit, credit
from wallet_core.group_commit import STACKED_COMMANDS_MIN

CALLERS: Final = (1, 64, 1000)
HOT_CALLERS: Final = 64
BATCH_SIZES: Final = (100, 1000)


@attrs.frozen
class Calls:
    """How a load calls: ``callers`` at a time, each with ``size`` credits in a call, to the first ``wallets``."""

    callers: int
    size: int
    wallets: int
    seconds: int


@attrs.define
class Tally:
    """What came of it."""

    latencies_ms: list[float] = attrs.field(factory=list)
    waits_ms: list[float] = attrs.field(factory=list)
    """Of each batch: how long its statements took."""
    applied: int = 0
    sent: int = 0
    took_s: float = 0.0


def library(stage: Stage) -> Iterator[Row]:
    """Single credits of many callers, spread and hot, and batches of each size of one caller. For one caller, what the
    statements take by themselves is a row of its own."""
    spread, seconds = stage.ledger.wallets, stage.seconds
    for callers in CALLERS:
        name = f"library, {callers} caller{'s' * (callers > 1)}, spread"
        yield from _rows(stage, f"library-spread-{callers}", name, Calls(callers, 1, spread, seconds))
    name = f"library, {HOT_CALLERS} callers, hot"
    yield from _rows(stage, f"library-hot-{HOT_CALLERS}", name, Calls(HOT_CALLERS, 1, 1, seconds))
    for size in BATCH_SIZES:
        name = f"library, batches of {size}, 1 caller, commands"
        yield from _rows(stage, f"library-batches-{size}", name, Calls(1, size, spread, seconds))


def _rows(stage: Stage, key: str, name: str, calls: Calls) -> Iterator[Row]:
    try:
        with witnessed(stage.ledger) as witness:
            with Meter(stage.server, in_process=True).measured() as costs:
                tally = uvloop.run(_load(stage.ledger, calls))
            witness.tell(Told(tally.applied))
    except Untrue as wrong:
        stage.report.fail(f"{name}: {wrong}")
    if tally.applied != tally.sent:
        stage.report.fail(f"{name}: {tally.sent - tally.applied} commands were not applied")
    percentiles = statistics.quantiles(tally.latencies_ms, n=100)
    row = Row(
        key,
        name,
        tally.applied / tally.took_s,
        percentiles[49],
        percentiles[98],
        costs,
        yardstick=HOT if calls.wallets == 1 else SPREAD,
        alone=SPREAD_ALONE if calls.callers == calls.size == 1 else None,
        without_effect=tally.sent - tally.applied,
        seconds=tally.took_s,
    )
    yield row
    if calls.callers == 1:
        waits = statistics.quantiles(tally.waits_ms, n=100)
        # As many as there would be if nothing but the statements took time.
        rate = calls.size * 1000 / statistics.fmean(tally.waits_ms)
        yield attrs.evolve(
            row,
            key=key.replace("library", "statements"),
            name=name.replace("library", "its statements"),
            per_second=rate,
            p50_ms=waits[49],
            p99_ms=waits[98],
        )


async def _load(ledger: Ledger, calls: Calls) -> Tally:
    engine = writing_engine(ledger.dsn)
    store = Clocked(PostgresStore(engine))
    group = GroupCommit(BatchLedger(store, UuidV7(), stacks=True), stacked_commands_min=STACKED_COMMANDS_MIN)
    chance = random.Random()
    tally = Tally()

    def batch() -> Sequence[Command]:
        return [
            credit(
                str(uuid.UUID(int=chance.getrandbits(128), version=4)), wallet_id(chance.randint(1, calls.wallets)), 1
            )
            for _ in range(calls.size)
        ]

    async def call(until: float, clock: Callable[[], float]) -> None:
        while (started_at := clock()) < until:
            outcomes = await group.execute(ledger.tenant, batch())
            tally.latencies_ms.append((clock() - started_at) * 1000)
            tally.sent += calls.size
            tally.applied += sum(isinstance(outcome, Applied) for outcome in outcomes)

    started_at = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(calls.callers):
            tasks.create_task(call(started_at + calls.seconds, time.perf_counter))
    tally.took_s = time.perf_counter() - started_at
    tally.waits_ms = store.waits_ms
    await group.close()
    await engine.dispose()
    return tally
