"""The ledger of the simulated service: the real one, which also tells when it puts a batch on top of another."""

from collections.abc import Sequence
from typing import cast
from uuid import UUID

import attrs

from tests.simulation.coverage import STACKED, STACKED_ON_NOTHING
from tests.simulation.session import ModelStore
from wallet_core import BatchLedger, Command, Outcome
from wallet_core.ports import Names, StaleSnapshot
from wallet_core.stacking import Flight


@attrs.define
class StackingLedger(BatchLedger):
    """Decides batches on top of one another, as the service does."""

    stacks: bool = attrs.field(default=True, kw_only=True)

    async def _attempt(
        self,
        tenant: UUID,
        commands: Sequence[Command],
        names: Names,
        lock: bool,
        attempted: set[UUID],
        flight: Flight | None,
        last: Flight | None,
    ) -> list[Outcome]:
        log = cast(ModelStore, self.store).server.log
        try:
            outcomes = await super()._attempt(tenant, commands, names, lock, attempted, flight, last)
        except StaleSnapshot:
            if last is not None and not last.kept:
                log.cover(STACKED_ON_NOTHING)
            raise
        if last is not None:
            log.cover(STACKED)
        return outcomes
