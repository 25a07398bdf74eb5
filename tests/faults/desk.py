"""A ledger as the service has it, whose way to PostgreSQL leads through a proxy; and the proof of what became of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import attrs
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.ids import UuidV7
from adapters.postgres.engine import INDEX_ONLY_PLANS, create_engine
from adapters.postgres.schema import SERVICE_ROLE
from adapters.postgres.unit_of_work import PostgresStore
from tests.concurrency.contents import Contents, read_contents
from tests.concurrency.proof import prove
from tests.concurrency.violations import AcknowledgedLost, DoubleEffect, Phantom, WrongReceipt
from tests.support.proxy.postgres import Point, PostgresProxy
from tests.support.proxy.rules import Action, Rule
from tests.support.stores import new_tenants
from tests.support.waits import until
from wallet_core import (
    Applied,
    BatchLedger,
    Command,
    DatabaseUnavailable,
    OpenWallet,
    Outcome,
    PlaceHold,
    Post,
    Replayed,
    Transaction,
    credit,
    debit,
    transfer,
)
from wallet_core.group_commit import GroupCommit
from wallet_core.ports import Names, Unavailable

POOL_SIZE: Final = 3
BALANCE: Final = 1000
KINDS: Final = ("credit", "transfer", "hold", "batch")


@attrs.define
class Desk:
    """Two wallets of one tenant, and all that was ever asked to be done with them."""

    dsn: str
    """The way to the database that leads past the proxy."""
    proxy: PostgresProxy
    engine: AsyncEngine
    owner: asyncpg.Connection
    tenant: UUID
    application: str
    first: UUID = attrs.field(factory=uuid4)
    second: UUID = attrs.field(factory=uuid4)
    ids: UuidV7 = attrs.field(factory=UuidV7)
    ledger: GroupCommit = attrs.field(init=False)
    asked: dict[str, Command] = attrs.field(factory=dict)
    _keys: int = 0

    def __attrs_post_init__(self) -> None:
        self.ledger = GroupCommit(BatchLedger(PostgresStore(self.engine), self.ids))

    def commands(self, kind: str) -> list[Command]:
        """New commands of this kind, which the ledger has no reason to reject."""
        match kind:
            case "credit":
                return [credit(self.key(), self.first, 5)]
            case "transfer":
                return [transfer(self.key(), self.first, self.second, 3)]
            case "hold":
                return [PlaceHold(self.key(), self.first, 2)]
            case _:
                single = [self.commands(kind)[0] for kind in ("credit", "transfer", "hold")]
                return [*single, debit(self.key(), self.second, 1)]

    def key(self) -> str:
        self._keys += 1
        return f"key-{self._keys}"

    def arm(self, point: Point, action: Action, text: str | None = None, times: int | None = 1) -> Rule:
        """Have this happen to the ledger's connections. See ``PostgresProxy.arm``."""
        return self.proxy.arm(point, action, text=text, times=times, application=self.application)

    async def do(self, commands: Sequence[Command]) -> Sequence[Outcome]:
        """Have them carried out as one request."""
        self.asked |= {command.key: command for command in commands}
        return await self.ledger.execute(self.tenant, commands)

    async def require_told_truly(self, commands: Sequence[Command], told: Sequence[Outcome]) -> None:
        """Raise a ``Violation`` if the ledger is not what the callers were told; what is unknown may be either way."""
        decided = {row.idempotency_key for row in (await self.contents()).transactions}
        for command, outcome in zip(commands, told, strict=True):
            if isinstance(outcome, Applied | Replayed) and command.key not in decided:
                raise AcknowledgedLost(f"{command} is not in the ledger")
            if isinstance(outcome, DatabaseUnavailable) and command.key in decided:
                raise Phantom(f"{command} is in the ledger, although that was denied")

    async def resolve(self, commands: Sequence[Command], told: Sequence[Outcome]) -> None:
        """Ask the same keys again, now that nothing is in the way, and require the same answers or definite ones."""
        again = await self.do(commands)
        for before, after in zip(told, again, strict=True):
            if not isinstance(after, Applied | Replayed):
                raise AcknowledgedLost(f"{after} after the faults were gone")
            if isinstance(before, Applied) and _transaction(before) != _transaction(after):
                raise WrongReceipt(f"{before} became {after}")

    async def contents(self) -> Contents:
        return await read_contents(self.dsn, self.tenant)

    async def prove(self) -> None:
        """Raise a ``Violation`` unless every command took effect exactly once, and the rows prove one another."""
        contents = await self.contents()
        prove(contents)
        keys = sorted(row.idempotency_key for row in contents.transactions)
        if keys != sorted(self.asked):
            raise DoubleEffect(f"there are {keys}, and {sorted(self.asked)} were asked for")
        due = {self.first: 0, self.second: 0}
        for command in self.asked.values():
            for posting in command.postings if isinstance(command, Post) else ():
                for wallet_id, sign in ((posting.source, -1), (posting.destination, 1)):
                    if wallet_id is not None:
                        due[wallet_id] += sign * posting.amount
        there = {wallet.id: wallet.balance for wallet in contents.wallets}
        if there != due:
            raise DoubleEffect(f"the wallets have {there}, and {due} is due")

    async def require_healthy(self) -> None:
        """Require that every connection of the pool can be used, and that none was left in a transaction."""
        # More than once, because the limits are so short here that a busy machine may exceed them.
        await until(self._every_connection_is_usable)
        await until(lambda: self.none_in(("idle in transaction", "idle in transaction (aborted)", "active")))

    async def _every_connection_is_usable(self) -> bool:
        try:
            async with AsyncExitStack() as stack:
                for _ in range(POOL_SIZE):
                    unit = await stack.enter_async_context(PostgresStore(self.engine).begin(self.tenant))
                    await unit.load(Names(["none"], [self.first], [], []))
        except Unavailable:
            return False
        return True

    async def none_in(self, states: Sequence[str]) -> bool:
        """Whether none of the ledger's sessions is in such a state on the server."""
        found = await self.owner.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND state = ANY($2)",
            self.application,
            list(states),
        )
        return int(found) == 0

    async def waits_for_lock(self) -> bool:
        """Whether one of the ledger's sessions waits for a lock."""
        found = await self.owner.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'",
            self.application,
        )
        return bool(found)


