"""What the replay cache needs of the store it keeps receipts in: a few raw calls, about which nothing is certain."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class StoreAway(Exception):
    """The store cannot be reached, or the connection broke. What it did is not known."""


class StoreRefused(Exception):
    """The store answered that it will not do this: it is full, read-only, not ours to use, or busy starting."""


class KeyValues(Protocol):
    """Values under keys, for a while. Calls raise ``StoreAway`` or ``StoreRefused``, and nothing else.

    A call may take for ever. The caller limits its time by cancelling it, which leaves the next call undisturbed: an
    answer that comes late is never taken for that to another question.
    """

    async def get_many(self, keys: Sequence[bytes]) -> Sequence[object]:
        """What is said to be under each key, in order: ``bytes``, None where there is nothing, or whatever else the
        store came up with, too few or too many. The caller checks."""
        ...

    async def put_many(self, values: Mapping[bytes, bytes], ttl_s: int) -> None:
        """Keep each of these for ``ttl_s`` seconds, or for shorter. Raises if any was refused; others may be kept."""
        ...

    async def ping(self) -> None:
        """Return if the store answers what ``get_many`` asks."""
        ...

    async def close(self) -> None:
        """Let go of all connections. Does not raise."""
        ...
