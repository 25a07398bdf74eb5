"""The order of events in PostgreSQL: as ids of transactions and their snapshots have it (``docs/decisions/0015``)."""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from hashlib import blake2b
from typing import Final
from uuid import UUID

from sqlalchemy import BigInteger, Integer, Uuid, bindparam, literal_column, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.errors import translating
from adapters.postgres.records import DecisionRecord, fetch_entries
from adapters.postgres.schema import transactions
from adapters.postgres.session import open_session
from adapters.postgres.statements import APPLIED, TENANT, brought, from_base
from wallet_core.events import BadCursor, Event, Events
from wallet_core.model import Transaction

Place = tuple[int, int, UUID]
"""A position, how much had been logged, and the transaction's id: events are in this order."""

_PACKED: Final = struct.Struct(">qq16s")
_CHECK_BYTES: Final = 4

FIRST: Final[Place] = (-1, 0, UUID(int=0))

PLACE: Final = (transactions.c.position, transactions.c.lsn, transactions.c.id)
"""The columns that a place is made of."""

HERE: Final = tuple_(
    bindparam("position", type_=BigInteger), bindparam("lsn", type_=BigInteger), bindparam("id", type_=Uuid)
)

APPLIED_ONES: Final = (transactions.c.tenant_id == TENANT, transactions.c.outcome == APPLIED)

IN_ORDER: Final = (*APPLIED_ONES, transactions.c.position >= literal_column("0", Integer()))
"""The tenant's events, as their partial index has them."""

# All transactions that are still under way, or yet to begin, have a position that is no lower. In one statement, and so
# one snapshot: what is beyond the horizon of another one could be missing here.
_TOLD: Final = (*IN_ORDER, transactions.c.position < from_base("pg_snapshot_xmin(pg_current_snapshot())::text::bigint"))

EVENTS: Final = (
    select(*brought(transactions), transactions.c.position, transactions.c.lsn)
    .where(*_TOLD, tuple_(*PLACE) > HERE)
    .order_by(*PLACE)
    .limit(bindparam("limit", type_=BigInteger))
)

# The place of an event, and not the horizon: ids of transactions that came to nothing are lost in a crash, and given
# again, and what is loaded into another server brings along no more than its events.
LATEST: Final = (
    select(*PLACE).where(*_TOLD).order_by(*(column.desc() for column in PLACE)).limit(literal_column("1", Integer()))
)


class PostgresEvents:
    """An ``EventReader`` over a pool of connections. See ``wallet_core.events``."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def events(self, tenant: UUID, *, after: str | None, limit: int) -> Events:
        """The events after a cursor. See ``EventReader``."""
        position, lsn, id = FIRST if after is None else place_of(tenant, after)
        parameters = {"tenant": tenant, "position": position, "lsn": lsn, "id": id, "limit": limit}
        with translating():
            async with open_session(self._engine) as session:
                rows = await session.fetch(EVENTS, parameters)
                records = [DecisionRecord(row) for row in rows]
                entries = await fetch_entries(session, tenant, records)
        items: list[Event] = []
        for row, record in zip(rows, records, strict=True):
            transaction = record.decision(entries)
            if isinstance(transaction, Transaction):
                items.append(Event(cursor_of(tenant, (row["position"], row["lsn"], record.id)), transaction))
        return Events(items, items[-1].cursor if items else after or cursor_of(tenant, FIRST))

    async def now(self, tenant: UUID) -> str:
        """The cursor behind everything that can be told by now. See ``EventReader``."""
        with translating():
            async with open_session(self._engine) as session:
                rows = await session.fetch(LATEST, {"tenant": tenant})
        return cursor_of(tenant, (rows[0]["position"], rows[0]["lsn"], rows[0]["id"]) if rows else FIRST)


def cursor_of(tenant: UUID, place: Place) -> str:
    """The cursor of a place in the tenant's events."""
    position, lsn, id = place
    content = _PACKED.pack(position, lsn, id.bytes)
    return urlsafe_b64encode(content + _check(tenant, content)).decode()


def place_of(tenant: UUID, cursor: str) -> Place:
    """The place that a cursor of this tenant stands for. Raises ``BadCursor``."""
    try:
        content = urlsafe_b64decode(cursor.encode("ascii"))
    except (Base64Error, UnicodeError):
        raise BadCursor(cursor) from None
    place, check = content[: _PACKED.size], content[_PACKED.size :]
    # A decoder that passes over what is no base64 takes several texts for one; only that which was given out is taken.
    if len(place) != _PACKED.size or check != _check(tenant, place) or urlsafe_b64encode(content) != cursor.encode():
        raise BadCursor(cursor)
    position, lsn, id = _PACKED.unpack(place)
    return position, lsn, UUID(bytes=id)


def _check(tenant: UUID, content: bytes) -> bytes:
    """No secret: it keeps cursors of different tenants apart, and those that were damaged."""
    return blake2b(content, digest_size=_CHECK_BYTES, key=tenant.bytes).digest()
