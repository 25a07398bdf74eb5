"""Replays from a cache: a ledger in front of another one, which it asks only for what the cache does not know."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import attrs

from wallet_core.commands import Command, FenceKey
from wallet_core.model import Rejection, Transaction
from wallet_core.outcomes import Applied, Outcome, Rejected, Replayed
from wallet_core.ports import History, Ledger, ReplayCache
from wallet_core.watching import UNWATCHED, Observer


@attrs.frozen
class CachedLedger:
    """A ``Ledger`` that answers what the cache knows to be decided, and leaves everything else to another one.

    The cache may say one thing only: that this very intent was decided under its key, and how. A decision never
    changes, so that stays true. Everything else is for the ledger to say: a key with another intent, a fence, and
    whatever the cache does not know or may have got wrong. A replay has no effect on the commands after it, so those
    that are left are decided as if it stood among them.
    """

    ledger: Ledger
    cache: ReplayCache
    observer: Observer = attrs.field(default=UNWATCHED, kw_only=True)

    async def execute(self, tenant: UUID, commands: Sequence[Command]) -> Sequence[Outcome]:
        """Carry out the commands, asking the cache once and the ledger at most once. See ``ports.Ledger``."""
        history = self.cache.history()
        if history is None:
            return await self.ledger.execute(tenant, commands)
        known = await self._known(tenant, commands, history)
        replays = [_replay(command, known) for command in commands]
        rest = [command for command, replay in zip(commands, replays, strict=True) if replay is None]
        if not rest:
            self.observer.found_in_cache(len(commands))
            return [replay for replay in replays if replay is not None]
        outcomes = await self.ledger.execute(tenant, rest)
        self.observer.found_in_cache(len(commands) - len(rest))
        self.cache.remember(tenant, _committed(outcomes), history)
        decided = iter(outcomes)
        return [next(decided) if replay is None else replay for replay in replays]

    async def _known(
        self, tenant: UUID, commands: Sequence[Command], history: History
    ) -> Mapping[str, Transaction | Rejection]:
        keys = list(dict.fromkeys(command.key for command in commands if not isinstance(command, FenceKey)))
        return await self.cache.find(tenant, keys, history) if keys else {}


def _replay(command: Command, known: Mapping[str, Transaction | Rejection]) -> Replayed | None:
    if isinstance(command, FenceKey):
        return None
    decision = known.get(command.key)
    return Replayed(decision) if decision is not None and decision.intent == command.intent() else None


def _committed(outcomes: Sequence[Outcome]) -> list[Transaction | Rejection]:
    """What the outcomes say is in the database, each decision once."""
    decisions: dict[str, Transaction | Rejection] = {}
    for outcome in outcomes:
        match outcome:
            case Applied(decision) | Rejected(decision) | Replayed(decision):
                decisions[decision.key] = decision
            case _:
                pass
    return list(decisions.values())
