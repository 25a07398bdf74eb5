"""The yardstick's own transaction through the driver that the service has, one at a time.

What it takes beyond pgbench is Python, asyncio and the driver, before there is a service at all.
"""

import random
import statistics
import time
from collections.abc import Iterator
from typing import Final

import asyncpg
import uvloop

from benchmarks.database import WALLETS
from benchmarks.meter import Meter
from benchmarks.rows import SPREAD, SPREAD_ALONE, Row
from benchmarks.yardstick import Yardstick

KEY: Final = "SELECT wallet, amount, version FROM transaction WHERE key = $1"
WALLET: Final = "SELECT balance, version FROM wallet WHERE id = $1"
UPDATE: Final = "UPDATE wallet SET balance = balance + 1, version = version + 1 WHERE id = $1 AND version = $2"
INSERT: Final = "INSERT INTO transaction (key, wallet, amount, version) VALUES ($1, $2, 1, $3)"


def driver(yardstick: Yardstick, seconds: int) -> Iterator[Row]:
    """One row: a single caller, spread over all wallets."""
    with Meter(yardstick.server, in_process=True).measured() as costs:
        latencies_ms = uvloop.run(_load(yardstick.dsn, seconds))
    percentiles = statistics.quantiles(latencies_ms, n=100)
    yield Row(
        "driver-spread-1",
        "the yardstick's transaction through asyncpg, 1 caller, spread",
        len(latencies_ms) / seconds,
        percentiles[49],
        percentiles[98],
        costs,
        yardstick=SPREAD,
        alone=SPREAD_ALONE,
        seconds=seconds,
    )


async def _load(dsn: str, seconds: int) -> list[float]:
    connection = await asyncpg.connect(dsn)
    latencies_ms: list[float] = []
    clock = time.perf_counter
    until = clock() + seconds
    while (started_at := clock()) < until:
        wallet, key = random.randint(1, WALLETS), str(random.getrandbits(63))
        await connection.execute("BEGIN")
        await connection.fetchrow(KEY, key)
        found = await connection.fetchrow(WALLET, wallet)
        if found is None or await connection.execute(UPDATE, wallet, found["version"]) != "UPDATE 1":
            raise RuntimeError("nobody else writes here, and the wallet was not updated")
        await connection.execute(INSERT, key, wallet, found["version"] + 1)
        await connection.execute("COMMIT")
        latencies_ms.append((clock() - started_at) * 1000)
    await connection.close()
    return latencies_ms
