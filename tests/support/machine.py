"""The stateful test: any sequence of batches, races, lost answers and passing time, against the plain model."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import cycle
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support.faults import Fault, FaultyStore
from tests.support.histories import prove, read_history
from tests.support.ids import CountingIds
from tests.support.model import Model, end_of
from tests.support.stores import World
from tests.support.strategies import FOUNDATION, WALLETS, Draft, Targets, drafts, seconds
from tests.support.time import Clock
from wallet_core import (
    Applied,
    BatchLedger,
    Command,
    Fenced,
    GroupCommit,
    KeyFenced,
    KeyReused,
    Outcome,
    Rejected,
    Replayed,
    Transaction,
)
from wallet_core.ports import CommitUnknown, StaleSnapshot, Unavailable

Result = TypeVar("Result")

OpenWorld = Callable[[Clock], AbstractAsyncContextManager[World]]
"""Makes an empty world whose store tells the clock's time."""

LEDGERS = 3

faults = st.sampled_from(
    (
        Fault("append", StaleSnapshot()),
        Fault("commit", StaleSnapshot()),
        Fault("load", Unavailable()),
        Fault("commit", Unavailable()),
        Fault("commit", CommitUnknown()),
        Fault("commit", CommitUnknown(), kept=True),
    )
)


class LedgerMachine(RuleBasedStateMachine):
    """Several ledgers, as of several processes, over one store; and a model that says what has to come of it."""

    def __init__(self, open_world: OpenWorld) -> None:
        super().__init__()
        self.clock = Clock()
        self.runner = asyncio.Runner()
        self.opened = open_world(self.clock)
        self.world = self.run(_entered(self.opened))
        self.ids = CountingIds()
        self.ledgers = [GroupCommit(BatchLedger(self.world.store, self.ids)) for _ in range(LEDGERS)]
        self.turns = cycle(self.ledgers)
        self.model = Model()
        self.targets = Targets()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(work)

    def teardown(self) -> None:
        self.run(self._end())
        self.runner.close()

    async def _end(self) -> None:
        try:
            await asyncio.gather(*(ledger.close() for ledger in self.ledgers))
            prove(await read_history(self.world.reader, self.world.tenant))
        finally:
            await self.opened.__aexit__(None, None, None)

    # ------------------------------------------------------------------ what happens

    @initialize()
    def found(self) -> None:
        self._follow(FOUNDATION, self._executed(FOUNDATION))

    @rule(amount=seconds)
    def advance(self, amount: int) -> None:
        self.clock.advance(amount)

    @rule(batch=st.lists(drafts, min_size=1, max_size=6))
    def send(self, batch: Sequence[Draft]) -> None:
        """One request with several commands: each ends as the model says."""
        commands = self.targets.resolve(batch, self.ids.upcoming(len(batch)))
        self._follow(commands, self._executed(commands))

    @rule(draft=drafts, fault=faults, again=st.booleans())
    def send_in_trouble(self, draft: Draft, fault: Fault, again: bool) -> None:
        """A race or a connection is lost once or twice on the way: the caller does not notice."""
        commands = self.targets.resolve([draft], [])
        store = FaultyStore(self.world.store, [fault, Fault("load", StaleSnapshot()) if again else None])
        self._follow(commands, self.run(BatchLedger(store, self.ids).execute(self.world.tenant, commands)))

    @rule(batch=st.lists(drafts, min_size=2, max_size=8))
    def race(self, batch: Sequence[Draft]) -> None:
        """Many requests at the same moment, to different ledgers: there is an order in which the model agrees."""
        commands = self.targets.resolve(batch, [])

        async def gathered() -> list[Sequence[Outcome]]:
            requests = [next(self.turns).execute(self.world.tenant, [command]) for command in commands]
            return list(await asyncio.gather(*requests))

        self._linearise(commands, [outcome for (outcome,) in self.run(gathered())])

    @invariant()
    def wallets_are_as_the_model_says(self) -> None:
        loaded = self.run(self.world.load(wallets=WALLETS, holds=list(self.model.holds)))
        for id in WALLETS:
            assert (id in loaded.wallets) == (id in self.model.wallets)
        for id, wallet in loaded.wallets.items():
            plain = self.model.wallets[id]
            assert (wallet.balance, wallet.version, wallet.status) == (plain.balance, plain.version, plain.status)
            assert (wallet.floor, wallet.ceiling, wallet.updated_at) == (plain.floor, plain.ceiling, plain.time)
            holds = [hold for hold in self.model.holds.values() if hold.wallet == id]
            assert wallet.held == sum(hold.remaining for hold in holds)
        for id, hold in self.model.holds.items():
            assert (loaded.holds[id].status, loaded.holds[id].remaining) == (hold.status, hold.remaining)

    # ------------------------------------------------------------------ what has to come of it

    def _executed(self, commands: Sequence[Command]) -> Sequence[Outcome]:
        async def executed() -> Sequence[Outcome]:
            return await next(self.turns).execute(self.world.tenant, commands)

        return self.run(executed())

    def _follow(self, commands: Sequence[Command], outcomes: Sequence[Outcome]) -> None:
        """One after the other, each ended as the model says, which then takes it in."""
        assert len(outcomes) == len(commands)
        for command, outcome in zip(commands, outcomes, strict=True):
            assert end_of(outcome) == self.model.expect(command, self.clock.now), (command, outcome)
            self._take_in(command, outcome)
        self.targets.learn(commands, outcomes)

    def _take_in(self, command: Command, outcome: Outcome) -> None:
        match outcome:
            case Applied(transaction):
                for hold in self.model.follow(command, self.clock.now, transaction.id):
                    expiry = self.run(self.world.reader.decision(self.world.tenant, f"expiry {hold}"))
                    assert expiry is not None
                    self.model.follow_expiry(hold, expiry.id)
                self.model.remember(command)
            case Rejected() | Fenced():
                self.model.remember(command)
            case _:
                pass

    def _linearise(self, commands: Sequence[Command], outcomes: Sequence[Outcome]) -> None:
        """What was applied, in the order of the wallets' versions, is what the model would have applied; and no key
        was decided twice."""
        self.targets.learn(commands, outcomes)
        ended = list(zip(commands, outcomes, strict=True))
        waiting = {o.transaction.id: (command, o.transaction) for command, o in ended if isinstance(o, Applied)}
        keys = [command.key for command, outcome in ended if isinstance(outcome, Applied | Rejected)]
        fenced = {command.key for command, outcome in ended if isinstance(outcome, Fenced)}
        assert len(set(keys)) == len(keys)
        assert not fenced & set(keys)
        while waiting:
            id = next(id for id, (_, transaction) in waiting.items() if self._is_next(transaction))
            command, transaction = waiting.pop(id)
            assert self.model.expect(command, self.clock.now) is Applied, command
            self._take_in(command, Applied(transaction))
        for command, outcome in ended:
            if not isinstance(outcome, Applied):
                self._take_in(command, outcome)
        known = {command.key for command, outcome in ended if isinstance(outcome, Replayed | KeyReused | KeyFenced)}
        assert known <= set(self.model.intents)

    def _is_next(self, transaction: Transaction) -> bool:
        """Whether its entries follow the wallets' versions in the model, and what expires before them."""
        for entry in transaction.entries:
            plain = self.model.wallets.get(entry.wallet_id)
            lapsed = [
                hold
                for hold in self.model.holds.values()
                if hold.wallet == entry.wallet_id and hold.lapsed(self.clock.now)
            ]
            if entry.version != (plain.version if plain else 0) + len(lapsed) + 1:
                return False
        return True


async def _entered(opened: AbstractAsyncContextManager[World]) -> World:
    return await opened.__aenter__()
