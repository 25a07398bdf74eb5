"""The changes of one administrator's transaction, each with its record in the audit log."""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import attrs
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.ids import uuid7
from adapters.postgres.admin_log import Recorder
from adapters.postgres.key_records import (
    SCOPES,
    ApiKey,
    Lifetime,
    Tenant,
    key_of,
    select_keys,
    select_tenants,
    sha256_of,
    tenant_id_of,
    tenant_of,
)
from adapters.postgres.schema import RATE_LIMIT_MAX, api_keys, tenants

SECRET_PREFIX: Final = "wk_"  # noqa: S105 - what every key begins with
"""Lets scanners of source code and logs recognise a key that got out."""
KEY_NAME_LENGTH_MAX: Final = 100
LIFETIME_MAX: Final = timedelta(days=36_525)
"""What takes a key further into the future than this is a mistake, and may be more than a time can say."""


@attrs.frozen
class Changes:
    """What can be changed, in a transaction that somebody else begins and ends. All raise `ValueError`, with a message
    for people, for values that cannot be used."""

    connection: AsyncConnection
    log: Recorder

    @classmethod
    async def begin(cls, connection: AsyncConnection, actor: str) -> "Changes":
        """For the transaction that the connection is in."""
        return cls(connection, await Recorder.begin(connection, actor))

    async def ensure_tenant(self, name: str) -> UUID:
        """Make the tenant unless it exists."""
        tenant_id = tenant_id_of(name)
        # The id follows from the name, so that of several who make the tenant at once all but one find it made.
        made = insert(tenants).values(id=tenant_id, name=name, created_at=self.log.now).on_conflict_do_nothing()
        if (await self.connection.execute(made.returning(tenants.c.id))).one_or_none():
            await self.log.record("tenant.created", tenant_id, tenant_id, name=name)
        return tenant_id

    async def set_suspended(self, name: str, *, suspended: bool) -> Tenant | None:
        """Suspend or resume a tenant; one that is so already keeps its time. None if there is no such tenant."""
        tenant_id, c = tenant_id_of(name), tenants.c
        # Another's transaction may have made the tenant after this one began.
        at = func.greatest(self.log.now, c.created_at) if suspended else None
        changed = await self.connection.execute(
            update(tenants)
            .where(c.id == tenant_id, c.suspended_at.is_(None) if suspended else c.suspended_at.is_not(None))
            .values(suspended_at=at)
            .returning(c.id)
        )
        if changed.one_or_none():
            await self.log.record(
                "tenant.suspended" if suspended else "tenant.resumed", tenant_id, tenant_id, name=name
            )
        row = (await self.connection.execute(select_tenants().where(c.id == tenant_id))).one_or_none()
        return None if row is None else tenant_of(row)

    async def ensure_key(
        self,
        tenant: str,
        name: str,
        secret: str,
        scopes: Iterable[str],
        expires: Lifetime = None,
        rate_limit_per_s: int | None = None,
    ) -> ApiKey:
        """Make a key with this secret, and its tenant, unless the tenant has that key."""
        tenant_id = await self.ensure_tenant(tenant)
        await self.add_key(tenant_id, name, secret, scopes, expires, rate_limit_per_s)
        query = select_keys().where(api_keys.c.secret_sha256 == sha256_of(secret))
        holders = (await self.connection.execute(query)).all()
        if any(row.tenant != tenant for row in holders):
            raise ValueError("this secret is a key of another tenant: a secret belongs to one tenant only")
        (row,) = holders
        return key_of(row)

    async def add_key(
        self,
        tenant_id: UUID,
        name: str,
        secret: str,
        scopes: Iterable[str],
        expires: Lifetime,
        rate_limit_per_s: int | None,
    ) -> UUID:
        """Make a key with this secret, unless the tenant has one. Returns the id that it has, if it was made."""
        wanted = frozenset(scopes)
        if not wanted or not wanted <= set(SCOPES):
            raise ValueError(f"a key has at least one of the scopes {', '.join(SCOPES)}, and no other")
        if not name.strip() or not name.isprintable() or len(name) > KEY_NAME_LENGTH_MAX:
            raise ValueError(f"a key's name is 1 to {KEY_NAME_LENGTH_MAX} printable characters")
        values: dict[str, Any] = {
            "name": name,
            "scopes": [scope for scope in SCOPES if scope in wanted],
            "expires_at": self.end_of(expires),
            "rate_limit_per_s": checked_rate_limit(rate_limit_per_s),
        }
        id = uuid7(self.log.now)
        made = insert(api_keys).values(
            tenant_id=tenant_id, id=id, secret_sha256=sha256_of(secret), created_at=self.log.now, **values
        )
        made = made.on_conflict_do_nothing()
        if (await self.connection.execute(made.returning(api_keys.c.id))).one_or_none():
            await self.log.record("key.created", tenant_id, id, **values)
        return id

    async def locked_key(self, key_id: UUID) -> ApiKey | None:
        """The key, which nobody else changes until the end of the transaction."""
        await self.connection.execute(select(api_keys.c.id).where(api_keys.c.id == key_id).with_for_update())
        return await self.key(key_id)

    async def key(self, key_id: UUID) -> ApiKey | None:
        """The key as it is in this transaction."""
        row = (await self.connection.execute(select_keys().where(api_keys.c.id == key_id))).one_or_none()
        return None if row is None else key_of(row)

    async def update_key(self, key: ApiKey, **values: object) -> ApiKey:
        """Give columns of the key other values. Returns the key as it is then."""
        c = api_keys.c
        await self.connection.execute(
            update(api_keys).where(c.tenant_id == tenant_id_of(key.tenant), c.id == key.id).values(**values)
        )
        row = (await self.connection.execute(select_keys().where(c.id == key.id))).one()
        return key_of(row)

    def end_of(self, expires: Lifetime) -> datetime | None:
        """When a key that is to live so long expires."""
        if expires is None:
            return None
        if isinstance(expires, datetime) and expires.tzinfo is None:
            raise ValueError("the time at which a key expires needs a time zone, such as Z")
        lifetime = expires if isinstance(expires, timedelta) else expires - self.log.now
        if not timedelta(0) < lifetime <= LIFETIME_MAX:
            raise ValueError("a key expires in the future, and within a hundred years")
        return self.log.now + lifetime


def new_secret() -> str:
    """The secret of a new key: 256 random bits."""
    return SECRET_PREFIX + secrets.token_urlsafe(32)


def checked_rate_limit(rate_limit_per_s: int | None) -> int | None:
    """The limit, which may be none. Raises `ValueError` for what is no limit."""
    if rate_limit_per_s is not None and not 1 <= rate_limit_per_s <= RATE_LIMIT_MAX:
        raise ValueError(f"a rate limit is 1 to {RATE_LIMIT_MAX} requests a second")
    return rate_limit_per_s
