"""A ledger in memory that runs without an event loop, so that a property can be tried on it thousands of times."""

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar
from uuid import UUID

from adapters.memory import MemoryStore
from tests.support.ids import CountingIds, id_number
from tests.support.time import Clock
from wallet_core import Applied, BatchLedger, Command, Hold, Outcome, Rejected, Rejection, Transaction, Wallet
from wallet_core.model import Decision
from wallet_core.ports import EntryRecord

_T = TypeVar("_T")

TENANT = id_number(1)
PAGE_ALL = 1_000_000


def run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine that waits for nothing but its turn, which over the memory store is all of them."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as end:
        value: _T = end.value
        return value


class Book:
    """One tenant's ledger, its clock, and its ids."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ids = CountingIds()
        self.store = MemoryStore(self.clock)
        self._ledger = BatchLedger(self.store, self.ids)

    def do(self, *commands: Command) -> Sequence[Outcome]:
        """Carry out the commands as one batch."""
        return run(self._ledger.execute(TENANT, commands))

    def apply(self, command: Command) -> Transaction:
        """Carry out one command, which must be applied."""
        (outcome,) = self.do(command)
        if not isinstance(outcome, Applied):
            raise AssertionError(f"not applied: {outcome}")
        return outcome.transaction

    def reject(self, command: Command) -> Rejection:
        """Carry out one command, which must be rejected."""
        (outcome,) = self.do(command)
        if not isinstance(outcome, Rejected):
            raise AssertionError(f"not rejected: {outcome}")
        return outcome.rejection

    def wallet(self, id: UUID) -> Wallet:
        """The wallet, as a reader sees it."""
        found = run(self.store.wallet(TENANT, id))
        if found is None:
            raise AssertionError(f"no wallet {id}")
        return found

    def hold(self, id: UUID) -> Hold:
        """The hold, as a reader sees it."""
        found = run(self.store.hold(TENANT, id))
        if found is None:
            raise AssertionError(f"no hold {id}")
        return found

    def decision(self, key: str) -> Decision:
        """What was decided under a key, or under one that the ledger derived."""
        found = run(self.store.decision(TENANT, key))
        if found is None:
            raise AssertionError(f"nothing decided under {key}")
        return found

    def entries(self, wallet_id: UUID) -> Sequence[EntryRecord]:
        """All entries of a wallet, oldest first."""
        return run(self.store.entries(TENANT, wallet_id, before=None, limit=PAGE_ALL))[::-1]

    def wallets(self) -> Sequence[Wallet]:
        """All wallets, oldest id first."""
        return run(self.store.wallets(TENANT, before=None, limit=PAGE_ALL, currency=None, status=None))[::-1]

    def transactions(self) -> Sequence[Transaction]:
        """All transactions, oldest id first."""
        return run(self.store.transactions(TENANT, before=None, limit=PAGE_ALL, kind=None))[::-1]
