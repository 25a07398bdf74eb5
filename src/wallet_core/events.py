"""Events: every applied transaction of a tenant, once, in an order that never changes.

The ledger itself is what is read. Nothing is written for it that could be lost or doubled.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol
from uuid import UUID

import attrs

from wallet_core.commands import Command
from wallet_core.model import Transaction
from wallet_core.outcomes import Outcome
from wallet_core.ports import Ledger

PAGE_EVENTS_MAX: Final = 500
"""The most events that are read at a time."""


class BadCursor(ValueError):
    """A cursor that was not given out for this tenant."""


@attrs.frozen
class Event:
    """A transaction, and the cursor of the place behind it."""

    cursor: str
    transaction: Transaction


@attrs.frozen
class Events:
    """Events that follow one another, and the cursor to go on from, whether or not there are any."""

    items: Sequence[Event]
    next_cursor: str


class EventReader(Protocol):
    """Reads events. Cursors are opaque, and hold for ever; each belongs to one tenant. Raises ``Unavailable``.

    Each applied transaction is told once, and none comes to stand before one that was told, whenever it is committed.
    The transactions of one wallet are in the order of its versions. A transaction is told as soon as no other one that
    began to write before it is still under way.
    """

    async def events(self, tenant: UUID, *, after: str | None, limit: int) -> Events:
        """The events after a cursor, ``limit`` at the most; those from the beginning without one.

        Fewer than ``limit`` mean that there are no more to be told now. Raises ``BadCursor``.
        """
        ...

    async def now(self, tenant: UUID) -> str:
        """The cursor behind everything that can be told by now."""
        ...


@attrs.frozen
class AnnouncingLedger:
    """A ledger that tells for which tenant it has carried out a batch, once for each."""

    ledger: Ledger
    announce: Callable[[UUID], None]

    async def execute(self, tenant: UUID, commands: Sequence[Command]) -> Sequence[Outcome]:
        """Carry out the commands as one batch. See ``ports.Ledger``."""
        try:
            return await self.ledger.execute(tenant, commands)
        finally:
            self.announce(tenant)
