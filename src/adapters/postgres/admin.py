"""Tenants and API keys, for administrators: as the database's owner, since the service's role may only read them."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import attrs
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.admin_changes import LIFETIME_MAX, SECRET_PREFIX, Changes, checked_rate_limit, new_secret
from adapters.postgres.admin_log import AuditRecord, records
from adapters.postgres.errors import translating
from adapters.postgres.key_records import (
    SCOPES,
    ApiKey,
    KeyState,
    Lifetime,
    Tenant,
    key_of,
    select_keys,
    select_tenants,
    sha256_of,
    tenant_id_of,
    tenant_of,
)
from adapters.postgres.schema import api_keys, tenants

__all__ = [
    "SCOPES",
    "SECRET_PREFIX",
    "UNCHANGED",
    "Admin",
    "ApiKey",
    "AuditRecord",
    "KeyState",
    "Lifetime",
    "Rotated",
    "Tenant",
    "sha256_of",
    "tenant_id_of",
]


@attrs.frozen
class Rotated:
    """A key, the one that replaces it, and the new one's secret, which is kept nowhere."""

    old: ApiKey
    new: ApiKey
    secret: str = attrs.field(repr=False)


class _Unchanged:
    """Stands for whatever the value is already, which may be none."""


UNCHANGED: Final = _Unchanged()


class Admin:
    """Administers tenants and keys. Each call is one transaction, and what it changes is in the audit log after it.

    All raise ``Unavailable`` when the database is away, and `ValueError`, with a message for people, for what cannot
    be done. ``actor`` is who the audit log names.
    """

    def __init__(self, engine: AsyncEngine, actor: str = "unknown") -> None:
        self._engine = engine
        self._actor = actor

    async def ensure_tenant(self, name: str) -> UUID:
        """Make the tenant unless it exists. Returns its id."""
        async with self._changes() as change:
            return await change.ensure_tenant(name)

    async def list_tenants(self) -> Sequence[Tenant]:
        """The tenants, by name."""
        async with self._transaction() as connection:
            return [tenant_of(row) for row in await connection.execute(select_tenants().order_by(tenants.c.name))]

    async def suspend_tenant(self, name: str) -> Tenant | None:
        """Have all of the tenant's keys turned away until it is resumed; None if there is no such tenant.

        A running service may honour them for as long as it remembers keys: see ``api_keys.TTL_S``.
        """
        async with self._changes() as change:
            return await change.set_suspended(name, suspended=True)

    async def resume_tenant(self, name: str) -> Tenant | None:
        """Have the tenant's keys taken again; None if there is no such tenant."""
        async with self._changes() as change:
            return await change.set_suspended(name, suspended=False)

    async def create_key(
        self,
        tenant: str,
        name: str,
        scopes: Iterable[str],
        *,
        expires: Lifetime = None,
        rate_limit_per_s: int | None = None,
    ) -> tuple[UUID, str]:
        """Make a key, and its tenant unless that exists. Returns the key's id and its secret, which is kept nowhere."""
        secret = new_secret()
        async with self._changes() as change:
            key = await change.ensure_key(tenant, name, secret, scopes, expires, rate_limit_per_s)
        return key.id, secret

    async def ensure_key(self, tenant: str, name: str, secret: str, scopes: Iterable[str]) -> ApiKey:
        """Make a key with this secret, and its tenant, unless the tenant has that key; then it stays as it is.

        What was revoked or has expired stays so: look at ``state``. A secret that another tenant has is a
        `ValueError`, since a key has to name its tenant.
        """
        async with self._changes() as change:
            return await change.ensure_key(tenant, name, secret, scopes)

    async def list_keys(self, tenant: str | None = None) -> Sequence[ApiKey]:
        """The keys, those too that are not active, of one tenant or of all: by tenant's name, oldest first."""
        query = select_keys().order_by(tenants.c.name, api_keys.c.created_at, api_keys.c.id)
        if tenant is not None:
            query = query.where(tenants.c.id == tenant_id_of(tenant))
        async with self._transaction() as connection:
            return [key_of(row) for row in await connection.execute(query)]

    async def rotate_key(self, key_id: UUID, overlap: timedelta, expires: Lifetime = None) -> Rotated | None:
        """Make another key like this one, which then expires after the overlap, or earlier if it was to anyway.

        The new key lives as long as the old one was to, unless ``expires`` says otherwise. None if there is no such
        key; one that is not active has nothing to hand over, and is a `ValueError`.
        """
        if not timedelta(0) <= overlap <= LIFETIME_MAX:
            raise ValueError("an overlap is not negative, and at most a hundred years")
        async with self._changes() as change:
            old = await change.locked_key(key_id)
            if old is None:
                return None
            if old.state != "active":
                raise ValueError(f"key {key_id} is {old.state}: there is nothing to hand over to a new one")
            if expires is None and old.expires_at is not None:
                expires = old.expires_at - old.created_at
            secret = new_secret()
            new = await change.ensure_key(old.tenant, old.name, secret, old.scopes, expires, old.rate_limit_per_s)
            ends = change.log.now + overlap
            if old.expires_at is None or ends < old.expires_at:
                old = await change.update_key(old, expires_at=ends)
            await change.log.record(
                "key.rotated", tenant_id_of(old.tenant), key_id, replaced_by=new.id, expires_at=old.expires_at
            )
            return Rotated(old, new, secret)

    async def change_key(
        self,
        key_id: UUID,
        *,
        expires: Lifetime | _Unchanged = UNCHANGED,
        rate_limit_per_s: int | None | _Unchanged = UNCHANGED,
    ) -> ApiKey | None:
        """Give a key another end or rate limit; None is no end, and no limit of its own. None if there is no such key.

        A key that is not active does not come back to life, and is a `ValueError`.
        """
        async with self._changes() as change:
            key = await change.locked_key(key_id)
            if key is None:
                return None
            if key.state != "active":
                raise ValueError(f"key {key_id} is {key.state}, and stays so")
            values: dict[str, Any] = {}
            if not isinstance(expires, _Unchanged):
                values["expires_at"] = change.end_of(expires)
            if not isinstance(rate_limit_per_s, _Unchanged):
                values["rate_limit_per_s"] = checked_rate_limit(rate_limit_per_s)
            if values:
                key = await change.update_key(key, **values)
                await change.log.record("key.changed", tenant_id_of(key.tenant), key_id, **values)
            return key

    async def revoke_key(self, key_id: UUID) -> ApiKey | None:
        """Revoke a key; None if there is no such key. One that is revoked keeps its time.

        A running service may honour the key for as long as it remembers keys: see ``api_keys.TTL_S``.
        """
        async with self._changes() as change:
            key = await change.locked_key(key_id)
            if key is not None and key.revoked_at is None:
                key = await change.update_key(key, revoked_at=change.log.now)
                await change.log.record("key.revoked", tenant_id_of(key.tenant), key_id, name=key.name)
            return key

    async def audit_records(self, tenant: str | None = None, *, limit: int) -> Sequence[AuditRecord]:
        """What was administered last, the newest first: in one tenant, or in all."""
        async with self._transaction() as connection:
            return await records(connection, None if tenant is None else tenant_id_of(tenant), limit)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        with translating():
            async with self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def _changes(self) -> AsyncIterator[Changes]:
        async with self._transaction() as connection:
            yield await Changes.begin(connection, self._actor)
