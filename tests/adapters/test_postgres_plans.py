"""How the database finds the rows of a batch: by index, row by row, whatever it knows of its tables.

The statements are explained as the service runs them: see ``tests.support.plans``.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime

import pytest
from sqlalchemy import ClauseElement, Dialect
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.ids import UuidV7
from adapters.postgres import statements
from adapters.postgres.engine import INDEX_ONLY_PLANS, create_engine
from adapters.postgres.reader import PostgresReader
from adapters.postgres.schema import SERVICE_ROLE
from adapters.postgres.unit_of_work import PostgresStore
from tests.databases import Databases, execute, run
from tests.support.filled import TENANT, fill_statements, key, tenant_statements, transaction_id, wallet_id
from tests.support.plans import BY_INDEX, OF_PARAMETERS, STEPS, Explained, Recorder
from wallet_core import (
    CaptureHold,
    ChangeWallet,
    Command,
    Kind,
    OpenWallet,
    PlaceHold,
    Reverse,
    WalletStatus,
    credit,
    decide_batch,
)
from wallet_core.ledger import names_of
from wallet_core.ports import Changes, Names

RUNS = 11
"""After five runs the server considers a plan that it keeps."""

# Two indexes, three levels each, and the row; an insert enters into up to four indexes and splits some pages.
BUFFERS_PER_ROW_READ = 10
BUFFERS_PER_ROW_WRITTEN = 30
BUFFERS_BESIDE = 30

KINDS = 5
"""How many commands of different kinds a batch has for each wallet that it is about."""


@pytest.fixture(scope="module")
def never_analysed(databases: Databases) -> Iterator[str]:
    """100,000 of everything, and no statistics."""
    dsn = databases.create()
    run(execute(dsn, *tenant_statements(), *fill_statements()))
    yield dsn
    databases.drop(dsn)


@pytest.fixture(scope="module")
def analysed(databases: Databases) -> Iterator[str]:
    """100,000 of everything, and what the server can know of it."""
    dsn = databases.create()
    run(execute(dsn, *tenant_statements(), *fill_statements(), "VACUUM ANALYZE"))
    yield dsn
    databases.drop(dsn)


@pytest.fixture
def small(databases: Databases) -> Iterator[str]:
    """A handful of rows, and no statistics."""
    dsn = databases.create()
    run(execute(dsn, *tenant_statements(), *fill_statements(20)))
    yield dsn
    databases.drop(dsn)


@pytest.fixture
def small_and_analysed(small: str) -> str:
    """A handful of rows, and statistics that say so."""
    run(execute(small, "VACUUM ANALYZE"))
    return small


@pytest.fixture
async def engine(dsn: str) -> AsyncIterator[AsyncEngine]:
    """The engine that the service writes through, but of one connection."""
    engine = create_engine(dsn, pool_size=1, role=SERVICE_ROLE, planner=INDEX_ONLY_PLANS)
    yield engine
    await engine.dispose()


@pytest.fixture
async def reading_engine(dsn: str) -> AsyncIterator[AsyncEngine]:
    """The engine that the service reads through, but of one connection."""
    engine = create_engine(dsn, pool_size=1, role=SERVICE_ROLE, planner=INDEX_ONLY_PLANS)
    yield engine
    await engine.dispose()


@pytest.fixture
def dsn(request: pytest.FixtureRequest) -> str:
    """The database that a test is parametrised with, by the name of its fixture."""
    found: str = request.getfixturevalue(request.param)
    return found


everywhere = pytest.mark.parametrize(
    "dsn", ["small", "small_and_analysed", "never_analysed", "analysed"], indirect=True
)


GROWN_ROWS = 20_000
PAGE = 50


def _commands(numbers: Sequence[int]) -> list[Command]:
    """Commands of all the kinds that have statements of their own, one of each kind for each number."""
    return [
        command
        for number in numbers
        for command in (
            OpenWallet(f"open-{number}", "EUR"),
            credit(f"credit-{number}", wallet_id(number), 1),
            PlaceHold(f"place-{number}", wallet_id(number), 1),
            CaptureHold(f"capture-{number}", transaction_id(number)),
            Reverse(f"undo-{number}", transaction_id(number)),
        )
    ]


def _changes(numbers: Sequence[int]) -> list[Command]:
    return [ChangeWallet(f"change-{number}", wallet_id(number), floor=-1) for number in numbers]


class Workload:
    """One batch, run again and again and never committed."""

    def __init__(
        self,
        engine: AsyncEngine,
        numbers: Sequence[int],
        commands: Callable[[Sequence[int]], list[Command]] = _commands,
    ) -> None:
        self._store = PostgresStore(engine)
        self._commands = commands(numbers)
        named = names_of(self._commands)
        self._names = Names([*named.keys, *map(key, numbers)], named.wallets, named.holds, named.transactions)
        self._changes: Changes | None = None

    async def run(self, times: int) -> None:
        for _ in range(times):
            async with self._store.begin(TENANT) as unit:
                snapshot = await unit.load(self._names)
                if self._changes is None:
                    self._changes = decide_batch(snapshot, self._commands, UuidV7()(snapshot.now)).changes
                await unit.append(self._changes)


def _texts(dialect: Dialect) -> set[str]:
    """The text of every statement of a batch."""
    return {
        str(statement.compile(dialect=dialect))
        for name, statement in vars(statements).items()
        if name.startswith(("LOAD_", "INSERT_", "UPDATE_")) and isinstance(statement, ClauseElement)
    }


def _assert_found_by_index(explained: Explained, rows: int) -> None:
    """Each row was looked up on its own, in an index, and the pages touched are in proportion."""
    for node in explained.nodes():
        assert node["Node Type"] in BY_INDEX | OF_PARAMETERS | STEPS, explained
        assert "Join Filter" not in node, explained
    per_row = BUFFERS_PER_ROW_WRITTEN if explained.writes else BUFFERS_PER_ROW_READ
    assert explained.buffers <= per_row * rows + BUFFERS_BESIDE, explained
    assert explained.rows_touched <= 4 * rows + 4, explained


@everywhere
@pytest.mark.parametrize("size", [KINDS, 100, 1000])
async def test_a_batch_finds_its_rows_by_index(engine: AsyncEngine, dsn: str, size: int) -> None:
    recorder = Recorder(engine)
    numbers = range(1, size // KINDS + 1)
    workloads = [Workload(engine, numbers, commands) for commands in (_commands, _changes)]
    for times in (1, RUNS - 1):
        seen: set[str] = set()
        for workload in workloads:
            await workload.run(times)
            explained = await recorder.explain()
            seen |= {plan.statement for plan in explained}
            for plan in explained:
                _assert_found_by_index(plan, size)
        assert seen >= _texts(engine.dialect)


@pytest.mark.parametrize("dsn", ["small", "small_and_analysed"], indirect=True)
async def test_plans_that_were_made_for_a_handful_of_rows_are_good_for_many(engine: AsyncEngine, dsn: str) -> None:
    """A service that starts on an empty database keeps its plans until somebody analyses the tables."""
    recorder = Recorder(engine)
    workload = Workload(engine, range(1, 21))
    await workload.run(RUNS)
    await execute(dsn, *fill_statements(GROWN_ROWS, first=21))
    explained = await recorder.explain()
    assert all(plan.generic_plans > 0 for plan in explained)
    for plan in explained:
        _assert_found_by_index(plan, 20 * KINDS)


@everywhere
async def test_a_single_credit_touches_a_handful_of_pages(engine: AsyncEngine, dsn: str) -> None:
    recorder = Recorder(engine)
    store, ids = PostgresStore(engine), UuidV7()
    commands = [credit("single", wallet_id(7), 1)]
    for _ in range(RUNS):
        async with store.begin(TENANT) as unit:
            snapshot = await unit.load(names_of(commands))
            await unit.append(decide_batch(snapshot, commands, ids(snapshot.now)).changes)
    explained = await recorder.explain()
    # One statement loads and three write.
    assert len(explained) == 4
    for plan in explained:
        _assert_found_by_index(plan, 1)
        assert plan.generic_plans > 0, "planning anew takes longer than any of these statements"
    assert sum(plan.buffers for plan in explained) <= 60


async def _read_everything(reader: PostgresReader, number: int) -> None:
    """Every read of a reader, first pages and later ones, with and without filters."""
    wallet, transaction = wallet_id(number), transaction_id(number)
    for before in (None, wallet):
        await reader.wallets(TENANT, before=before, limit=PAGE, currency=None, status=None)
        await reader.wallets(TENANT, before=before, limit=PAGE, currency="EUR", status=WalletStatus.ACTIVE)
    for before in (None, transaction):
        await reader.transactions(TENANT, before=before, limit=PAGE, kind=None)
        await reader.transactions(TENANT, before=before, limit=PAGE, kind=Kind.POST)
        await reader.transactions(TENANT, before=before, limit=PAGE, kind=Kind.REVERSAL)
        await reader.holds(TENANT, wallet, before=before, limit=PAGE)
    for version in (None, 2):
        await reader.entries(TENANT, wallet, before=version, limit=PAGE)
        await reader.wallet_transactions(TENANT, wallet, before=version, limit=PAGE, kind=None)
        await reader.wallet_transactions(TENANT, wallet, before=version, limit=PAGE, kind=Kind.POST)
    assert await reader.wallet(TENANT, wallet) is not None
    assert await reader.wallet_at_version(TENANT, wallet, 1) is not None
    assert await reader.wallet_at_time(TENANT, wallet, datetime.now(UTC)) is not None
    assert await reader.transaction(TENANT, transaction) is not None
    assert await reader.hold(TENANT, transaction) is not None
    assert await reader.decision(TENANT, key(number)) is not None


@everywhere
async def test_a_reader_finds_its_rows_by_index(reading_engine: AsyncEngine, dsn: str) -> None:
    recorder = Recorder(reading_engine)
    reader = PostgresReader(reading_engine)
    for _ in range(RUNS):
        await _read_everything(reader, 3)
    for plan in await recorder.explain():
        _assert_found_by_index(plan, PAGE)


@pytest.mark.parametrize("dsn", ["small", "small_and_analysed"], indirect=True)
async def test_a_readers_plans_that_were_made_for_a_handful_of_rows_are_good_for_many(
    reading_engine: AsyncEngine, dsn: str
) -> None:
    recorder = Recorder(reading_engine)
    reader = PostgresReader(reading_engine)
    for _ in range(RUNS):
        await _read_everything(reader, 3)
    await execute(dsn, *fill_statements(GROWN_ROWS, first=21))
    for plan in await recorder.explain():
        _assert_found_by_index(plan, PAGE)
