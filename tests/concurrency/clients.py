"""Clients that race for one ledger: what one process of them does.

Each process has its own engine and its own ledger, as each process of the service has. Its clients are tasks, each of
which sends its batches one after the other. A client whose batch lost the race too often sends the same keys again, as
the contract tells it to.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

import attrs
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.ids import UuidV7
from adapters.postgres.engine import INDEX_ONLY_PLANS, create_engine
from adapters.postgres.reader import PostgresReader
from adapters.postgres.schema import SERVICE_ROLE
from adapters.postgres.unit_of_work import PostgresStore
from tests.concurrency.history import Call, Look
from wallet_core import BatchLedger, Command, Contention, GroupCommit
from wallet_core.ports import Ledger, Store

SENDS_MAX: Final = 30
"""How often a client sends a batch whose commands lost the race."""

SESSIONS_MAX: Final = 6
"""How many units of work a process has at once. More clients than that take turns, as they do for a pool."""

Step = Sequence[Command] | UUID
"""A batch to send, or a wallet to look at."""


@attrs.frozen
class Job:
    """What the clients of one process do. ``clients`` holds the steps of each, in order.

    ``grouped``: the clients share a queue, and its batches, as requests to one process of the service do; otherwise
    each client's batch is a unit of work of its own. ``store`` makes the store, possibly one that lacks a mechanism.
    """

    dsn: str
    tenant: UUID
    clients: Sequence[Sequence[Step]]
    grouped: bool = False
    store: Callable[[AsyncEngine], Store] = PostgresStore


@attrs.frozen
class Record:
    """What the clients of a job did and saw."""

    calls: list[Call] = attrs.field(factory=list)
    looks: list[Look] = attrs.field(factory=list)


def service_engine(dsn: str, pool_size: int) -> AsyncEngine:
    """An engine as the service has it: with the role that may not rewrite the ledger."""
    return create_engine(dsn, pool_size=pool_size, pool_timeout_ms=30_000, role=SERVICE_ROLE, planner=INDEX_ONLY_PLANS)


async def carry_out(job: Job, ready: Callable[[], object]) -> Record:
    """Run the clients of a job. ``ready`` blocks until all processes are; connections are open by then."""
    sessions = 1 if job.grouped else min(SESSIONS_MAX, max(1, len(job.clients)))
    engine = service_engine(job.dsn, pool_size=sessions + 1)
    try:
        await _open(engine, sessions + 1)
        plain = BatchLedger(job.store(engine), UuidV7())
        group = GroupCommit(plain)
        record = Record()
        ready()
        async with asyncio.TaskGroup() as tasks:
            for steps in job.clients:
                client = _Client(job.tenant, group if job.grouped else plain, PostgresReader(engine), record)
                tasks.create_task(client.run(steps))
        await group.close()
        return record
    finally:
        await engine.dispose()


async def _open(engine: AsyncEngine, connections: int) -> None:
    opened = [await engine.connect() for _ in range(connections)]
    for connection in opened:
        await connection.close()


@attrs.frozen
class _Client:
    tenant: UUID
    ledger: Ledger
    reader: PostgresReader
    record: Record

    async def run(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if isinstance(step, UUID):
                await self._look(step)
            else:
                await self._send(step)

    async def _send(self, commands: Sequence[Command]) -> None:
        for _ in range(SENDS_MAX):
            invoked_ns = time.monotonic_ns()
            outcomes = await self.ledger.execute(self.tenant, commands)
            completed_ns = time.monotonic_ns()
            self.record.calls.extend(
                Call(command, invoked_ns, completed_ns, outcome)
                for command, outcome in zip(commands, outcomes, strict=True)
            )
            if not any(isinstance(outcome, Contention) for outcome in outcomes):
                return

    async def _look(self, wallet_id: UUID) -> None:
        invoked_ns = time.monotonic_ns()
        wallet = await self.reader.wallet(self.tenant, wallet_id)
        if wallet is not None:
            self.record.looks.append(Look(wallet_id, invoked_ns, time.monotonic_ns(), wallet.version, wallet.balance))
