"""The audit log of administration. Records are added in the transaction of the change, and by the database never
changed or deleted again."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import attrs
from sqlalchemy import Text, func, insert, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.ids import UuidV7
from adapters.postgres.schema import audit_log, tenants

ACTOR_LENGTH_MAX: Final = 200


@attrs.frozen
class AuditRecord:
    """Something that an administrator did. ``actor`` is who says to have done it, ``database_user`` who the database
    knows has; ``subject`` is the id of the key or of the tenant."""

    tenant: str
    id: UUID
    at: datetime
    actor: str
    database_user: str
    action: str
    subject: UUID
    details: Mapping[str, Any]


@attrs.frozen
class Recorder:
    """Writes the records of one transaction, whose time is ``now`` by the database's clock."""

    connection: AsyncConnection
    actor: str
    database_user: str
    now: datetime
    _ids: Iterator[UUID]

    @classmethod
    async def begin(cls, connection: AsyncConnection, actor: str) -> "Recorder":
        """For the transaction that the connection is in."""
        session_user = literal_column("session_user::text", Text())
        now, user = (await connection.execute(select(func.now(), session_user))).one()
        return cls(connection, actor[:ACTOR_LENGTH_MAX], user, now, UuidV7()(now))

    async def record(self, action: str, tenant_id: UUID, subject: UUID, **details: object) -> None:
        """Put down that this was done, in the order of the calls. ``details`` are of JSON, or become text."""
        await self.connection.execute(
            insert(audit_log).values(
                tenant_id=tenant_id,
                id=next(self._ids),
                at=self.now,
                actor=self.actor,
                database_user=self.database_user,
                action=action,
                subject=subject,
                details=json.dumps(details, default=str, separators=(",", ":")),
            )
        )


async def records(connection: AsyncConnection, tenant_id: UUID | None, limit: int) -> Sequence[AuditRecord]:
    """The last records, the newest first: of one tenant, or of all."""
    c = audit_log.c
    query = (
        select(tenants.c.name.label("tenant"), c.id, c.at, c.actor, c.database_user, c.action, c.subject, c.details)
        .join_from(audit_log, tenants, c.tenant_id == tenants.c.id)
        .order_by(c.id.desc())
        .limit(limit)
    )
    if tenant_id is not None:
        query = query.where(c.tenant_id == tenant_id)
    return [
        AuditRecord(**{**row._asdict(), "details": json.loads(row.details)}) for row in await connection.execute(query)
    ]
