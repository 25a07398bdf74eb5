"""Connections to PostgreSQL: set up alike whatever the server's defaults, bounded, and replaced when they break."""

import asyncio
import time
import warnings
from collections.abc import AsyncIterator, Callable
from typing import Any, cast
from weakref import WeakSet

import asyncpg
import pytest
from sqlalchemy import JSON, Column, Integer, MetaData, Table, event, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres import engine as engine_module
from adapters.postgres.engine import INDEX_ONLY_PLANS, Isolation, create_engine, dsn_of_each_host, libpq_dsn
from adapters.postgres.session import BOUNDED, Bounded, open_session
from tests.support.proxy.postgres import Point, PostgresProxy
from tests.support.proxy.rules import HalfOpen

JSON_AS_WRITTEN = '{ "b" : 1,\n "a":1.0,  "a": "\\u00e9é", "x":1e400}'


@pytest.fixture(scope="module")
def dsn(create_database: Callable[[], str]) -> str:
    return create_database()


@pytest.fixture
async def engine(dsn: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(dsn, pool_size=3)
    yield engine
    await engine.dispose()


async def setting(engine: AsyncEngine, name: str) -> str | None:
    async with engine.connect() as connection:
        found: str | None = await connection.scalar(text("SELECT current_setting(:name)"), {"name": name})
        return found


def bounded(engine: AsyncEngine) -> "WeakSet[asyncpg.Connection]":
    """The connections whose transactions the server ends."""
    found: Bounded = engine.sync_engine.get_execution_options()[BOUNDED]
    return found.connections


async def terminate_all_others(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.fetch(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgres://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgresql+asyncpg://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgresql:///d", "postgresql:///d"),
    ],
)
def test_the_scheme_may_name_the_driver_or_be_short(given: str, expected: str) -> None:
    assert libpq_dsn(given) == expected


def test_another_url_is_refused_without_repeating_its_password() -> None:
    with pytest.raises(ValueError, match="not a PostgreSQL URL") as caught:
        libpq_dsn("mysql://u:s3cret@h/d")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql:///d", ["postgresql:///d"]),
        ("postgresql://u:p%40,x@h/d", ["postgresql://u:p%40,x@h/d"]),
        (
            "postgresql://u:p@a:1,[::1]:2,c/d?sslmode=require",
            [
                "postgresql://u:p@a:1/d?sslmode=require",
                "postgresql://u:p@[::1]:2/d?sslmode=require",
                "postgresql://u:p@c/d?sslmode=require",
            ],
        ),
        (
            "postgresql://u@/d?host=/a,/b&port=1,2",
            ["postgresql://u@/d?host=%2Fa&port=1", "postgresql://u@/d?host=%2Fb&port=2"],
        ),
        (
            "postgresql:///d?host=/a,/b&port=1",
            ["postgresql:///d?host=%2Fa&port=1", "postgresql:///d?host=%2Fb&port=1"],
        ),
        ("postgresql:///d?host=/a,/b", ["postgresql:///d?host=%2Fa", "postgresql:///d?host=%2Fb"]),
    ],
)
def test_each_host_has_a_url_of_its_own(given: str, expected: list[str]) -> None:
    assert dsn_of_each_host(given) == expected


def test_hosts_and_ports_that_do_not_pair_up_are_refused() -> None:
    with pytest.raises(ValueError, match="a different number of hosts and ports"):
        dsn_of_each_host("postgresql:///d?host=/a,/b,/c&port=1,2")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("application_name", "wallet-service"),
        ("TimeZone", "UTC"),
        ("synchronous_commit", "on"),
        ("client_min_messages", "warning"),
        ("jit", "off"),
        ("statement_timeout", "1234ms"),
        ("lock_timeout", "567ms"),
        ("idle_in_transaction_session_timeout", "891ms"),
        ("transaction_timeout", "2125ms"),
        ("transaction_isolation", "read committed"),
        ("enable_seqscan", "off"),
        ("enable_nestloop", "off"),
        ("enable_mergejoin", "off"),
    ],
)
async def test_a_session_is_set_up_whatever_the_server_defaults_to(dsn: str, name: str, value: str) -> None:
    owner = await asyncpg.connect(dsn)
    database = await owner.fetchval("SELECT quote_ident(current_database())")
    for change in (
        "synchronous_commit = off",
        "default_transaction_isolation = 'serializable'",
        "timezone = 'Asia/Tokyo'",
        "statement_timeout = 1",
        "transaction_timeout = 7",
    ):
        await owner.execute(f"ALTER DATABASE {database} SET {change}")
    engine = create_engine(
        dsn,
        statement_timeout_ms=1234,
        lock_timeout_ms=567,
        idle_in_transaction_timeout_ms=891,
        planner=INDEX_ONLY_PLANS,
    )
    try:
        assert await setting(engine, name) == value
    finally:
        await engine.dispose()
        await owner.execute(f"ALTER DATABASE {database} RESET ALL")
        await owner.close()


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
async def test_the_isolation_level_can_be_chosen(dsn: str, isolation: Isolation) -> None:
    engine = create_engine(dsn, isolation=isolation)
    assert await setting(engine, "transaction_isolation") == isolation.lower()
    await engine.dispose()


