"""The service with one mechanism taken out of it, each in the way in which it would be forgotten."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast
from uuid import UUID

import attrs

from adapters.postgres.unit_of_work import PostgresUnit
from adapters.postgres.writes import Write
from tests.concurrency.violations import (
    AcknowledgedLost,
    Deadlocked,
    DoubleEffect,
    LostUpdate,
    Phantom,
    Violation,
    WrongOrder,
    WrongReceipt,
)
from tests.simulation.cache import BlindCache
from tests.simulation.clients import NEW_KEY_FOR_RETRIES
from tests.simulation.cluster import Setup
from tests.simulation.ledger import StackingLedger
from tests.simulation.order import SNAPSHOT
from tests.simulation.queries import GUARD
from tests.simulation.session import COMMIT_BEFORE_ANSWER, ModelSession
from tests.simulation.tables import ENTRY_VERSION, TRANSACTION_KEY
from wallet_core import Command, GroupCommit, Outcome, Overloaded
from wallet_core.ledger import Batch
from wallet_core.ports import Changes, CommitUnknown, Names, Snapshot, Unavailable
from wallet_core.stacking import Flight


class UnsortedUnit(PostgresUnit):
    """Writes the rows of a batch in any order."""

    def _writes(self, changes: Changes) -> Iterator[Write]:
        random = cast(ModelSession, self._session).random
        for statement, rows, columns in super()._writes(changes):
            order = random.sample(range(rows), rows)
            yield statement, rows, {name: [values[place] for place in order] for name, values in columns.items()}


class UncountedUnit(PostgresUnit):
    """Does not ask how many rows were written."""

    async def _append(self, changes: Changes) -> None:
        self._has_written = True
        await self._session.write_all(write for write, _ in self._encoded(changes))


class ForgetfulGroupCommit(GroupCommit):
    """Withdraws what has waited too long, also when a batch has taken it."""

    async def execute(self, tenant: UUID, commands: Sequence[Command]) -> Sequence[Outcome]:
        try:
            async with asyncio.timeout(self.wait_s_max):
                return await super().execute(tenant, commands)
        except TimeoutError:
            return [Overloaded()] * len(commands)


class ConfidentLedger(StackingLedger):
    """Takes a COMMIT without an answer for one that did not happen."""

    async def _attempt(self, batch: Batch) -> list[Outcome]:
        try:
            return await super()._attempt(batch)
        except CommitUnknown as lost:
            raise Unavailable from lost


class HastyFlight(Flight):
    """Lets the batch on top go on before this one has landed."""

    def __init__(self, flight: Flight) -> None:
        super().__init__(kept=True)
        self.flight = flight

    async def below(self, snapshot: Snapshot, names: Names) -> Snapshot:
        return await self.flight.below(snapshot, names)

    async def decided(self) -> None:
        await self.flight.decided()

    async def landed(self, within_s: float | None = None) -> None:
        pass

    async def ended(self) -> None:
        await self.flight.ended()


@attrs.define
class HastyLedger(StackingLedger):
    """Takes for done what a batch below is about to do."""

    async def _attempt(self, batch: Batch) -> list[Outcome]:
        if batch.last is not None:
            batch.last = HastyFlight(batch.last)
        return await super()._attempt(batch)


@attrs.frozen
class Variant:
    """What is missing, what it should lead to, and within how many schedules that has to be found."""

    setup: Setup
    violation: type[Violation]
    schedules_max: int = 1_000


VARIANTS: Final[Mapping[str, Variant]] = {
    "guard": Variant(Setup(lacking=frozenset({GUARD, ENTRY_VERSION})), LostUpdate),
    "key": Variant(Setup(lacking=frozenset({TRANSACTION_KEY})), DoubleEffect),
    "early": Variant(Setup(lacking=frozenset({COMMIT_BEFORE_ANSWER})), AcknowledgedLost),
    "unsorted": Variant(Setup(unit=UnsortedUnit), Deadlocked, schedules_max=4_000),
    "counts": Variant(Setup(unit=UncountedUnit, lacking=frozenset({ENTRY_VERSION})), LostUpdate),
    "withdrawal": Variant(Setup(group=ForgetfulGroupCommit), Phantom),
    "confident": Variant(Setup(ledger=ConfidentLedger), Phantom),
    "landing": Variant(Setup(ledger=HastyLedger), WrongReceipt),
    "new-key": Variant(Setup(lacking=frozenset({NEW_KEY_FOR_RETRIES})), DoubleEffect),
    "snapshot": Variant(Setup(lacking=frozenset({SNAPSHOT})), WrongOrder, schedules_max=6_000),
    "blind": Variant(Setup(cache=BlindCache), WrongReceipt, schedules_max=3_000),
}
