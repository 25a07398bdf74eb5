"""How fast a ledger is proved: fills an embedded PostgreSQL of its own, proves it, and prints entries per second.

python -m scripts.measure_verify [--entries 300000] [--wallets 10000] [--runs 3]

Where other work shares the machine, the CPU that an entry costs here and in the database tells more than the seconds.
"""

import argparse
import asyncio
import itertools
import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psutil

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres_processes import processes_of
from adapters.ids import UuidV7
from adapters.postgres.admin import Admin
from adapters.postgres.engine import INDEX_ONLY_PLANS, create_engine
from adapters.postgres.migrate import upgrade
from adapters.postgres.schema import SERVICE_ROLE
from adapters.postgres.unit_of_work import PostgresStore
from entrypoints import bootstrap
from wallet_core import (
    Applied,
    BatchLedger,
    CaptureHold,
    Command,
    OpenWallet,
    PlaceHold,
    Transaction,
    credit,
    debit,
    transfer,
)
from wallet_core.verify import verify_tenant

BATCH = 1000


async def fill(dsn: str, wallets: int, entries: int) -> UUID:
    """Write as many entries as wanted, spread over the wallets: of a third each credits, debits and transfers, and one
    hold in a hundred, which is captured. Returns the tenant."""
    owner = create_engine(dsn)
    engine = create_engine(dsn, role=SERVICE_ROLE, planner=INDEX_ONLY_PLANS)
    try:
        tenant = await Admin(owner).ensure_tenant(bootstrap.DEFAULT_TENANT)
        ledger = BatchLedger(PostgresStore(engine), UuidV7())

        async def do(commands: Sequence[Command]) -> list[Transaction]:
            outcomes = await ledger.execute(tenant, commands)
            return [outcome.transaction for outcome in outcomes if isinstance(outcome, Applied)]

        ids = list(itertools.islice(UuidV7()(datetime.now(UTC)), wallets))
        for first in range(0, wallets, BATCH):
            await do([OpenWallet(f"open-{id}", "EUR", id, floor=-1_000_000) for id in ids[first : first + BATCH]])
        written, numbers, picks = wallets, itertools.count(), random.Random(1)
        while written < entries:
            done = await do([_command(next(numbers), *picks.sample(ids, 2)) for _ in range(BATCH)])
            holds = [transaction.hold for transaction in done if transaction.hold is not None]
            done += await do([CaptureHold(f"capture-{hold.id}", hold.id) for hold in holds])
            written += sum(len(transaction.entries) for transaction in done)
        return tenant
    finally:
        await owner.dispose()
        await engine.dispose()


def _command(number: int, one: UUID, other: UUID) -> Command:
    key = f"k{number}"
    if number % 100 == 0:
        return PlaceHold(key, one, 5)
    if number % 3 == 0:
        return transfer(key, one, other, 5, metadata={"invoice": f"2026-{number}"})
    return credit(key, one, 7) if number % 3 == 1 else debit(key, one, 2)


def measure(server: EmbeddedPostgres, tenant: UUID) -> None:
    """Prove the tenant once, and print what that took."""

    async def prove() -> str:
        async with bootstrap.verification(server.url()) as audit, audit.view(tenant) as view:
            (backend,) = _backends(server)
            before = time.perf_counter(), time.process_time(), _cpu_s(backend)
            proof = await verify_tenant(view)
            after = time.perf_counter(), time.process_time(), _cpu_s(backend)
        if not proof.ok:
            raise SystemExit(f"the ledger does not hold: {proof.findings.kept}")
        seconds, own_s, database_s = (end - start for start, end in zip(before, after, strict=True))
        count = proof.entries_proved
        costs = f"{own_s / count * 1e6:.2f} µs here, {database_s / count * 1e6:.2f} µs in PostgreSQL"
        return f"{count:,} entries, {count / seconds:,.0f} a second; CPU an entry: {costs}"

    print(asyncio.run(prove()))


def _backends(server: EmbeddedPostgres) -> list[psutil.Process]:
    """The sessions of clients."""
    return [process for process in processes_of(server.cluster) if "postgres wallet" in " ".join(process.cmdline())]


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def main() -> None:
    """Fill, and measure several times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=300_000)
    parser.add_argument("--wallets", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="wallet-measure-"))
    try:
        with EmbeddedPostgres(folder) as server:
            asyncio.run(upgrade(server.url()))
            tenant = asyncio.run(fill(server.url(), options.wallets, options.entries))
            for _ in range(options.runs):
                measure(server, tenant)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
