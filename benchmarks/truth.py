"""Whether what clients were told is what the ledger has. A fast service that loses or doubles a write fails its run."""

from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from benchmarks.ledger import Ledger, State


class Untrue(Exception):
    """The ledger does not have what clients were told."""


@attrs.frozen
class Told:
    """What the load generator was told, in commands.

    ``applied``: answered with success. ``replays``: how many of those sent were sent before, and so write nothing.
    ``open_max``: how many may have taken effect without an answer, since they were under way when the load ended.
    ``credits_only``: each was a credit of 1.
    """

    applied: int
    replays: int = 0
    open_max: int = 0
    credits_only: bool = True


def contradiction(told: Told, grown: State) -> str | None:
    """What of it cannot be true together, given by how much the ledger has grown; None if all can."""
    least, most = told.applied - told.replays, told.applied + told.open_max
    if not least <= grown.transactions <= most:
        return f"{told.applied} were told, {told.replays} of them replays, and {grown.transactions} are there"
    if told.credits_only and not grown.transactions == grown.versions == grown.balance:
        return (
            f"{grown.transactions} credits of 1 are there, but versions grew by {grown.versions} and "
            f"balances by {grown.balance}"
        )
    if grown.versions < grown.transactions:
        return f"{grown.transactions} transactions are there, but versions grew by {grown.versions}"
    return None


@attrs.define
class Witness:
    """Is told what clients were told."""

    told: Told | None = None

    def tell(self, told: Told) -> None:
        """Say it."""
        self.told = told


@contextmanager
def witnessed(ledger: Ledger) -> Iterator[Witness]:
    """Compare what is told inside with by how much the ledger has grown. Raises ``Untrue``."""
    last = ledger.last_id()
    before = ledger.state(last)
    witness = Witness()
    yield witness
    ledger.settle()
    if witness.told is None:
        raise RuntimeError("nobody said what was told")
    wrong = contradiction(witness.told, ledger.state(last).minus(before))
    if wrong:
        raise Untrue(wrong)
