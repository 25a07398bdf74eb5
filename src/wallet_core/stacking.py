"""Deciding a batch on top of the one before it, while that one is still being written.

A batch spends half of its time in the database and half in Python, and the next one needs the wallets as this one
leaves them. Those are known as soon as this one is decided. So the next one loads what it names, takes this one's
changes as if they were there, and is decided; but it commits nothing, and tells nobody anything, before this one is
committed. If that fails, it starts anew. Every guard in the database stays what it was: the version that a wallet is
updated from is the one that the batch before has written. That version has to be there to be seen, so what touches a
wallet of this one is written after it, too; only what touches none is written beside it.
"""

import asyncio
from uuid import UUID

import attrs

from wallet_core.model import Transaction
from wallet_core.ports import DUE_HOLDS_MAX, Changes, Names, Snapshot, StaleSnapshot


def _future() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


@attrs.define(eq=False)
class Flight:
    """A batch under way, as the next one sees it."""

    kept: bool = False
    """Whether what was decided first is what was committed. Final once it has landed."""

    _changes: Changes | None = None
    _is_decided: "asyncio.Future[None]" = attrs.field(factory=_future, init=False)
    _has_landed: "asyncio.Future[None]" = attrs.field(factory=_future, init=False)
    # Either has ended, or has failed and goes on with another attempt.
    _is_settled: "asyncio.Future[None]" = attrs.field(factory=_future, init=False)

    def decide(self, changes: Changes) -> None:
        """Tell what the batch is about to write. Of several attempts, only the first can be put something on top of."""
        if not self._is_decided.done():
            self._changes = changes
            self._is_decided.set_result(None)

    def land(self) -> None:
        """Tell that the batch has ended."""
        _tell(self._is_decided)
        _tell(self._is_settled)
        self._has_landed.set_result(None)

    async def decided(self) -> None:
        """Return when it is known what the batch is about to do. What goes on top is loaded after that: what was loaded
        before could be older than what this one has loaded, and holds and wallets would be of different moments."""
        await self._is_decided

    async def below(self, snapshot: Snapshot, names: Names) -> Snapshot:
        """The snapshot as it would be after this batch, which is ``decided``. Raises ``StaleSnapshot``, once it has
        ended, if that cannot be told from what was loaded."""
        if self._changes is None or not _can_be_stacked(snapshot, names, self._changes):
            await self._has_landed
            raise StaleSnapshot
        return stacked(snapshot, names, self._changes)

    async def ended(self) -> None:
        """Return when the batch has ended, whatever it came to."""
        await self._has_landed

    def is_apart_from(self, changes: Changes) -> bool:
        """Whether these changes touch no wallet that the batch is about to change: they can be written beside it."""
        if self._changes is None:
            return False
        ours, theirs = _changed(self._changes), _changed(changes)
        # A hold refers to the wallet that it is for, which must not be one that is only being opened.
        theirs.update(hold.destination for hold in changes.placed_holds if hold.destination is not None)
        return ours.isdisjoint(theirs)

    def fail(self) -> None:
        """Tell that what was decided first is not what will be committed, as soon as that is known: whoever has written
        something on top of it lets go of it."""
        _tell(self._is_settled)

    def is_settled(self) -> bool:
        """Whether nothing has to be waited for to know what became of the batch, as it was decided first."""
        return self._is_settled.done()

    async def landed(self, within_s: float | None = None) -> None:
        """Return when the batch has ended. Raises ``StaleSnapshot`` as soon as it is known that it comes to something
        else than was decided, or when it takes longer than this."""
        if not self._is_settled.done():
            await asyncio.wait([self._is_settled], timeout=within_s)
        if not self.kept:
            raise StaleSnapshot


def _tell(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _changed(changes: Changes) -> set[UUID]:
    return {*(wallet.id for wallet in changes.opened_wallets), *(wallet.id for _, wallet in changes.updated_wallets)}


def stacked(snapshot: Snapshot, names: Names, changes: Changes) -> Snapshot:
    """What a snapshot of what is named would hold if it were taken after these changes.

    It may have been, and another writer may have put something on top since: a wallet that has the version from these
    changes, or a later one, is left as it is, and so are its holds, which were loaded together with it.
    """
    wallets = dict(snapshot.wallets)
    behind: set[UUID] = set()
    named = {*names.wallets}
    for wallet in (*changes.opened_wallets, *(updated for _, updated in changes.updated_wallets)):
        loaded = wallets.get(wallet.id)
        if wallet.id in named if loaded is None else loaded.version < wallet.version:
            wallets[wallet.id] = wallet
            behind.add(wallet.id)
    holds = dict(snapshot.holds)
    for hold in changes.updated_holds:
        if hold.id in holds and hold.wallet_id in behind:
            holds[hold.id] = hold
    reversed_ids = {*snapshot.reversed}
    decisions = dict(snapshot.decisions)
    for decision in changes.decisions:
        decisions[decision.key] = decision
        if isinstance(decision, Transaction) and decision.reverses is not None:
            reversed_ids.add(decision.reverses)
    return attrs.evolve(snapshot, wallets=wallets, holds=holds, reversed=reversed_ids, decisions=decisions)


def _can_be_stacked(snapshot: Snapshot, names: Names, changes: Changes) -> bool:
    """Whether nothing is missing in the snapshot that the batch below makes. Other wallets may belong to its holds and
    transactions, and were not loaded; nor was a hold that has expired since it was placed."""
    made = {decision.id for decision in changes.decisions}
    if any(id in made for id in (*names.holds, *names.transactions)):
        return False
    if any(hold.is_due(snapshot.now) for hold in changes.placed_holds):
        return False
    # A crowd of lapsed holds is written down before anything is decided.
    return len(snapshot.holds) <= DUE_HOLDS_MAX
