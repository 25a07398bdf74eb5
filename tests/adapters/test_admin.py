"""Tenants and API keys: made once, found by their secret, and gone when revoked."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.admin import SCOPES, Admin, sha256_of, tenant_id_of
from adapters.postgres.engine import create_engine
from wallet_core.ports import Unavailable

SECRET = "a-secret-of-someone-s-own-choice"


@pytest.fixture
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database, pool_size=10)
    yield engine
    await engine.dispose()


@pytest.fixture
def admin(engine: AsyncEngine) -> Admin:
    return Admin(engine)


async def fetch(dsn: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


def test_a_tenant_has_the_same_id_in_every_database() -> None:
    assert tenant_id_of("default") == UUID("a71d0a3d-126f-5d8d-ac74-69ccb76f4ceb")


@pytest.mark.parametrize("name", ["a", "default", "0-a_b", "x" * 63])
async def test_a_name_of_a_tenant_that_is_taken(admin: Admin, name: str) -> None:
    assert await admin.ensure_tenant(name) == tenant_id_of(name)


@pytest.mark.parametrize("name", ["", "Acme", "-a", "_a", "a b", "a\n", "ä", "x" * 64])
async def test_a_name_of_a_tenant_that_is_refused(admin: Admin, name: str) -> None:
    with pytest.raises(ValueError, match="a tenant's name is"):
        await admin.ensure_tenant(name)


async def test_a_tenant_is_made_once_however_many_make_it(admin: Admin, database: str) -> None:
    ids = await asyncio.gather(*(admin.ensure_tenant("acme") for _ in range(10)))
    assert set(ids) == {tenant_id_of("acme")}
    (row,) = await fetch(database, "SELECT id, name FROM tenants")
    assert (row["id"], row["name"]) == (tenant_id_of("acme"), "acme")


async def test_a_new_key_has_a_random_secret_of_which_only_the_hash_is_kept(admin: Admin, database: str) -> None:
    first_id, first = await admin.create_key("acme", "till 1", ["read", "write"])
    second_id, second = await admin.create_key("acme", "till 1", ["read", "write"])
    assert first_id != second_id
    assert first != second
    assert first.startswith("wk_")
    assert len(first) >= 40
    (row,) = await fetch(database, f"SELECT * FROM api_keys WHERE id = '{first_id}'")
    assert row["secret_sha256"] == sha256_of(first)
    assert row["tenant_id"] == tenant_id_of("acme")
    assert first not in str(dict(row))
    assert first_id.version == 7


@pytest.mark.parametrize("scopes", [[], ["root"], ["read", "root"]])
async def test_scopes_that_are_refused_make_no_key(admin: Admin, scopes: list[str]) -> None:
    with pytest.raises(ValueError, match="at least one of the scopes read, write, admin"):
        await admin.create_key("acme", "till", scopes)
    assert await admin.list_keys() == []


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 101])
async def test_a_name_of_a_key_that_is_refused(admin: Admin, name: str) -> None:
    with pytest.raises(ValueError, match="a key's name is"):
        await admin.create_key("acme", name, SCOPES)


async def test_a_given_key_is_made_once_however_many_make_it(admin: Admin) -> None:
    made = await asyncio.gather(*(admin.ensure_key("default", "bootstrap", SECRET, SCOPES) for _ in range(10)))
    assert len({key.id for key in made}) == 1
    again = await admin.ensure_key("default", "another name", SECRET, ["read"])
    assert again == made[0]
    assert again.name == "bootstrap"
    assert again.scopes == frozenset(SCOPES)


async def test_a_given_key_that_was_revoked_stays_revoked(admin: Admin) -> None:
    key = await admin.ensure_key("default", "bootstrap", SECRET, SCOPES)
    revoked = await admin.revoke_key(key.id)
    assert revoked is not None
    assert revoked.revoked_at is not None
    assert await admin.ensure_key("default", "bootstrap", SECRET, SCOPES) == revoked


async def test_a_secret_names_one_tenant_only(admin: Admin) -> None:
    key = await admin.ensure_key("acme", "till", SECRET, SCOPES)
    with pytest.raises(ValueError, match="another tenant"):
        await admin.ensure_key("other", "till", SECRET, SCOPES)
    assert await admin.list_keys() == [key]


async def test_keys_are_listed_by_tenant_then_age_revoked_ones_too(admin: Admin) -> None:
    ids = [(await admin.create_key(tenant, name, ["read"]))[0] for tenant, name in [("b", "1"), ("a", "2"), ("b", "3")]]
    await admin.revoke_key(ids[0])
    listed = await admin.list_keys()
    assert [(key.tenant, key.name, key.revoked_at is not None) for key in listed] == [
        ("a", "2", False),
        ("b", "1", True),
        ("b", "3", False),
    ]
    assert [key.id for key in await admin.list_keys("b")] == [ids[0], ids[2]]
    assert await admin.list_keys("c") == []


async def test_a_key_is_revoked_once(admin: Admin) -> None:
    key_id, _ = await admin.create_key("acme", "till", SCOPES)
    first = await admin.revoke_key(key_id)
    assert first is not None
    assert first.revoked_at is not None
    assert first.revoked_at >= first.created_at
    assert await admin.revoke_key(key_id) == first


async def test_a_key_that_is_not_there_cannot_be_revoked(admin: Admin) -> None:
    assert await admin.revoke_key(UUID(int=1)) is None


async def test_an_absent_database_is_unavailable() -> None:
    engine = create_engine("postgresql://postgres@127.0.0.1:1/x")
    with pytest.raises(Unavailable):
        await Admin(engine).list_keys()
    await engine.dispose()
