"""Loads through the library, without HTTP: one process, on the same event loop that the service has."""

import asyncio
import itertools
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final
from uuid import UUID

import uvloop

from adapters.ids import UuidV7
from adapters.postgres.unit_of_work import PostgresStore
from benchmarks.database import WALLETS
from benchmarks.ledger import wallet_id, writing_engine
from benchmarks.rows import HOT_YARDSTICK, SPREAD_YARDSTICK, Row
from wallet_core import Applied, BatchLedger, Command, GroupCommit, credit

CALLERS: Final = 64
BATCH_SIZES: Final = (100, 1000)


def library(dsn: str, tenant: UUID, seconds: int) -> Iterator[Row]:
    """Single credits of ``CALLERS`` callers, spread and hot, and batches of each size of one caller."""
    for wallets, name, yardstick in ((WALLETS, "spread", SPREAD_YARDSTICK), (1, "hot", HOT_YARDSTICK)):
        yield _run(f"library, {CALLERS} callers, {name}", dsn, tenant, seconds, CALLERS, 1, wallets, yardstick)
    for size in BATCH_SIZES:
        yield _run(f"library, batches of {size}", dsn, tenant, seconds, 1, size, WALLETS, SPREAD_YARDSTICK)


def _run(name: str, dsn: str, tenant: UUID, seconds: int, callers: int, size: int, wallets: int, yardstick: str) -> Row:
    prefix = f"library-{callers}-{size}-{wallets}"
    latencies_ms, effects, sent, took_s = uvloop.run(_load(dsn, tenant, seconds, callers, size, wallets, prefix))
    percentiles = statistics.quantiles(latencies_ms, n=100)
    return Row(name, effects / took_s, percentiles[49], percentiles[98], sent - effects, yardstick)


async def _load(
    dsn: str, tenant: UUID, seconds: int, callers: int, size: int, wallets: int, prefix: str
) -> tuple[list[float], int, int, float]:
    engine = writing_engine(dsn)
    group = GroupCommit(BatchLedger(PostgresStore(engine), UuidV7()))
    chance, numbers = random.Random(17), itertools.count()
    latencies_ms: list[float] = []
    effects = sent = 0

    def batch() -> Sequence[Command]:
        return [credit(f"{prefix}-{next(numbers)}", wallet_id(chance.randint(1, wallets)), 1) for _ in range(size)]

    async def call(until: float, clock: Callable[[], float]) -> None:
        nonlocal effects, sent
        while (started_at := clock()) < until:
            outcomes = await group.execute(tenant, batch())
            latencies_ms.append((clock() - started_at) * 1000)
            sent += size
            effects += sum(isinstance(outcome, Applied) for outcome in outcomes)

    started_at = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(callers):
            tasks.create_task(call(started_at + seconds, time.perf_counter))
    took_s = time.perf_counter() - started_at
    await group.close()
    await engine.dispose()
    return latencies_ms, effects, sent, took_s