@asynccontextmanager
async def desk(dsn: str, **engine_options: Any) -> AsyncIterator[Desk]:
    """A desk in a migrated database, over an engine with these options."""
    (tenant,) = await new_tenants(dsn, 1)
    owner = await asyncpg.connect(dsn)
    async with PostgresProxy.before(dsn) as proxy:
        application = f"desk-{tenant.hex}"
        engine = create_engine(
            proxy.dsn,
            pool_size=POOL_SIZE,
            role=SERVICE_ROLE,
            planner=INDEX_ONLY_PLANS,
            application_name=application,
            **engine_options,
        )
        made = Desk(dsn, proxy, engine, owner, tenant, application)
        try:
            opened = await made.do([OpenWallet(made.key(), "EUR", id=id) for id in (made.first, made.second)])
            funded = await made.do([credit(made.key(), id, BALANCE) for id in (made.first, made.second)])
            if not all(isinstance(outcome, Applied) for outcome in [*opened, *funded]):
                raise AssertionError(f"not opened: {opened} {funded}")
            yield made
            if proxy.errors:
                raise AssertionError(f"the proxy did not understand: {proxy.errors}")
        finally:
            proxy.disarm()
            async with asyncio.timeout(10):
                await engine.dispose()
            await owner.close()


def _transaction(outcome: Applied | Replayed) -> Transaction | object:
    return outcome.transaction if isinstance(outcome, Applied) else outcome.decision
