"""A replay cache in memory, held to the contract of the one in Redis; and a ledger that tells what it was asked."""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import attrs

from wallet_core import Command, Outcome
from wallet_core.model import Rejection, Transaction
from wallet_core.ports import History, Ledger


@attrs.define
class MemoryReplayCache:
    """A ``ReplayCache`` that forgets nothing."""

    known: History | None = attrs.field(factory=lambda: History("h1", b"s" * 32))
    asked: list[Sequence[str]] = attrs.field(factory=list)
    _decisions: dict[tuple[str, UUID, str], Transaction | Rejection] = attrs.field(factory=dict)

    def history(self) -> History | None:
        return self.known

    async def find(self, tenant: UUID, keys: Sequence[str], history: History) -> Mapping[str, Transaction | Rejection]:
        self.asked.append(keys)
        if history != self.known:
            return {}
        places = {key: (history.name, tenant, key) for key in keys}
        return {key: self._decisions[place] for key, place in places.items() if place in self._decisions}

    def remember(self, tenant: UUID, decisions: Sequence[Transaction | Rejection], history: History) -> None:
        if history == self.known:
            self._decisions.update(((history.name, tenant, decision.key), decision) for decision in decisions)


@attrs.define
class Spy:
    """A ``Ledger`` that notes the batches it is asked to carry out, and does something before it answers."""

    ledger: Ledger
    batches: list[Sequence[Command]] = attrs.field(factory=list)
    then: Callable[[], object] = lambda: None

    async def execute(self, tenant: UUID, commands: Sequence[Command]) -> Sequence[Outcome]:
        self.batches.append(commands)
        outcomes = await self.ledger.execute(tenant, commands)
        self.then()
        return outcomes
