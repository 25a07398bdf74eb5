"""Events of the ledger in memory: commits happen one after the other there, and are told in their order."""

from collections.abc import Callable, Sequence
from uuid import UUID

import attrs

from wallet_core.events import BadCursor, Event, Events
from wallet_core.model import Transaction


@attrs.frozen
class MemoryEvents:
    """An ``EventReader`` over what a store has committed (``MemoryStore.committed``), in order."""

    committed: Callable[[UUID], Sequence[Transaction]]

    async def events(self, tenant: UUID, *, after: str | None, limit: int) -> Events:
        """The events after a cursor. See ``wallet_core.events.EventReader``."""
        committed = self.committed(tenant)
        start = 0 if after is None else _place_of(tenant, after, len(committed))
        items = [
            Event(_cursor_of(tenant, place), attrs.evolve(transaction, metadata=dict(transaction.metadata)))
            for place, transaction in enumerate(committed[start : start + limit], start + 1)
        ]
        return Events(items, items[-1].cursor if items else _cursor_of(tenant, start))

    async def now(self, tenant: UUID) -> str:
        """The cursor behind everything that was committed. See ``wallet_core.events.EventReader``."""
        return _cursor_of(tenant, len(self.committed(tenant)))


def _cursor_of(tenant: UUID, place: int) -> str:
    return f"{tenant.hex}.{place}"


def _place_of(tenant: UUID, cursor: str, places: int) -> int:
    name, _, place = cursor.partition(".")
    if name != tenant.hex or not place.isdecimal() or int(place) > places or cursor != _cursor_of(tenant, int(place)):
        raise BadCursor(cursor)
    return int(place)
