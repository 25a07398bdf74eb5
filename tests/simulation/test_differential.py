"""The modelled PostgreSQL is held to the real one: given two units of work, it makes the same of every interleaving."""

import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from random import Random
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import attrs
import pytest

from adapters.postgres.engine import INDEX_ONLY_PLANS, create_engine
from adapters.postgres.schema import SERVICE_ROLE
from adapters.postgres.session import Session
from adapters.postgres.unit_of_work import PostgresStore
from tests.concurrency.contents import Contents, read_contents
from tests.databases import execute, run
from tests.simulation.differential import Notes, Schedule, drawn, found, play
from tests.simulation.faults import Plan
from tests.simulation.log import Log
from tests.simulation.loop import VirtualLoop
from tests.simulation.queries import GUARD
from tests.simulation.server import Server
from tests.simulation.session import ModelSession, ModelStore
from tests.simulation.tables import ENTRY_VERSION, TRANSACTION_KEY, Key, Tables
from tests.simulation.transactions import Transaction
from tests.support.book import TENANT

SCHEDULES = 250
PARTS = 2
FLAWED_SCHEDULES = 40
DEADLOCK_MS = 250
TRIES_MAX = 5


@attrs.frozen
class Postgres:
    """A database whose only users are the two sides, an owner who looks on, and whoever reads in the end."""

    dsn: str
    store: PostgresStore
    owner: asyncpg.Connection

    async def is_blocked(self, session: Session) -> bool:
        blockers = await self.owner.fetchval("SELECT pg_blocking_pids($1)", session._driver.get_server_pid())
        return bool(blockers)

    async def carry_out(self, seed: int) -> tuple[Schedule, Notes, Contents]:
        for _ in range(TRIES_MAX):
            tenant = UUID(int=Random().getrandbits(128))
            await self.owner.execute("INSERT INTO tenants VALUES ($1, $2, now())", tenant, f"t{tenant.hex}")
            schedule = drawn(seed, await found(self.store, tenant))
            notes = await play(schedule, self.store, tenant, self.is_blocked)
            # Which of two is the victim is up to time, and time here is the machine's: the first to wait is it only if
            # the other one waits soon enough.
            if not notes.deadlocked or notes.apart_s_max < DEADLOCK_MS / 1000 / 2:
                return schedule, notes, await read_contents(self.dsn, tenant)
        raise AssertionError("the machine is too slow to tell who is the victim of a deadlock")


@asynccontextmanager
async def postgres(dsn: str) -> AsyncIterator[Postgres]:
    engine = create_engine(dsn, pool_size=2, role=SERVICE_ROLE, planner=INDEX_ONLY_PLANS)
    owner = await asyncpg.connect(dsn)
    try:
        yield Postgres(dsn, PostgresStore(engine), owner)
    finally:
        await engine.dispose()
        await owner.close()


def carry_out_on_model(seed: int, lacking: frozenset[str] = frozenset()) -> tuple[Notes, Contents]:
    loop = VirtualLoop(Random(seed))
    plan = Plan(Random(seed))
    plan.heal()
    server = Server(loop, Random(seed), [Tables(TENANT, lacking=lacking)], plan, Log(loop.time, traced=False), lacking)
    store = ModelStore(server)

    async def is_blocked(session: Session) -> bool:
        return isinstance(session, ModelSession) and session.transaction.waits_for is not None

    async def carry_out() -> Notes:
        return await play(drawn(seed, await found(store, TENANT)), store, TENANT, is_blocked)

    notes = loop.run(carry_out())
    return notes, server.tables[TENANT].contents()


@pytest.fixture
def impatient_database(database: str, caplog: pytest.LogCaptureFixture) -> str:
    """A database in which deadlocks are looked for earlier than usual."""
    caplog.set_level(logging.CRITICAL, "wallet")
    name = urlsplit(database).path[1:]
    run(execute(database, f"ALTER DATABASE \"{name}\" SET deadlock_timeout = '{DEADLOCK_MS}ms'"))
    return database


async def carry_out_on_postgres(dsn: str, seeds: Iterable[int]) -> dict[int, tuple[Schedule, Notes, Contents]]:
    async with postgres(dsn) as real:
        return {seed: await real.carry_out(seed) for seed in seeds}


@pytest.mark.parametrize("part", range(PARTS))
def test_the_model_makes_of_every_interleaving_what_postgresql_makes_of_it(impatient_database: str, part: int) -> None:
    seeds = range(part * SCHEDULES, (part + 1) * SCHEDULES)
    seen: Counter[str] = Counter()
    for seed, (schedule, expected, rows) in run(carry_out_on_postgres(impatient_database, seeds)).items():
        notes, modelled_rows = carry_out_on_model(seed)
        assert notes.states == expected.states, f"seed {seed}: {schedule.batches}"
        assert modelled_rows == rows, f"seed {seed}: {schedule.batches}"
        seen.update(state for states in expected.states for state in set(states))
        seen["deadlock"] += expected.deadlocked
    for state in ("waits", "ended", "ended: StaleSnapshot", "deadlock", "at update-holds", "at insert-wallets"):
        assert seen[state] > 1, state


def without_guard(seed: int) -> tuple[Notes, Contents]:
    return carry_out_on_model(seed, frozenset({GUARD, ENTRY_VERSION}))


def without_unique_key(seed: int) -> tuple[Notes, Contents]:
    return carry_out_on_model(seed, frozenset({TRANSACTION_KEY}))


def without_waiting_for_keys(seed: int) -> tuple[Notes, Contents]:
    async def claim(transaction: Transaction, keys: list[Key], tables: Tables) -> bool:
        held = transaction._locks.holders
        return not any(key in held or tables.has(key) for key in keys) and await whole(transaction, keys, tables)

    whole = Transaction.claim
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Transaction, "claim", claim)
        return carry_out_on_model(seed)


def without_locks(seed: int) -> tuple[Notes, Contents]:
    async def lock(transaction: Transaction, key: Key) -> bool:
        return False

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Transaction, "lock", lock)
        return carry_out_on_model(seed)


def test_a_model_that_is_wrong_about_guards_keys_or_locks_is_found_out(impatient_database: str) -> None:
    real = run(carry_out_on_postgres(impatient_database, range(FLAWED_SCHEDULES)))
    for flawed in (without_guard, without_unique_key, without_waiting_for_keys, without_locks):
        assert any(
            (notes.states, rows) != (expected.states, expected_rows)
            for seed, (_, expected, expected_rows) in real.items()
            for notes, rows in [flawed(seed)]
        ), flawed.__name__
