"""What PostgreSQL really says, and as what the core hears it. Each error is brought about by the server itself."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from adapters.postgres import errors
from adapters.postgres.engine import create_engine
from adapters.postgres.errors import sqlstate_of, translating
from adapters.postgres.reader import PostgresReader
from adapters.postgres.session import open_session
from adapters.postgres.unit_of_work import PostgresStore
from tests.databases import Databases, execute, run
from tests.support.sessions import Till, till
from wallet_core import Applied, DatabaseUnavailable, OpenWallet
from wallet_core.ports import CommitUnknown, StaleSnapshot, Unavailable


@pytest.fixture(scope="module")
def dsn(databases: Databases) -> Iterator[str]:
    created = databases.create()
    # A deadlock should cost a test less than the second after which PostgreSQL looks for one.
    run(execute(created, f"""ALTER DATABASE "{urlsplit(created).path[1:]}" SET deadlock_timeout = '50ms'"""))
    yield created
    databases.drop(created)


@pytest.fixture
async def one(dsn: str) -> AsyncIterator[Till]:
    """A till over one connection."""
    async with till(dsn, pool_size=1, pool_timeout_ms=200) as made:
        yield made


def _raised(code: str) -> list[str]:
    """Has the server send an error that cannot be brought about otherwise."""
    return [f"DO $$ BEGIN RAISE EXCEPTION 'made up' USING ERRCODE = '{code}'; END $$"]


NO_SUCH_TENANT = """INSERT INTO api_keys (tenant_id, id, secret_sha256, name, scopes, created_at) VALUES
    (gen_random_uuid(), gen_random_uuid(), decode(repeat('00', 32), 'hex'), 'none', '{read}', now())"""

LOST_RACES = {
    "23505": ["INSERT INTO tenants SELECT * FROM tenants LIMIT 1"],
    "23503": [NO_SUCH_TENANT],
    "40001": _raised("40001"),
    "40P01": _raised("40P01"),
    "XX000": _raised("XX000"),
}

AWAY = {
    # Those that only a server in distress sends are made up here; what really brings them about is in
    # test_postgres_outages.py, as far as it can be.
    "08006": _raised("08006"),
    "08P01": _raised("08P01"),
    "25006": ["SET TRANSACTION READ ONLY", "DELETE FROM tenants"],
    "25P03": _raised("25P03"),
    "25P04": _raised("25P04"),
    "53100": _raised("53100"),
    "53200": _raised("53200"),
    "53300": _raised("53300"),
    "53400": [
        "SET LOCAL temp_file_limit = '64kB'",
        "SET LOCAL work_mem = '64kB'",
        "SELECT count(*) FROM (SELECT FROM generate_series(1, 100000) AS n ORDER BY md5(n::text)) AS sorted",
    ],
    "55P03": ["SET LOCAL lock_timeout = '20ms'", "SELECT pg_advisory_xact_lock(55)"],
    "57014": ["SET LOCAL statement_timeout = '20ms'", "SELECT pg_sleep(5)"],
    "57P01": _raised("57P01"),
    "57P02": _raised("57P02"),
    "57P03": _raised("57P03"),
    "57P05": _raised("57P05"),
    "58030": _raised("58030"),
    "58P01": ["SELECT pg_read_file('/nowhere')"],
}

BUGS = {
    "22012": ["SELECT 1 / 0"],
    "23514": ["INSERT INTO tenants VALUES (gen_random_uuid(), 'No Such Name', now())"],
    "42501": ["SET LOCAL ROLE wallet_service", "UPDATE entries SET change = 0"],
    "42P01": ["SELECT FROM nowhere"],
}


async def _provoke(dsn: str, provocation: Sequence[str], *, through_driver: bool) -> None:
    """Bring an error about as the database's owner, through the driver or through SQLAlchemy's connection."""
    blocker = await asyncpg.connect(dsn)
    await blocker.execute("SELECT pg_advisory_lock(55)")
    engine = create_engine(dsn, pool_size=1)
    try:
        with translating():
            async with engine.connect() as connection:
                pooled = await connection.get_raw_connection()
                driver = pooled.driver_connection
                assert driver is not None
                if through_driver:
                    await driver.execute("BEGIN")
                for statement in provocation:
                    await (driver.execute(statement) if through_driver else connection.exec_driver_sql(statement))
    finally:
        await engine.dispose()
        await blocker.close()


paths = pytest.mark.parametrize("through_driver", [True, False], ids=["driver", "sqlalchemy"])


@paths
@pytest.mark.parametrize("code", LOST_RACES)
async def test_an_error_of_a_lost_race_says_that_the_snapshot_is_stale(
    one: Till, dsn: str, code: str, through_driver: bool
) -> None:
    with pytest.raises(StaleSnapshot) as caught:
        await _provoke(dsn, LOST_RACES[code], through_driver=through_driver)
    assert caught.value.__cause__ is not None
    assert sqlstate_of(caught.value.__cause__) == code


@paths
@pytest.mark.parametrize("code", AWAY)
async def test_an_error_of_an_absent_database_says_that_it_is_unavailable(
    dsn: str, code: str, through_driver: bool
) -> None:
    with pytest.raises(Unavailable) as caught:
        await _provoke(dsn, AWAY[code], through_driver=through_driver)
    assert caught.value.__cause__ is not None
    assert sqlstate_of(caught.value.__cause__) == code


@paths
@pytest.mark.parametrize("code", BUGS)
async def test_any_other_error_stays_what_it_is(dsn: str, code: str, through_driver: bool) -> None:
    with pytest.raises((DBAPIError, asyncpg.PostgresError)) as caught:
        await _provoke(dsn, BUGS[code], through_driver=through_driver)
    assert sqlstate_of(caught.value) == code


@pytest.mark.parametrize("severity", ["FATAL", "PANIC"])
def test_an_error_that_ends_the_session_at_commit_leaves_it_open_whatever_its_state(severity: str) -> None:
    """No SQL brings such a one about. Taken for a lost race, a COMMIT that was kept could be denied."""
    error = asyncpg.PostgresError.new({"S": severity, "V": severity, "C": "XX000", "M": "made up"})
    assert sqlstate_of(error) == "XX000"
    with pytest.raises(CommitUnknown), translating(committing=True):
        raise error
    with pytest.raises(Unavailable), translating():
        raise error


def test_every_state_that_is_listed_has_its_test() -> None:
    assert LOST_RACES.keys() == errors.STALE
    assert AWAY.keys() >= errors.AWAY
    assert {state[:2] for state in AWAY} >= errors.AWAY_CLASSES


async def test_a_fatal_error_is_of_an_absent_database_whatever_its_state(one: Till, dsn: str) -> None:
    """Whatever ends a session, or keeps it from beginning, is no bug of ours; here it has a state like a bug's."""
    role = f"shut_out_{uuid4().hex}"
    await one.owner.execute(f"CREATE ROLE {role} NOLOGIN")
    parts = urlsplit(dsn)
    user = parts._replace(netloc=f"{role}:none@{parts.netloc.rpartition('@')[2]}")
    engine = create_engine(user.geturl(), pool_size=1)
    try:
        with pytest.raises(Unavailable) as caught:
            async with PostgresStore(engine).begin(one.tenant):
                pass
        assert caught.value.__cause__ is not None
        assert sqlstate_of(caught.value.__cause__) == "28000"
    finally:
        await engine.dispose()
        await one.owner.execute(f"DROP ROLE {role}")


