"""The ledger of the simulated service: the real one, which also tells when it puts a batch on top of another."""

from typing import cast

import attrs

from tests.simulation.coverage import STACKED, STACKED_ON_NOTHING
from tests.simulation.session import ModelStore
from wallet_core import BatchLedger, Outcome
from wallet_core.ledger import Batch
from wallet_core.ports import StaleSnapshot


@attrs.define
class StackingLedger(BatchLedger):
    """Decides batches on top of one another, as the service does."""

    stacks: bool = attrs.field(default=True, kw_only=True)

    async def _attempt(self, batch: Batch) -> list[Outcome]:
        log = cast(ModelStore, self.store).server.log
        last = batch.last
        try:
            outcomes = await super()._attempt(batch)
        except StaleSnapshot:
            if last is not None and not last.kept:
                log.cover(STACKED_ON_NOTHING)
            raise
        if last is not None:
            log.cover(STACKED)
        return outcomes
