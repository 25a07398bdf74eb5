"""Keys that end, are replaced and are limited; tenants that are suspended; and a record of each of these that stays."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from adapters.postgres.admin import Admin, tenant_id_of
from adapters.postgres.engine import create_engine

HOUR = timedelta(hours=1)
SECRET = "a-secret-of-someone-s-own-choice"


@pytest.fixture
async def admin(database: str) -> AsyncIterator[Admin]:
    engine = create_engine(database, pool_size=5)
    yield Admin(engine, "ada@desk")
    await engine.dispose()


async def actions(admin: Admin, tenant: str | None = None) -> list[str]:
    """What the log has, the oldest first."""
    return [record.action for record in reversed(await admin.audit_records(tenant, limit=100))]


async def test_a_key_lives_as_long_as_it_was_given(admin: Admin) -> None:
    await admin.create_key("acme", "hour", ["read"], expires=HOUR)
    await admin.create_key("acme", "date", ["read"], expires=datetime(2100, 1, 1, tzinfo=UTC))
    await admin.create_key("acme", "ever", ["read"])
    keys = {key.name: key for key in await admin.list_keys()}
    assert keys["hour"].expires_at == keys["hour"].created_at + HOUR
    assert keys["date"].expires_at == datetime(2100, 1, 1, tzinfo=UTC)
    assert keys["ever"].expires_at is None
    assert {key.state for key in keys.values()} == {"active"}


@pytest.mark.parametrize(
    "expires",
    [
        timedelta(0),
        -HOUR,
        timedelta(days=40_000),
        datetime(2020, 1, 1, tzinfo=UTC),
        datetime(2300, 1, 1, tzinfo=UTC),
        datetime(2030, 1, 1),  # noqa: DTZ001 - that it says no zone is the point
    ],
)
async def test_an_end_that_is_no_future_is_refused(admin: Admin, expires: datetime | timedelta) -> None:
    with pytest.raises(ValueError, match="expires"):
        await admin.create_key("acme", "till", ["read"], expires=expires)
    assert await admin.list_keys() == []
    assert await actions(admin) == []


@pytest.mark.parametrize("limit", [0, -1, 1_000_001])
async def test_a_rate_limit_that_is_none_is_refused(admin: Admin, limit: int) -> None:
    with pytest.raises(ValueError, match="a rate limit is 1 to 1000000"):
        await admin.create_key("acme", "till", ["read"], rate_limit_per_s=limit)


async def test_a_rotated_key_and_its_successor_are_both_good_for_the_overlap(admin: Admin) -> None:
    key_id, secret = await admin.create_key("acme", "till", ["read", "write"], rate_limit_per_s=5)
    rotated = await admin.rotate_key(key_id, HOUR)
    assert rotated is not None
    old, new = await admin.list_keys("acme")
    assert (old, new) == (rotated.old, rotated.new)
    assert (old.state, new.state) == ("active", "active")
    assert old.expires_at == new.created_at + HOUR
    assert new.expires_at is None
    assert (new.name, new.scopes, new.rate_limit_per_s) == (old.name, old.scopes, 5)
    assert rotated.secret != secret
    assert rotated.secret not in repr(rotated)


async def test_a_successor_lives_as_long_as_the_key_was_to(admin: Admin) -> None:
    key_id, _ = await admin.create_key("acme", "till", ["read"], expires=HOUR)
    rotated = await admin.rotate_key(key_id, timedelta(days=1))
    assert rotated is not None
    # The overlap does not make the old key live longer.
    assert rotated.old.expires_at == rotated.old.created_at + HOUR
    assert rotated.new.expires_at == rotated.new.created_at + HOUR
    other = await admin.rotate_key(rotated.new.id, HOUR, expires=3 * HOUR)
    assert other is not None
    assert other.new.expires_at == other.new.created_at + 3 * HOUR


async def test_a_key_can_be_replaced_at_once_and_then_only_once(admin: Admin) -> None:
    key_id, _ = await admin.create_key("acme", "till", ["read"])
    rotated = await admin.rotate_key(key_id, timedelta(0))
    assert rotated is not None
    assert [key.state for key in await admin.list_keys()] == ["expired", "active"]
    with pytest.raises(ValueError, match="is expired"):
        await admin.rotate_key(key_id, HOUR)
    await admin.revoke_key(rotated.new.id)
    with pytest.raises(ValueError, match="is revoked"):
        await admin.rotate_key(rotated.new.id, HOUR)
    assert await admin.rotate_key(UUID(int=1), HOUR) is None


async def test_a_key_that_is_good_can_be_given_another_end_and_limit(admin: Admin) -> None:
    key_id, _ = await admin.create_key("acme", "till", ["read"], expires=HOUR)
    changed = await admin.change_key(key_id, rate_limit_per_s=9)
    assert changed is not None
    assert (changed.rate_limit_per_s, changed.expires_at) == (9, changed.created_at + HOUR)
    changed = await admin.change_key(key_id, expires=None)
    assert changed is not None
    assert (changed.rate_limit_per_s, changed.expires_at) == (9, None)
    await admin.revoke_key(key_id)
    with pytest.raises(ValueError, match="is revoked, and stays so"):
        await admin.change_key(key_id, expires=HOUR)
    assert await admin.change_key(UUID(int=1), expires=HOUR) is None


async def test_a_tenant_is_suspended_and_resumed_and_its_keys_are_counted(admin: Admin) -> None:
    for tenant in ("acme", "other"):
        key_id, _ = await admin.create_key(tenant, "till", ["read"])
    await admin.revoke_key(key_id)
    suspended = await admin.suspend_tenant("acme")
    assert suspended is not None
    assert suspended.suspended_at is not None
    assert await admin.suspend_tenant("acme") == suspended
    assert [(t.name, t.suspended_at is not None, t.active_keys) for t in await admin.list_tenants()] == [
        ("acme", True, 1),
        ("other", False, 0),
    ]
    resumed = await admin.resume_tenant("acme")
    assert resumed is not None
    assert resumed.suspended_at is None
    assert await admin.suspend_tenant("nobody") is None
    assert await admin.resume_tenant("nobody") is None
    assert await actions(admin, "acme") == ["tenant.created", "key.created", "tenant.suspended", "tenant.resumed"]


async def test_each_change_is_recorded_once_with_who_what_and_when(admin: Admin) -> None:
    key_id, secret = await admin.create_key("acme", "till", ["read"], expires=HOUR)
    await admin.change_key(key_id, rate_limit_per_s=9)
    rotated = await admin.rotate_key(key_id, timedelta(minutes=1))
    assert rotated is not None
    for _ in range(2):
        await admin.revoke_key(key_id)
        await admin.ensure_tenant("acme")
        await admin.ensure_key("default", "bootstrap", SECRET, ["read"])
    assert await actions(admin) == [
        *("tenant.created", "key.created", "key.changed", "key.created", "key.rotated", "key.revoked"),
        *("tenant.created", "key.created"),
    ]
    records = await admin.audit_records("acme", limit=4)
    assert [record.action for record in records] == ["key.revoked", "key.rotated", "key.created", "key.changed"]
    revoked, rotation, made, changed = records
    assert {record.actor for record in records} == {"ada@desk"}
    assert {record.database_user for record in records} == {"postgres"}
    assert (revoked.subject, rotation.subject, made.subject) == (key_id, key_id, rotated.new.id)
    assert rotation.details["replaced_by"] == str(rotated.new.id)
    assert changed.details == {"rate_limit_per_s": 9}
    assert revoked.at > rotation.at == made.at
    for record in await admin.audit_records(limit=100):
        for told in (secret, rotated.secret, SECRET):
            assert told not in str(record)


async def test_what_fails_is_not_recorded(admin: Admin) -> None:
    await admin.ensure_key("acme", "till", SECRET, ["read"])
    before = await actions(admin)
    with pytest.raises(ValueError, match="another tenant"):
        await admin.ensure_key("other", "till", SECRET, ["read"])
    assert await actions(admin) == before
    assert [tenant.name for tenant in await admin.list_tenants()] == ["acme"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'nobody'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "TRUNCATE tenants CASCADE",
    ],
)
async def test_the_log_is_changed_by_nobody_not_even_its_owner(admin: Admin, database: str, statement: str) -> None:
    await admin.ensure_tenant("acme")
    owner = await asyncpg.connect(database)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await owner.execute(statement)
        # It is the trigger that refuses, and nothing else would.
        await owner.execute("ALTER TABLE audit_log DISABLE TRIGGER audit_log_is_append_only")
        if "tenants" not in statement:
            await owner.execute(statement)
    finally:
        await owner.close()


async def test_the_log_is_asked_for_by_tenant_and_newest_first(admin: Admin) -> None:
    for number in range(3):
        await admin.create_key("acme", f"till {number}", ["read"])
    await admin.ensure_tenant("other")
    last = await admin.audit_records(limit=2)
    assert [(record.tenant, record.action) for record in last] == [("other", "tenant.created"), ("acme", "key.created")]
    assert last[1].details["name"] == "till 2"
    assert await actions(admin, "nobody") == []
    assert tenant_id_of("other") == last[0].subject