async def test_a_serialization_failure_in_a_unit_of_work_keeps_nothing(dsn: str) -> None:
    async with till(dsn, pool_size=2, isolation="REPEATABLE READ") as two:
        async with two.store.begin(two.tenant) as unit:
            changes = await two.load(unit)
            assert isinstance(await two.do(two.next_credit()), Applied)
            with pytest.raises(StaleSnapshot):
                await unit.append(changes)
        assert await two.balance() == 1
        await two.assert_works()


async def test_a_deadlock_between_units_of_work_ends_one_of_them(dsn: str) -> None:
    async with till(dsn, pool_size=2) as two:
        other = uuid4()
        await two.do(OpenWallet("open-other", "EUR", id=other))
        # Two appends in one unit, which the ledger never does: what it writes in one append is in order.
        async with two.store.begin(two.tenant) as first, two.store.begin(two.tenant) as second:
            appends = [await two.load(unit, id) for unit in (first, second) for id in (two.wallet_id, other)]
            await first.append(appends[0])
            await second.append(appends[3])
            ends = await asyncio.gather(first.append(appends[1]), second.append(appends[2]), return_exceptions=True)
        assert sorted(str(type(end).__name__) for end in ends) == ["NoneType", "StaleSnapshot"]
        (stale,) = (end for end in ends if isinstance(end, StaleSnapshot))
        assert stale.__cause__ is not None
        assert sqlstate_of(stale.__cause__) == "40P01"
        await two.assert_works()


