"""The library without HTTP: the same ledger, called in this process."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

from adapters.ids import UuidV7
from adapters.postgres.admin import tenant_id_of
from adapters.postgres.engine import INDEX_ONLY_PLANS, create_engine
from adapters.postgres.schema import SERVICE_ROLE
from adapters.postgres.unit_of_work import PostgresStore
from benchmarks.measure import Measurement, percentile
from wallet_core import Applied, BatchLedger, OpenWallet, Transaction, credit
from wallet_core.outcomes import Outcome

TENANT: Final = tenant_id_of("default")
OPENED_PER_BATCH: Final = 1000


@asynccontextmanager
async def _ledger(database_url: str) -> AsyncIterator[BatchLedger]:
    engine = create_engine(database_url, role=SERVICE_ROLE, planner=INDEX_ONLY_PLANS)
    try:
        yield BatchLedger(PostgresStore(engine), UuidV7())
    finally:
        await engine.dispose()


async def open_wallets(database_url: str, count: int, file: Path) -> None:
    """Open wallets of the tenant that the service's key belongs to, and write their ids to a file, one a line."""
    async with _ledger(database_url) as ledger:
        with file.open("w") as ids:
            for first in range(0, count, OPENED_PER_BATCH):
                numbers = range(first, min(count, first + OPENED_PER_BATCH))
                outcomes = await ledger.execute(TENANT, [OpenWallet(f"open-{number}", "EUR") for number in numbers])
                for outcome in outcomes:
                    ids.write(f"{_applied(outcome).entries[0].wallet_id}\n")


async def measure(database_url: str, wallets: list[UUID], *, size: int, seconds: float, word: str) -> Measurement:
    """Credits in batches of one size, one batch after the other."""
    latencies: list[float] = []
    number = 0
    async with _ledger(database_url) as ledger:
        end = time.perf_counter() + seconds
        while (begun := time.perf_counter()) < end:
            commands = []
            for _ in range(size):
                number += 1
                commands.append(credit(f"{word}-{number}", wallets[number * 7919 % len(wallets)], 1))
            for outcome in await ledger.execute(TENANT, commands):
                _applied(outcome)
            latencies.append((time.perf_counter() - begun) * 1000)
    latencies.sort()
    rate = number / (sum(latencies) / 1000)
    return Measurement(f"library, batches of {size}", rate, percentile(latencies, 0.5), percentile(latencies, 0.99))


def _applied(outcome: Outcome) -> Transaction:
    if not isinstance(outcome, Applied):
        raise ValueError(f"not applied: {outcome}")
    return outcome.transaction


def run(database_url: str, wallets: list[UUID], *, size: int, seconds: float, word: str) -> Measurement:
    """``measure``, from code that is not asynchronous."""
    return asyncio.run(measure(database_url, wallets, size=size, seconds=seconds, word=word))
