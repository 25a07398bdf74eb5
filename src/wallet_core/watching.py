"""What an operator wants to know of the ledger at work, told as it happens.

Whoever watches overrides what it wants to hear of. All of it is told once per batch, or less often, and in the event
loop: an observer neither waits nor raises, and keeps nothing of what it is given.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum

from wallet_core.outcomes import Outcome


class Step(StrEnum):
    """The steps of an attempt at a batch, in their order."""

    STACK = "stack"
    """Waiting until the batch below is decided."""
    LOAD = "load"
    DECIDE = "decide"
    """Deciding, on top of the changes of the batch below if there is one."""
    TURN = "turn"
    """Waiting until the batch below is committed."""
    APPEND = "append"
    COMMIT = "commit"


class Attempt:
    """Watches one attempt at a batch."""

    __slots__ = ()

    def passed(self, step: Step) -> None:
        """The attempt has taken this step. What was not told before has taken no time."""


class Batch:
    """Watches a batch from when it was taken from the queue."""

    __slots__ = ()

    def ended(self, outcomes: Sequence[Outcome]) -> None:
        """The batch came to these outcomes."""

    def failed(self, commands: int, bug: Exception) -> None:
        """A bug ended the batch."""


class Observer:
    """Watches a ledger: the queue of batches, the batches and the cache. This one looks away."""

    origin: Callable[[], object] | None = None
    """Asked within each request for what links a batch to it; None where nobody wants to know."""

    def shed(self, commands: int) -> None:
        """So many commands were turned away: the queue was full, or the service is stopping."""

    def withdrew(self, commands: int) -> None:
        """So many commands were taken out of the queue, because their turn did not come in time."""

    def batch(self, commands: int, waited_s: float, origins: Sequence[object]) -> Batch:
        """A batch begins, of so many commands. The one that came first has waited for it this long, in seconds."""
        return UNWATCHED_BATCH

    def attempt(self, *, stacked: bool, locked: bool) -> Attempt:
        """An attempt at the batch begins: on top of another batch, or with its wallets locked."""
        return UNWATCHED_ATTEMPT

    def race_lost(self, *, below: bool) -> None:
        """The attempt was in vain: to another writer, or to the batch ``below`` it, which came to something else."""

    def connection_lost(self, *, in_doubt: bool) -> None:
        """The database was away, or went away: ``in_doubt`` after COMMIT was sent."""

    def doubt_settled(self) -> None:
        """What became of a COMMIT that had no answer was found out before anyone was told that it is unknown."""

    def found_in_cache(self, replays: int) -> None:
        """So many commands of the batch that ends now were answered from the cache."""


UNWATCHED_ATTEMPT = Attempt()
UNWATCHED_BATCH = Batch()
UNWATCHED = Observer()
