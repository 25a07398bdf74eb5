"""Who a caller is: asked of the database once in a while, right after a few seconds at the latest."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

import asyncpg
import attrs
import pytest
from asyncpg.connection import LoggedQuery
from sqlalchemy import QueuePool, event
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.admin import Admin, sha256_of, tenant_id_of
from adapters.postgres.api_keys import TTL_S, ApiKeys
from adapters.postgres.engine import create_engine
from adapters.postgres.schema import SERVICE_ROLE
from wallet_core.ports import Principal, Unavailable


@attrs.define
class Seconds:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database, role=SERVICE_ROLE)
    yield engine
    await engine.dispose()


@pytest.fixture
async def admin(database: str) -> AsyncIterator[Admin]:
    engine = create_engine(database)
    yield Admin(engine)
    await engine.dispose()


@pytest.fixture
def statements(engine: AsyncEngine) -> Iterator[list[str]]:
    """What the database is asked of keys, as it is asked. What the driver asks of types is left out."""
    asked: list[str] = []

    def note_query(query: LoggedQuery) -> None:
        if "api_keys" in query.query:
            asked.append(query.query)

    def note(pooled: Any, record: object) -> None:
        pooled.driver_connection.add_query_logger(note_query)

    event.listen(engine.sync_engine, "connect", note)
    yield asked
    event.remove(engine.sync_engine, "connect", note)


async def test_a_key_names_its_tenant_and_scopes(admin: Admin, engine: AsyncEngine) -> None:
    key_id, secret = await admin.create_key("acme", "till", ["read", "write"])
    assert await ApiKeys(engine).find(secret) == Principal(
        tenant=tenant_id_of("acme"), key_id=key_id, scopes=frozenset({"read", "write"})
    )


@pytest.mark.parametrize("secret", ["", "wk_unknown", "ä€", "x" * 100_000])
async def test_what_is_no_key_names_nobody(engine: AsyncEngine, secret: str) -> None:
    assert await ApiKeys(engine).find(secret) is None


async def test_a_revoked_key_names_nobody(admin: Admin, engine: AsyncEngine) -> None:
    key_id, secret = await admin.create_key("acme", "till", ["read"])
    await admin.revoke_key(key_id)
    assert await ApiKeys(engine).find(secret) is None


async def test_a_key_ends_when_it_expires_and_not_when_it_is_forgotten(
    admin: Admin, engine: AsyncEngine, statements: list[str]
) -> None:
    _, secret = await admin.create_key("acme", "till", ["read"], expires=timedelta(seconds=1))
    clock = Seconds()
    keys = ApiKeys(engine, clock=clock)
    assert await keys.find(secret) is not None
    # The database's clock says when: until then the memory may not ask, and afterwards it must.
    clock.now = 1.0
    await asyncio.sleep(1.05)
    assert await keys.find(secret) is None
    assert len(statements) == 2


async def test_a_key_that_lives_on_is_remembered_no_longer_than_others(admin: Admin, engine: AsyncEngine) -> None:
    key_id, secret = await admin.create_key("acme", "till", ["read"], expires=timedelta(days=1))
    clock = Seconds()
    keys = ApiKeys(engine, clock=clock)
    assert await keys.find(secret) is not None
    await admin.revoke_key(key_id)
    clock.now = TTL_S
    assert await keys.find(secret) is None


async def test_a_key_of_a_suspended_tenant_names_it_but_has_no_scope(admin: Admin, engine: AsyncEngine) -> None:
    key_id, secret = await admin.create_key("acme", "till", ["read", "write"])
    await admin.suspend_tenant("acme")
    found = await ApiKeys(engine).find(secret)
    assert found == Principal(tenant_id_of("acme"), key_id, frozenset(), suspended=True)
    await admin.resume_tenant("acme")
    found = await ApiKeys(engine).find(secret)
    assert found == Principal(tenant_id_of("acme"), key_id, frozenset({"read", "write"}))


async def test_a_key_brings_its_own_rate_limit(admin: Admin, engine: AsyncEngine) -> None:
    _, secret = await admin.create_key("acme", "till", ["read"], rate_limit_per_s=7)
    found = await ApiKeys(engine).find(secret)
    assert found is not None
    assert found.rate_limit_per_s == 7


async def test_a_secret_that_two_tenants_hold_names_nobody(admin: Admin, engine: AsyncEngine, database: str) -> None:
    _, secret = await admin.create_key("acme", "till", ["read"])
    await admin.ensure_tenant("other")
    connection = await asyncpg.connect(database)
    await connection.execute(
        "INSERT INTO api_keys (tenant_id, id, secret_sha256, name, scopes, created_at) "
        "VALUES ($1, $2, $3, 'till', '{read}', now())",
        tenant_id_of("other"),
        uuid4(),
        sha256_of(secret),
    )
    await connection.close()
    assert await ApiKeys(engine).find(secret) is None


async def test_an_answer_is_remembered_for_its_time_and_no_longer(
    admin: Admin, engine: AsyncEngine, statements: list[str]
) -> None:
    key_id, secret = await admin.create_key("acme", "till", ["read"])
    clock = Seconds()
    keys = ApiKeys(engine, clock=clock)
    assert await keys.find(secret) is not None
    await admin.revoke_key(key_id)
    clock.now = TTL_S - 0.001
    assert await keys.find(secret) is not None
    assert len(statements) == 1
    clock.now = TTL_S
    assert await keys.find(secret) is None
    assert len(statements) == 2


async def test_that_a_key_is_unknown_is_remembered_no_longer_than_that(
    admin: Admin, engine: AsyncEngine, statements: list[str]
) -> None:
    secret = "a-key-that-is-made-a-little-later"
    clock = Seconds()
    keys = ApiKeys(engine, clock=clock)
    assert await keys.find(secret) is None
    await admin.ensure_key("acme", "till", secret, ["read"])
    assert await keys.find(secret) is None
    assert len(statements) == 1
    clock.now = TTL_S
    assert await keys.find(secret) is not None


def test_a_revoked_key_is_honoured_for_five_seconds_at_most() -> None:
    assert TTL_S <= 5


async def test_the_memory_is_bounded_and_wrong_keys_push_no_right_one_out(
    admin: Admin, engine: AsyncEngine, statements: list[str]
) -> None:
    secrets = [(await admin.create_key("acme", f"till {number}", ["read"]))[1] for number in range(3)]
    keys = ApiKeys(engine, answers_max=2)
    await keys.find(secrets[0])
    for number in range(10):
        await keys.find(f"wrong {number}")
    statements.clear()
    await keys.find(secrets[0])
    assert len(statements) == 0
    await keys.find(secrets[1])
    await keys.find(secrets[2])
    await keys.find(secrets[0])
    assert len(statements) == 3


async def test_callers_who_come_at_once_ask_once(admin: Admin, engine: AsyncEngine, statements: list[str]) -> None:
    _, secret = await admin.create_key("acme", "till", ["read"])
    keys = ApiKeys(engine)
    found = await asyncio.gather(*(keys.find(secret) for _ in range(50)))
    assert len(set(found)) == 1
    assert found[0] is not None
    assert len(statements) == 1


async def test_keys_that_are_asked_for_at_once_are_looked_up_together(
    admin: Admin, engine: AsyncEngine, statements: list[str]
) -> None:
    """A flood of wrong keys keeps one connection busy, and leaves the others to the reads."""
    made = [await admin.create_key(f"tenant-{number}", "till", ["read"]) for number in range(3)]
    keys = ApiKeys(engine)
    secrets = [*(secret for _, secret in made), *(f"wrong {number}" for number in range(500))]
    found = await asyncio.gather(*(keys.find(secret) for secret in secrets))
    assert [principal and principal.key_id for principal in found] == [*(id for id, _ in made), *[None] * 500]
    assert len(statements) == 3
    assert cast(QueuePool, engine.pool).checkedin() == 1


async def test_more_keys_than_may_wait_are_turned_away_at_once_and_none_for_long(
    admin: Admin, engine: AsyncEngine
) -> None:
    _, secret = await admin.create_key("acme", "till", ["read"])
    keys = ApiKeys(engine, asked_max=20)
    flood = [asyncio.create_task(keys.find(f"wrong {number}")) for number in range(20)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await keys.find(secret)
    assert await asyncio.gather(*flood) == [None] * 20
    assert await keys.find(secret) is not None


async def test_a_flood_of_wrong_keys_does_not_keep_out_one_that_was_good_before(
    admin: Admin, engine: AsyncEngine, statements: list[str]
) -> None:
    """It is asked for again every few seconds, and must find room each time: and not behind all of the flood."""
    _, secret = await admin.create_key("acme", "till", ["read"])
    clock = Seconds()
    keys = ApiKeys(engine, asked_max=1000, clock=clock)
    assert await keys.find(secret) is not None
    clock.now = TTL_S
    statements.clear()
    flood = [asyncio.create_task(keys.find(f"wrong {number}")) for number in range(1000)]
    await asyncio.sleep(0)
    assert await keys.find(secret) is not None
    # What was on its way, and the one that it was in.
    assert len(statements) <= 2
    await asyncio.gather(*flood)
    assert len(statements) == 6


async def test_a_caller_who_gives_up_takes_the_answer_from_nobody(admin: Admin, engine: AsyncEngine) -> None:
    _, secret = await admin.create_key("acme", "till", ["read"])
    keys = ApiKeys(engine)
    first, second = asyncio.create_task(keys.find(secret)), asyncio.create_task(keys.find(secret))
    await asyncio.sleep(0)
    first.cancel()
    assert await second is not None
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_an_absent_database_is_unavailable_and_remembered_keys_serve_a_few_seconds_more(
    admin: Admin, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = await admin.create_key("acme", "till", ["read"])
    clock = Seconds()
    keys = ApiKeys(engine, clock=clock)
    await keys.find(secret)
    absent = create_engine("postgresql://postgres@127.0.0.1:1/x")
    monkeypatch.setattr(keys, "_engine", absent)
    assert await keys.find(secret) is not None
    for _ in range(2):
        with pytest.raises(Unavailable):
            await keys.find("another")
    # It may have been revoked by now, and there is nobody to ask.
    clock.now = TTL_S
    with pytest.raises(Unavailable):
        await keys.find(secret)
    await absent.dispose()
