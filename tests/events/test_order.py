"""The order of events where ids of transactions, their beginnings and their commits are in different orders.

Each case is also played with a part of the order missing, which has to show.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import BigInteger, Select, literal_column

from adapters.postgres import events, statements
from adapters.postgres.events import EVENTS
from adapters.postgres.schema import transactions
from adapters.postgres.unit_of_work import PostgresUnit
from tests.support.builders import A, B, C
from tests.support.ids import id_number
from tests.support.stores import World, postgres_world
from wallet_core import Command, Transaction, credit, decide_batch, transfer
from wallet_core.ports import Names

WAITING: Final = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"


@pytest.fixture
async def world(database: str) -> AsyncIterator[World]:
    async with postgres_world(database, "READ COMMITTED") as world:
        await world.open(A, B, C)
        yield world


class Writer:
    """A transaction that a test carries out step by step. Its ids begin with a number of the test's choice."""

    def __init__(self, unit: PostgresUnit, number: int) -> None:
        self.unit = unit
        self._ids = iter([id_number(number * 1000 + place) for place in range(10)])

    async def lock(self, *wallets: UUID) -> None:
        """Lock wallets, which gives the transaction its id."""
        await self.unit.load(Names((), wallets, (), ()), lock=True)

    async def write(self, command: Command, *wallets: UUID) -> None:
        snapshot = await self.unit.load(Names((command.key,), wallets, (), ()), lock=True)
        await self.unit.append(decide_batch(snapshot, (command,), self._ids).changes)


@asynccontextmanager
async def writer(world: World, number: int) -> AsyncIterator[Writer]:
    async with world.store.begin(world.tenant) as unit:
        assert isinstance(unit, PostgresUnit)
        yield Writer(unit, number)


async def until_somebody_waits(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        while not await connection.fetchval(WAITING):  # noqa: ASYNC110 - a lock of the server's is no event here
            await asyncio.sleep(0.005)
    finally:
        await connection.close()


class Consumer:
    """Follows the events, and keeps what it was told."""

    def __init__(self, world: World, cursor: str | None) -> None:
        self.world = world
        self.told: list[Transaction] = []
        self._cursor = cursor

    async def read(self) -> list[str]:
        """The keys of what is new."""
        page = await self.world.told(self._cursor)
        self._cursor = page.next_cursor
        self.told += [event.transaction for event in page.items]
        return [event.transaction.key for event in page.items]

    def versions(self, wallet: UUID) -> list[int]:
        entries = [entry for transaction in self.told for entry in transaction.entries]
        return [entry.version for entry in entries if entry.wallet_id == wallet]


async def consumer(world: World) -> Consumer:
    return Consumer(world, (await world.told()).next_cursor)


# ------------------------------------------------------------------ what is missing in the variants


def without_horizon() -> Select[Any]:
    """Events as they are committed, whoever is still under way."""
    where = [clause for clause in EVENTS.whereclause.clauses if "pg_snapshot_xmin" not in str(clause)]  # type: ignore[union-attr]
    bare = EVENTS.with_only_columns(*EVENTS.selected_columns)
    bare._where_criteria = tuple(where)
    return bare


Inserted = dict[str, Any]

BY_XID: Final[Inserted] = {"position": literal_column("pg_current_xact_id()::text::bigint", BigInteger())}
BY_ID: Final[Inserted] = {"position": literal_column("1", BigInteger()), "lsn": literal_column("0", BigInteger())}
WITHOUT_LSN: Final[Inserted] = {"lsn": literal_column("0", BigInteger())}


@pytest.fixture
def inserting(monkeypatch: pytest.MonkeyPatch) -> Callable[[Inserted], None]:
    """Have transactions inserted at other places than they ought to be."""

    def insert(other: Inserted) -> None:
        for name, value in other.items():
            monkeypatch.setitem(statements._COMPUTED, name, value)
        monkeypatch.setattr(statements, "INSERT_TRANSACTIONS", statements._insert(transactions))

    return insert


# ------------------------------------------------------------------ one that began before ends after


async def a_late_commit(world: World) -> Sequence[str]:
    """What a consumer is told who looks between the commits of two transactions, and after them."""
    following = await consumer(world)
    async with writer(world, 1) as early, writer(world, 2) as late:
        await early.write(credit("began-first", A, 1), A)
        await late.write(credit("ended-first", B, 1), B)
        await late.unit.commit()
        await following.read()
        await early.unit.commit()
    await following.read()
    return [transaction.key for transaction in following.told]


async def test_a_transaction_that_ends_late_is_not_skipped(world: World) -> None:
    assert await a_late_commit(world) == ["began-first", "ended-first"]


async def test_without_the_horizon_it_is_skipped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "EVENTS", without_horizon())
    assert await a_late_commit(world) == ["ended-first"]


async def test_what_is_rolled_back_holds_nothing_up_and_is_not_told(world: World) -> None:
    following = await consumer(world)
    async with writer(world, 1) as given_up, writer(world, 2) as kept:
        await given_up.write(credit("given-up", A, 1), A)
        await kept.write(credit("kept", B, 1), B)
        await kept.unit.commit()
        assert await following.read() == []
    assert await following.read() == ["kept"]


# ------------------------------------------------------------------ the one with the lower id waits for the other


async def a_wait_for_a_higher_id(world: World, dsn: str) -> Consumer:
    """Of two transactions on B, the second has the lower id, and a position that is no higher: it got its id as it
    locked A, and then waited for B, where the first one was faster."""
    following = await consumer(world)
    async with writer(world, 1) as second, writer(world, 2) as first:
        await second.lock(A)
        await first.write(credit("first", B, 1), B)
        waiting = asyncio.create_task(second.write(transfer("second", A, B, 1), A, B))
        await until_somebody_waits(dsn)
        await first.unit.commit()
        await waiting
        await second.unit.commit()
    await following.read()
    return following


async def test_the_versions_of_a_wallet_ascend_whoever_had_to_wait(world: World, database: str) -> None:
    following = await a_wait_for_a_higher_id(world, database)
    assert following.versions(B) == [3, 4]


@pytest.mark.parametrize("other", [BY_XID, BY_ID, WITHOUT_LSN], ids=["xid alone", "id alone", "no log position"])
async def test_with_less_than_all_of_the_order_they_do_not(
    world: World, database: str, inserting: Callable[[Inserted], None], other: Inserted
) -> None:
    inserting(other)
    await a_wait_for_a_higher_id(world, database)
    everything = Consumer(world, None)
    await everything.read()
    versions = everything.versions(B)
    assert versions.index(4) < versions.index(3)


# ------------------------------------------------------------------ a server at rest, and a busy one


async def test_an_idle_server_has_told_everything(world: World) -> None:
    following = await consumer(world)
    async with writer(world, 1) as one, writer(world, 2) as other:
        await one.write(credit("one", A, 1), A)
        await other.write(credit("other", B, 1), B)
        await other.unit.commit()
        await one.unit.commit()
    assert sorted(await following.read()) == ["one", "other"]


async def test_two_readings_from_the_beginning_are_the_same(world: World) -> None:
    for number in range(5):
        await asyncio.gather(
            *(world.do(transfer(f"{number}-{n}", a, b, 1)) for n, (a, b) in enumerate([(A, B), (B, C), (C, A)]))
        )
    once, again = await world.told(), await world.told()
    assert once == again
