"""Tenants and API keys as administrators see them, and the queries that find them."""

import hashlib
import re
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID, uuid5

import attrs
from sqlalchemy import Row, Select, and_, case, func, or_, select

from adapters.postgres.schema import api_keys, tenants

SCOPES: Final = ("read", "write", "admin")

# Never to be changed: all rows of a tenant carry the id that follows from it.
_TENANT_NAMESPACE: Final = UUID("fd3095f9-3688-44b7-ab1b-1c553191dbf0")
_TENANT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

KeyState = Literal["active", "expired", "revoked"]
Lifetime = datetime | timedelta | None
"""When a key expires: at a time, so long from now by the database's clock, or never."""


@attrs.frozen
class ApiKey:
    """What is known of a key. Its secret is not: only a hash of it is kept. ``state`` is as of when it was read."""

    tenant: str
    id: UUID
    name: str
    scopes: frozenset[str]
    created_at: datetime
    revoked_at: datetime | None
    expires_at: datetime | None
    rate_limit_per_s: int | None
    state: KeyState


@attrs.frozen
class Tenant:
    """A tenant, and how many keys it has that are neither revoked nor expired."""

    id: UUID
    name: str
    created_at: datetime
    suspended_at: datetime | None
    active_keys: int


def tenant_id_of(name: str) -> UUID:
    """The id of the tenant with this name, whether or not it exists. Raises `ValueError` for what is no such name."""
    if not _TENANT_NAME.fullmatch(name):
        raise ValueError("a tenant's name is 1 to 63 of a-z 0-9 _ - and begins with a letter or digit")
    return uuid5(_TENANT_NAMESPACE, name)


def sha256_of(secret: str) -> bytes:
    """What is kept of a secret. It is random and long, so that a fast hash without salt gives nothing away."""
    return hashlib.sha256(secret.encode()).digest()


def select_keys() -> Select[Any]:
    """The rows that ``key_of`` takes."""
    c = api_keys.c
    state = case((c.revoked_at.is_not(None), "revoked"), (c.expires_at <= func.now(), "expired"), else_="active")
    return select(
        tenants.c.name.label("tenant"),
        c.id,
        c.name,
        c.scopes,
        c.created_at,
        c.revoked_at,
        c.expires_at,
        c.rate_limit_per_s,
        state.label("state"),
    ).join_from(api_keys, tenants, c.tenant_id == tenants.c.id)


def key_of(row: Row[Any]) -> ApiKey:
    """The key that a row of ``select_keys`` is."""
    return ApiKey(**{**row._asdict(), "scopes": frozenset(row.scopes)})


def select_tenants() -> Select[Any]:
    """The rows that ``tenant_of`` takes."""
    t, k = tenants.c, api_keys.c
    active = and_(k.tenant_id == t.id, k.revoked_at.is_(None), or_(k.expires_at.is_(None), k.expires_at > func.now()))
    return (
        select(t.id, t.name, t.created_at, t.suspended_at, func.count(k.id).label("active_keys"))
        .join_from(tenants, api_keys, active, isouter=True)
        .group_by(t.id, t.name, t.created_at, t.suspended_at)
    )


def tenant_of(row: Row[Any]) -> Tenant:
    """The tenant that a row of ``select_tenants`` is."""
    return Tenant(**row._asdict())