async def test_what_the_url_sets_goes_first_but_for_the_role(dsn: str) -> None:
    more = "application_name=till&role=none&lock_timeout=7"
    engine = create_engine(f"{dsn}{'&' if '?' in dsn else '?'}{more}", role="pg_read_all_data")
    assert await setting(engine, "application_name") == "till"
    assert await setting(engine, "lock_timeout") == "7ms"
    assert await setting(engine, "role") == "pg_read_all_data"
    await engine.dispose()


@pytest.mark.parametrize("unlimited", ["statement_timeout_ms", "idle_in_transaction_timeout_ms"])
async def test_what_may_take_its_time_is_ended_by_no_default_of_the_server(dsn: str, unlimited: str) -> None:
    owner = await asyncpg.connect(dsn)
    database = await owner.fetchval("SELECT quote_ident(current_database())")
    await owner.execute(f"ALTER DATABASE {database} SET transaction_timeout = 7")
    limits: dict[str, Any] = {unlimited: 0}
    engine = create_engine(dsn, **limits)
    try:
        assert await setting(engine, "transaction_timeout") == "0"
        assert not bounded(engine)
    finally:
        await engine.dispose()
        await owner.execute(f"ALTER DATABASE {database} RESET ALL")
        await owner.close()


async def test_a_limit_on_transactions_that_the_url_sets_stays_and_nothing_is_sent_ahead(dsn: str) -> None:
    engine = create_engine(f"{dsn}{'&' if '?' in dsn else '?'}transaction_timeout=60000")
    assert await setting(engine, "transaction_timeout") == "1min"
    assert not bounded(engine)
    await engine.dispose()
    engine = create_engine(dsn)
    assert await setting(engine, "transaction_timeout") == "20s"
    assert bounded(engine)
    await engine.dispose()


async def test_a_connection_that_falls_silent_while_it_is_set_up_is_closed(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[asyncpg.Connection] = []

    async def connect(*arguments: Any, **settings: Any) -> asyncpg.Connection:
        made.append(await really_connect(*arguments, **settings))
        return made[-1]

    really_connect = asyncpg.connect
    monkeypatch.setattr(asyncpg, "connect", connect)
    async with PostgresProxy.before(dsn) as proxy:
        silent = proxy.arm(Point.STATEMENT_SENT, HalfOpen(), text="SET transaction_timeout", times=2)
        engine = create_engine(proxy.dsn, pool_size=1, connect_timeout_ms=200)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await setting(engine, "jit")
        assert silent.count == 2
        assert await setting(engine, "jit") == "off"
        assert [driver.is_closed() for driver in made] == [True, True, False]
        await engine.dispose()


async def test_a_snapshot_may_last_longer_than_a_transaction_that_writes(dsn: str) -> None:
    engine = create_engine(dsn, pool_size=1, statement_timeout_ms=300, idle_in_transaction_timeout_ms=100)
    async with open_session(engine) as session:
        await session.begin_snapshot()
        for _ in range(4):
            await session.fetch(text("SELECT pg_sleep(0.2)"), {})
        assert session.is_in_transaction()
    await engine.dispose()


async def test_a_connection_that_is_closed_while_it_is_handed_out_goes_back(dsn: str) -> None:
    engine = create_engine(dsn, pool_size=1, pool_timeout_ms=500)

    def close(pooled: Any, *_: object) -> None:
        pooled.driver_connection.terminate()

    event.listen(engine.sync_engine, "checkout", close, once=True)
    # SQLAlchemy takes back what nobody holds any more, and warns of it.
    with warnings.catch_warnings(record=True) as warned, pytest.raises(asyncpg.InterfaceError):
        async with open_session(engine):
            pass
    assert not warned
    assert cast(Any, engine.sync_engine.pool).checkedout() == 0
    assert await setting(engine, "jit") == "off"
    await engine.dispose()


async def test_the_role_is_taken_at_connect(dsn: str) -> None:
    engine = create_engine(dsn, role="pg_read_all_data")
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT current_user")) == "pg_read_all_data"
        await connection.rollback()
        assert await connection.scalar(text("SELECT current_user")) == "pg_read_all_data"
    await engine.dispose()


async def test_json_comes_back_byte_for_byte(engine: AsyncEngine) -> None:
    table = Table("notes", MetaData(), Column("id", Integer), Column("note", JSON))
    async with engine.connect() as connection:
        await connection.run_sync(table.create)
        await connection.execute(insert(table).values(id=1, note=JSON_AS_WRITTEN))
        assert await connection.scalar(select(table.c.note)) == JSON_AS_WRITTEN
        assert await connection.scalar(text("SELECT note::text FROM notes")) == JSON_AS_WRITTEN


async def test_a_statement_is_cut_short_by_the_server(dsn: str) -> None:
    engine = create_engine(dsn, statement_timeout_ms=50)
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError) as caught:
            await connection.execute(text("SELECT pg_sleep(10)"))
    assert getattr(caught.value.orig, "sqlstate", None) == "57014"
    await engine.dispose()


