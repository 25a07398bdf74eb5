"""Stores and databases that lack one mechanism each, to show that the tests would notice its absence."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import BinaryExpression, Insert, Update, true
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.visitors import ExternallyTraversible, iterate, replacement_traverse

from adapters.postgres.statements import UPDATE_BALANCES, UPDATE_WALLETS
from adapters.postgres.unit_of_work import PostgresStore, PostgresUnit
from adapters.postgres.writes import Write
from wallet_core.ports import Changes

NO_UNIQUE_KEY: Final = "ALTER TABLE transactions DROP CONSTRAINT transactions_tenant_id_idempotency_key_key"
NO_UNIQUE_VERSION: Final = "ALTER TABLE entries DROP CONSTRAINT entries_pkey"
NO_UNIQUE_REVERSAL: Final = "DROP INDEX transactions_reverses_key"


def _without_guard(guarded: Update) -> Update:
    condition = guarded.whereclause
    parts = [] if condition is None else list(iterate(condition))
    guards = [part for part in parts if isinstance(part, BinaryExpression) and "loaded_version" in str(part)]
    if len(guards) != 1:
        raise AssertionError("the guard of an update was not found")

    def replaced(element: Any, **kw: Any) -> Any:
        return true() if element is guards[0] else None

    return cast(Update, replacement_traverse(cast(ExternallyTraversible, guarded), {}, replaced))


SLOW_ROWS: Final = (
    "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END'",
    "CREATE TRIGGER slowly BEFORE INSERT ON transactions FOR EACH ROW EXECUTE FUNCTION slowly()",
    "CREATE TRIGGER slowly BEFORE UPDATE ON wallets FOR EACH ROW EXECUTE FUNCTION slowly()",
)
"""Nothing is missing then, but batches that begin at almost the same time are written at the same time for certain."""

UNGUARDED: Final[dict[Insert | Update, Update]] = {
    guarded: _without_guard(guarded) for guarded in (UPDATE_BALANCES, UPDATE_WALLETS)
}
COMMIT_DELAY_S: Final = 0.05
"""How long after its acknowledgement ``EarlyStore`` commits."""


class _BrokenStore(PostgresStore):
    unit: type[PostgresUnit]

    @asynccontextmanager
    async def _begin(self, tenant: UUID) -> AsyncIterator[PostgresUnit]:
        async with super()._begin(tenant) as whole:
            yield self.unit(whole._session, tenant)


class _UnguardedUnit(PostgresUnit):
    def _writes(self, changes: Changes) -> Iterator[Write]:
        for statement, rows, columns in super()._writes(changes):
            yield UNGUARDED.get(statement, statement), rows, columns


class UnguardedStore(_BrokenStore):
    """Updates a wallet whatever its version is by now."""

    unit = _UnguardedUnit


class _UnsortedUnit(PostgresUnit):
    def _writes(self, changes: Changes) -> Iterator[Write]:
        for statement, rows, columns in super()._writes(changes):
            order = random.sample(range(rows), rows)
            yield statement, rows, {name: [values[place] for place in order] for name, values in columns.items()}


class UnsortedStore(_BrokenStore):
    """Writes the rows of a batch in any order."""

    unit = _UnsortedUnit


class _EarlyUnit(PostgresUnit):
    async def commit(self) -> None:
        """Says that it is kept, before it is."""


class EarlyStore(PostgresStore):
    """Acknowledges first and commits a little later."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self._commits: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def _begin(self, tenant: UUID) -> AsyncIterator[PostgresUnit]:
        async with AsyncExitStack() as stack:
            whole = await stack.enter_async_context(super()._begin(tenant))
            early = _EarlyUnit(whole._session, tenant)
            yield early
            task = asyncio.create_task(self._commit(early, stack.pop_all()))
            self._commits.add(task)
            task.add_done_callback(self._commits.discard)

    async def _commit(self, early: PostgresUnit, stack: AsyncExitStack) -> None:
        async with stack:
            await asyncio.sleep(COMMIT_DELAY_S)
            await PostgresUnit.commit(early)
