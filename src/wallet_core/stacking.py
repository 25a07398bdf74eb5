"""Deciding a batch on top of the one before it, while that one is still being written.

A batch spends half of its time in the database and half in Python, and the next one needs the wallets as this one
leaves them. Those are known as soon as this one is decided. So the next one loads what it names, takes this one's
changes as if they were there, and is decided; but it writes nothing, and tells nobody anything, before this one is
committed. If that fails, it starts anew. Every guard in the database stays what it was: the version that a wallet is
updated from is the one that the batch before has written.
"""

import asyncio
from collections.abc import Sequence

import attrs

from wallet_core.commands import Command, Post
from wallet_core.ports import Changes, Snapshot, StaleSnapshot


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

    def decide(self, changes: Changes) -> None:
        """Tell what the batch is about to write. Of several attempts, only the first can be put something on top of."""
        if not self._is_decided.done():
            self._changes = changes
            self._is_decided.set_result(None)

    def land(self) -> None:
        """Tell that the batch has ended."""
        if not self._is_decided.done():
            self._is_decided.set_result(None)
        self._has_landed.set_result(None)

    async def below(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot as it would be after this batch. Raises ``StaleSnapshot``, once it has ended, if that cannot be
        told."""
        await self._is_decided
        changes = self._changes
        # Which holds have expired is for the database to tell.
        if changes is None or changes.placed_holds or changes.updated_holds or snapshot.holds:
            await self._has_landed
            raise StaleSnapshot
        return stacked(snapshot, changes)

    async def ended(self) -> None:
        """Return when the batch has ended, however it did."""
        await self._has_landed

    async def landed(self) -> None:
        """Return when the batch has ended. Raises ``StaleSnapshot`` if it came to something else than was decided."""
        await self._has_landed
        if not self.kept:
            raise StaleSnapshot


def can_be_stacked(commands: Sequence[Command]) -> bool:
    """Whether all that the commands need to know is in the wallets that they name, and under their keys."""
    return all(isinstance(command, Post) for command in commands)


def stacked(snapshot: Snapshot, changes: Changes) -> Snapshot:
    """What a snapshot would hold if it were taken after these changes.

    It may have been: what another writer has put on top of them since is left as it is.
    """
    wallets = dict(snapshot.wallets)
    for wallet in (*changes.opened_wallets, *(updated for _, updated in changes.updated_wallets)):
        loaded = wallets.get(wallet.id)
        if loaded is None or loaded.version < wallet.version:
            wallets[wallet.id] = wallet
    decisions = {**snapshot.decisions, **{decision.key: decision for decision in changes.decisions}}
    return attrs.evolve(snapshot, wallets=wallets, decisions=decisions)
