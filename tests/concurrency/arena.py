"""One tenant's ledger on a real database, what was ever asked of it, and the proof of what became of it."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import attrs
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.ids import UuidV7
from adapters.postgres.unit_of_work import PostgresStore
from tests.concurrency.clients import Job, Record, Step, service_engine
from tests.concurrency.contents import Contents, read_contents
from tests.concurrency.fleet import PROCESSES, Fleet
from tests.concurrency.history import Call, check_history
from tests.concurrency.proof import prove
from tests.concurrency.violations import Deadlocked
from wallet_core import Applied, BatchLedger, Command, OpenWallet, Outcome, Transaction, credit
from wallet_core.ports import Store

SETTLE_S_MAX: Final = 10.0


@attrs.define
class Arena:
    """A tenant of its own in a database, and the processes that race for it. ``store`` is what the racers write to."""

    dsn: str
    tenant: UUID
    fleet: Fleet
    store: Callable[[AsyncEngine], Store] = PostgresStore
    record: Record = attrs.field(factory=Record)
    _deadlocks_before: int = 0

    @classmethod
    def open(cls, dsn: str, fleet: Fleet, store: Callable[[AsyncEngine], Store] = PostgresStore) -> "Arena":
        """A new tenant in a migrated database."""
        tenant = uuid4()
        insert = "INSERT INTO tenants (id, name, created_at) VALUES ($1, $2, now())"
        asyncio.run(_ask(dsn, insert, tenant, f"t{tenant.hex}"))
        return cls(dsn, tenant, fleet, store, deadlocks_before=_deadlocks(dsn))

    def carry_out(self, *commands: Command) -> Sequence[Outcome]:
        """Carry out one batch, alone and with every mechanism in place, before or after a race."""
        return asyncio.run(self._carry_out(commands))

    def open_wallets(self, amount: int, balance: int = 0, floor: int = 0) -> list[UUID]:
        """New wallets that hold this much each."""
        ids = [uuid4() for _ in range(amount)]
        self.carry_out(*(OpenWallet(f"open-{id}", "EUR", id, floor=floor) for id in ids))
        if balance:
            self.carry_out(*(credit(f"fill-{id}", id, balance) for id in ids))
        return ids

    def apply(self, command: Command) -> Transaction:
        """Carry out one command, which must be applied."""
        (outcome,) = self.carry_out(command)
        if not isinstance(outcome, Applied):
            raise AssertionError(f"not applied: {outcome}")
        return outcome.transaction

    def race(self, clients: Sequence[Sequence[Step]], *, grouped: bool = False) -> list[Call]:
        """Deal the clients out to the processes, let all run at once, and return their calls."""
        jobs = [
            Job(self.dsn, self.tenant, clients[number::PROCESSES], grouped, self.store) for number in range(PROCESSES)
        ]
        record = self.fleet.race(jobs)
        self.record.calls.extend(record.calls)
        self.record.looks.extend(record.looks)
        return record.calls

    def check(self) -> Contents:
        """Prove the ledger, and everything that anyone was told of it; return its rows. Raises ``Violation``."""
        contents = asyncio.run(read_contents(self.dsn, self.tenant))
        prove(contents)
        check_history(self.record.calls, contents, self.record.looks)
        return contents

    def check_deadlocks(self) -> None:
        """Raise ``Deadlocked`` if the database had to break a deadlock since the arena was opened."""
        self.settle()
        deadlocks = _deadlocks(self.dsn) - self._deadlocks_before
        if deadlocks:
            raise Deadlocked(f"{deadlocks} deadlocks")

    async def _carry_out(self, commands: Sequence[Command]) -> Sequence[Outcome]:
        engine = service_engine(self.dsn, pool_size=1)
        try:
            invoked_ns = time.monotonic_ns()
            outcomes = await BatchLedger(PostgresStore(engine), UuidV7()).execute(self.tenant, commands)
            completed_ns = time.monotonic_ns()
        finally:
            await engine.dispose()
        self.record.calls.extend(
            Call(command, invoked_ns, completed_ns, outcome)
            for command, outcome in zip(commands, outcomes, strict=True)
        )
        return outcomes

    def settle(self) -> None:
        """Wait until the sessions of all racers and writers are gone, and what they counted is in the statistics."""
        sessions = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND application_name = 'wallet-service'"
        )
        deadline = time.monotonic() + SETTLE_S_MAX
        while asyncio.run(_ask(self.dsn, sessions)) and time.monotonic() < deadline:
            time.sleep(0.02)


def _deadlocks(dsn: str) -> int:
    question = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    return int(asyncio.run(_ask(dsn, question)))


async def _ask(dsn: str, question: str, *arguments: object) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(question, *arguments)
    finally:
        await connection.close()
