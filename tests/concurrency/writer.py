"""A process that writes until it is stopped or killed, and keeps a journal of what it asked for and was told.

A line of the journal is written before a command is sent and after it was answered, each straight to the operating
system, which keeps it when the process is killed.
"""

import asyncio
import multiprocessing
import os
import pickle
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID

import attrs
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.ids import UuidV7
from adapters.postgres.unit_of_work import PostgresStore
from tests.concurrency.clients import service_engine
from tests.concurrency.history import Call
from wallet_core import (
    BatchLedger,
    Command,
    Contention,
    DatabaseUnavailable,
    GroupCommit,
    Unknown,
    credit,
    debit,
    transfer,
)
from wallet_core.ports import Ledger, Store

CLIENTS: Final = 16
POLL_S: Final = 0.01
RESEND_AFTER_S: Final = 0.02
WRITE_S_MAX: Final = 40.0
"""When a writer that nobody stops does so itself."""

NOT_DEFINITE: Final = (Contention, DatabaseUnavailable, Unknown)


@attrs.frozen
class Job:
    """What to write to, and where the journal goes. ``name`` parts the keys of one writer from those of another."""

    dsn: str
    tenant: UUID
    wallets: Sequence[UUID]
    journal: Path
    name: str
    store: Callable[[AsyncEngine], Store] = PostgresStore


@attrs.frozen
class Writer:
    """A running writer."""

    process: SpawnProcess
    stop: Event
    job: Job

    def wait_for_acknowledgements(self, amount: int) -> None:
        """Return once this many more commands have been answered."""
        wanted = len(answered(self.job.journal)) + amount
        deadline = time.monotonic() + WRITE_S_MAX
        while len(answered(self.job.journal)) < wanted:
            if not self.process.is_alive() or time.monotonic() > deadline:
                raise AssertionError(f"the writer has stopped short of {wanted} acknowledgements")
            time.sleep(POLL_S)


@contextmanager
def writing(job: Job) -> Iterator[Writer]:
    """A process that writes for as long as the context lasts, unless the test kills it before."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    process = context.Process(target=_write, args=(job, stop), daemon=True)
    process.start()
    try:
        yield Writer(process, stop, job)
    finally:
        stop.set()
        process.join(WRITE_S_MAX)
        if process.is_alive():
            process.kill()
            process.join()
        process.close()


def read_journal(journal: Path) -> list[Call]:
    """Every call that the writer made. One that it was not answered has no outcome."""
    latest: dict[tuple[str, int], Call] = {}
    with journal.open("rb") as lines:
        while True:
            try:
                call: Call = pickle.load(lines)
            except (EOFError, pickle.UnpicklingError):
                # The last line may have been cut off by the end of its writer.
                return list(latest.values())
            latest[call.key, call.invoked_ns] = call


def answered(journal: Path) -> list[Call]:
    """The calls that were answered."""
    return [call for call in read_journal(journal) if call.outcome is not None] if journal.exists() else []


def _write(job: Job, stop: Event) -> None:
    asyncio.run(_write_until(job, stop))


async def _write_until(job: Job, stop: Event) -> None:
    engine = service_engine(job.dsn, pool_size=4)
    group = GroupCommit(BatchLedger(job.store(engine), UuidV7()))
    deadline = time.monotonic() + WRITE_S_MAX

    def stopped() -> bool:
        return stop.is_set() or time.monotonic() > deadline

    with job.journal.open("ab", buffering=0) as journal:
        async with asyncio.TaskGroup() as tasks:
            for client in range(CLIENTS):
                commands = _commands(f"{job.name}-{client}", job.wallets)
                tasks.create_task(_Client(job.tenant, group, journal).run(commands, stopped))
        await group.close()
    await engine.dispose()


def _commands(name: str, wallets: Sequence[UUID]) -> Iterator[Command]:
    """Credits, debits and transfers without an end. Each has a key of its own."""
    chance = random.Random(name)
    number = 0
    while True:
        number += 1
        key, (one, other), amount = f"{name}-{number}", chance.sample(wallets, 2), chance.randint(1, 30)
        yield chance.choice((credit(key, one, amount), debit(key, one, amount), transfer(key, one, other, amount)))


@attrs.frozen
class _Client:
    tenant: UUID
    ledger: Ledger
    journal: BinaryIO

    async def run(self, commands: Iterator[Command], stopped: Callable[[], bool]) -> None:
        command = next(commands)
        while not stopped():
            if await self._send(command):
                command = next(commands)
            else:
                await asyncio.sleep(RESEND_AFTER_S)

    async def _send(self, command: Command) -> bool:
        """Whether the answer was definite. If not, the same key has to be sent again."""
        call = Call(command, time.monotonic_ns(), completed_ns=0, outcome=None)
        self._note(call)
        (outcome,) = await self.ledger.execute(self.tenant, [command])
        self._note(attrs.evolve(call, completed_ns=time.monotonic_ns(), outcome=outcome))
        return not isinstance(outcome, NOT_DEFINITE)

    def _note(self, call: Call) -> None:
        # Past Python's own buffers, in one write, so that a line is there as soon as this returns.
        os.write(self.journal.fileno(), pickle.dumps(call))