async def test_the_pool_has_a_size_and_waiting_for_it_a_limit(dsn: str) -> None:
    engine = create_engine(dsn, pool_size=1, pool_timeout_ms=50)
    async with engine.connect():
        with pytest.raises(PoolTimeoutError):
            await engine.connect()
    await engine.dispose()


async def test_after_a_restart_no_use_fails_and_the_whole_pool_is_replaced(dsn: str, engine: AsyncEngine) -> None:
    async with engine.connect() as first, engine.connect() as second, engine.connect() as third:
        pids = {await each.scalar(text("SELECT pg_backend_pid()")) for each in (first, second, third)}
    await terminate_all_others(dsn)
    async with engine.connect() as first, engine.connect() as second, engine.connect() as third:
        assert not pids & {await each.scalar(text("SELECT pg_backend_pid()")) for each in (first, second, third)}


@pytest.mark.parametrize("last_words", ["SELECT pg_sleep(10)", "COMMIT"])
async def test_a_connection_that_breaks_while_in_use_leaves_the_pool(
    dsn: str, engine: AsyncEngine, last_words: str
) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
        if last_words == "COMMIT":
            await terminate_all_others(dsn)
            with pytest.raises(DBAPIError) as caught:
                await connection.commit()
        else:
            ending = asyncio.create_task(terminate_all_others(dsn))
            with pytest.raises(DBAPIError) as caught:
                await connection.execute(text(last_words))
            await ending
        assert caught.value.connection_invalidated
    assert await setting(engine, "jit") == "off"


async def test_a_silent_first_host_costs_its_own_time_and_not_that_of_the_next(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    silent = f"postgresql://postgres@127.0.0.1:{server.sockets[0].getsockname()[1]}/x?sslmode=disable"
    monkeypatch.setattr(engine_module, "dsn_of_each_host", lambda _: [silent, *dsn_of_each_host(dsn)])
    engine = create_engine(dsn, connect_timeout_ms=200)
    started = time.monotonic()
    assert await setting(engine, "jit") == "off"
    assert time.monotonic() - started < 5
    await engine.dispose()
    server.close()


async def test_a_server_that_takes_no_writes_is_not_used_unless_the_url_asks_for_it(dsn: str) -> None:
    owner = await asyncpg.connect(dsn)
    database = await owner.fetchval("SELECT quote_ident(current_database())")
    await owner.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    engines = [create_engine(dsn), create_engine(f"{dsn}{'&' if '?' in dsn else '?'}target_session_attrs=any")]
    try:
        with pytest.raises(ConnectionError, match="takes no writes"):
            await setting(engines[0], "jit")
        assert await setting(engines[1], "jit") == "off"
    finally:
        for engine in engines:
            await engine.dispose()
        await owner.execute("SET default_transaction_read_only = off")
        await owner.execute(f"ALTER DATABASE {database} RESET ALL")
        await owner.close()


async def test_nobody_listening_is_an_error_of_the_operating_system() -> None:
    engine = create_engine("postgresql://postgres@127.0.0.1:1/x")
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        await engine.connect()
    await engine.dispose()