async def test_a_wait_for_a_lock_is_bounded(dsn: str) -> None:
    async with till(dsn, pool_size=1, lock_timeout_ms=50) as one:
        await one.lock_wallet()
        async with one.store.begin(one.tenant) as unit:
            with pytest.raises(Unavailable) as caught:
                await unit.append(await one.load(unit))
        assert caught.value.__cause__ is not None
        assert sqlstate_of(caught.value.__cause__) == "55P03"
        assert await one.do(one.next_credit()) == DatabaseUnavailable()
        await one.owner.execute("ROLLBACK")
        await one.assert_works()


async def test_a_statement_is_bounded(dsn: str) -> None:
    async with till(dsn, pool_size=1, lock_timeout_ms=0, statement_timeout_ms=50) as one:
        await one.lock_wallet()
        async with one.store.begin(one.tenant) as unit:
            with pytest.raises(Unavailable) as caught:
                await unit.append(await one.load(unit))
        assert caught.value.__cause__ is not None
        assert sqlstate_of(caught.value.__cause__) == "57014"
        await one.owner.execute("ROLLBACK")
        await one.assert_works()


async def test_a_session_that_is_ended_while_it_waits_is_replaced(one: Till) -> None:
    await one.lock_wallet()
    async with one.store.begin(one.tenant) as unit:
        append = asyncio.create_task(unit.append(await one.load(unit)))
        await one.owner.execute("SELECT pg_terminate_backend($1, 5000)", await one.waiting_pid("Lock"))
        with pytest.raises(Unavailable):
            await append
    await one.owner.execute("ROLLBACK")
    await one.assert_works()


async def test_a_session_that_is_ended_between_two_statements_is_replaced(one: Till) -> None:
    async with one.store.begin(one.tenant) as unit:
        changes = await one.load(unit)
        await one.terminate_all()
        with pytest.raises(Unavailable):
            await unit.append(changes)
    await one.assert_works()


async def test_a_unit_of_work_that_stands_still_is_ended_by_the_server(dsn: str) -> None:
    async with till(dsn, pool_size=1, idle_in_transaction_timeout_ms=400) as one:
        async with one.store.begin(one.tenant) as unit:
            await unit.append(await one.load(unit))
            await asyncio.sleep(0.8)
            with pytest.raises(CommitUnknown):
                await unit.commit()
        await one.assert_works()


async def test_a_socket_that_is_closed_under_way_is_replaced(one: Till) -> None:
    async with one.store.begin(one.tenant) as unit:
        changes = await one.load(unit)
        unit._session._driver.terminate()
        with pytest.raises(Unavailable):
            await unit.append(changes)
    await one.assert_works()


async def test_a_caller_who_is_cancelled_leaves_the_pool_healthy(one: Till) -> None:
    await one.lock_wallet()

    async def append() -> None:
        async with one.store.begin(one.tenant) as unit:
            await unit.append(await one.load(unit))

    task = asyncio.create_task(append())
    await one.waiting_pid("Lock")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await one.owner.execute("ROLLBACK")
    await one.assert_works()


async def test_a_database_that_takes_no_writes_is_unavailable(one: Till) -> None:
    """As a primary is that has stepped down, and whose sessions have stayed."""
    async with one.store.begin(one.tenant) as unit:
        await unit._session._driver.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        await unit.commit()
    async with one.store.begin(one.tenant) as unit:
        with pytest.raises(Unavailable) as caught:
            await unit.append(await one.load(unit))
    assert caught.value.__cause__ is not None
    assert sqlstate_of(caught.value.__cause__) == "25006"


async def test_a_session_that_takes_no_writes_is_replaced_with_all_that_are_as_old(dsn: str) -> None:
    """They would refuse every write for as long as they last, although the URL leads to a server that takes them."""
    async with till(dsn, pool_size=3) as three:
        async with AsyncExitStack() as stack:
            for _ in range(3):
                unit = await stack.enter_async_context(three.store.begin(three.tenant))
                await unit._session._driver.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
                await unit.commit()
        old = set(await three.pids())
        assert isinstance(await three.do(three.next_credit()), Applied)
        async with AsyncExitStack() as stack:
            for _ in range(3):
                await stack.enter_async_context(three.store.begin(three.tenant))
            assert not old & set(await three.pids())
        await three.assert_works()


async def test_a_reader_finds_out_that_the_server_takes_no_writes_and_leaves_it(dsn: str) -> None:
    engine = create_engine(dsn, pool_size=1)
    try:
        async with open_session(engine) as session:
            await session._driver.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        with pytest.raises(Unavailable):
            await PostgresReader(engine).ready()
        await PostgresReader(engine).ready()
    finally:
        await engine.dispose()
