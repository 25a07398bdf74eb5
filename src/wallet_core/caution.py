"""When to lock wallets before a batch is decided: after a race for one of them was lost to another process.

Optimism is best where races are rare. Where two processes write to one wallet all the time, every batch of one of them
is decided in vain, loaded again, and decided in vain again. So whoever has lost locks, from the next attempt on and for
a few batches more: for twice as many each time that it turns out to be needed, and fewer when it was not.
"""

from uuid import UUID

import attrs

BATCHES_MAX = 64
"""For how many batches wallets are locked, at most, before it is tried without."""


@attrs.define
class _Level:
    batches: int
    """How many were locked the last time."""
    left: int
    """How many of them are still to come."""


@attrs.define
class Caution:
    """What is known of races, by tenant. Tenants who lose none are not in here."""

    _levels: dict[UUID, _Level] = attrs.field(factory=dict, init=False)

    def is_due(self, tenant: UUID) -> bool:
        """Whether the tenant's next batch is to lock its wallets."""
        level = self._levels.get(tenant)
        return level is not None and level.left > 0

    def take(self, tenant: UUID) -> bool:
        """The same, for a batch that now begins."""
        if not self.is_due(tenant):
            return False
        self._levels[tenant].left -= 1
        return True

    def lost(self, tenant: UUID, *, locked: bool) -> None:
        """A race was lost. With its wallets locked, a batch loses only for a key, and more locks would not help."""
        if locked:
            return
        level = self._levels.get(tenant)
        batches = 1 if level is None else min(BATCHES_MAX, level.batches * 2)
        self._levels[tenant] = _Level(batches, batches)

    def won(self, tenant: UUID) -> None:
        """A batch went well without locks."""
        level = self._levels.get(tenant)
        if level is not None:
            level.batches //= 2
            if not level.batches:
                del self._levels[tenant]
