"""Tenants and API keys, for administrators: as the database's owner, since the service's role may only read them."""

import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

import attrs
from sqlalchemy import Row, Select, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.ids import uuid7
from adapters.postgres.errors import translating
from adapters.postgres.schema import api_keys, tenants

SCOPES: Final = ("read", "write", "admin")
SECRET_PREFIX: Final = "wk_"
"""Lets scanners of source code and logs recognise a key that got out."""
KEY_NAME_LENGTH_MAX: Final = 100

# Never to be changed: all rows of a tenant carry the id that follows from it.
_TENANT_NAMESPACE: Final = UUID("fd3095f9-3688-44b7-ab1b-1c553191dbf0")
_TENANT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@attrs.frozen
class ApiKey:
    """What is known of a key. Its secret is not: only a hash of it is kept."""

    tenant: str
    id: UUID
    name: str
    scopes: frozenset[str]
    created_at: datetime
    revoked_at: datetime | None


def tenant_id_of(name: str) -> UUID:
    """The id of the tenant with this name, whether or not it exists. Raises `ValueError` for what is no such name."""
    if not _TENANT_NAME.fullmatch(name):
        raise ValueError("a tenant's name is 1 to 63 of a-z 0-9 _ - and begins with a letter or digit")
    return uuid5(_TENANT_NAMESPACE, name)


def sha256_of(secret: str) -> bytes:
    """What is kept of a secret. It is random and long, so that a fast hash without salt gives nothing away."""
    return hashlib.sha256(secret.encode()).digest()


class Admin:
    """Makes tenants and keys. Each call is one transaction. All raise ``Unavailable`` when the database is away, and
    `ValueError`, with a message for people, for a name or scopes that cannot be used."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def ensure_tenant(self, name: str) -> UUID:
        """Make the tenant unless it exists. Returns its id."""
        async with self._transaction() as connection:
            return await _ensure_tenant(connection, name, await _now(connection))

    async def create_key(self, tenant: str, name: str, scopes: Iterable[str]) -> tuple[UUID, str]:
        """Make a key, and its tenant unless that exists. Returns the key's id and its secret, which is kept nowhere."""
        secret = SECRET_PREFIX + secrets.token_urlsafe(32)
        async with self._transaction() as connection:
            key = await _ensure_key(connection, tenant, name, secret, scopes)
        return key.id, secret

    async def ensure_key(self, tenant: str, name: str, secret: str, scopes: Iterable[str]) -> ApiKey:
        """Make a key with this secret, and its tenant, unless the tenant has that key; then it stays as it is.

        What was revoked stays revoked: look at ``revoked_at``. A secret that another tenant has is a `ValueError`,
        since a key has to name its tenant.
        """
        async with self._transaction() as connection:
            return await _ensure_key(connection, tenant, name, secret, scopes)

    async def list_keys(self, tenant: str | None = None) -> Sequence[ApiKey]:
        """The keys, revoked ones too, of one tenant or of all: by tenant's name, oldest first."""
        query = _select_keys().order_by(tenants.c.name, api_keys.c.created_at, api_keys.c.id)
        if tenant is not None:
            query = query.where(tenants.c.id == tenant_id_of(tenant))
        async with self._transaction() as connection:
            return [_key_of(row) for row in await connection.execute(query)]

    async def revoke_key(self, key_id: UUID) -> ApiKey | None:
        """Revoke a key; None if there is no such key. One that is revoked keeps its time.

        A running service may honour the key for as long as it remembers keys: see ``api_keys.TTL_S``.
        """
        async with self._transaction() as connection:
            revoked_at = func.coalesce(api_keys.c.revoked_at, await _now(connection))
            await connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=revoked_at))
            row = (await connection.execute(_select_keys().where(api_keys.c.id == key_id))).one_or_none()
            return None if row is None else _key_of(row)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        with translating():
            async with self._engine.begin() as connection:
                yield connection


async def _now(connection: AsyncConnection) -> datetime:
    return (await connection.execute(select(func.now()))).scalar_one()


async def _ensure_tenant(connection: AsyncConnection, name: str, now: datetime) -> UUID:
    tenant_id = tenant_id_of(name)
    # The id follows from the name, so that of several who make the tenant at once all but one find it made.
    await connection.execute(insert(tenants).values(id=tenant_id, name=name, created_at=now).on_conflict_do_nothing())
    return tenant_id


async def _ensure_key(
    connection: AsyncConnection, tenant: str, name: str, secret: str, scopes: Iterable[str]
) -> ApiKey:
    wanted = frozenset(scopes)
    if not wanted or not wanted <= set(SCOPES):
        raise ValueError(f"a key has at least one of the scopes {', '.join(SCOPES)}, and no other")
    if not name.strip() or not name.isprintable() or len(name) > KEY_NAME_LENGTH_MAX:
        raise ValueError(f"a key's name is 1 to {KEY_NAME_LENGTH_MAX} printable characters")
    now = await _now(connection)
    tenant_id = await _ensure_tenant(connection, tenant, now)
    sha256 = sha256_of(secret)
    await connection.execute(
        insert(api_keys)
        .values(
            tenant_id=tenant_id,
            id=uuid7(now),
            secret_sha256=sha256,
            name=name,
            scopes=[scope for scope in SCOPES if scope in wanted],
            created_at=now,
        )
        .on_conflict_do_nothing()
    )
    holders = (await connection.execute(_select_keys().where(api_keys.c.secret_sha256 == sha256))).all()
    if any(row.tenant != tenant for row in holders):
        raise ValueError("this secret is a key of another tenant: a secret belongs to one tenant only")
    (row,) = holders
    return _key_of(row)


def _select_keys() -> Select[Any]:
    return select(
        tenants.c.name.label("tenant"),
        api_keys.c.id,
        api_keys.c.name,
        api_keys.c.scopes,
        api_keys.c.created_at,
        api_keys.c.revoked_at,
    ).join_from(api_keys, tenants, api_keys.c.tenant_id == tenants.c.id)


def _key_of(row: Row[Any]) -> ApiKey:
    return ApiKey(
        tenant=row.tenant,
        id=row.id,
        name=row.name,
        scopes=frozenset(row.scopes),
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
