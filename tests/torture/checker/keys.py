"""What the first pass keeps of keys, reads and calls."""

from array import array
from collections.abc import Sequence
from typing import Final, Literal

import attrs

from tests.torture.checker.answers import Entry, Hold

NEVER: Final = 1 << 62
"""Later than any time of the clock."""


@attrs.define(eq=False)
class KeyHistory:
    """What is known of one key. Places are those of lines in the journals."""

    invoked_ns: int = NEVER
    """When it was first sent as an intent."""
    told_ns: int = NEVER
    """When somebody first knew what had been decided."""
    told_replayed: bool = False
    """Whether that somebody was told that it had been decided before."""
    outcome: Literal["", "applied", "rejected", "fenced"] = ""
    digest: bytes = b""
    digest_opened: bytes = b""
    receipt: int = -1
    """Place of an answer that carries the receipt."""
    intents: tuple[int, ...] = ()
    """Places of the calls that asked for something new under the key."""
    intent_hashes: tuple[int, ...] = ()
    first_hand: int = 0
    in_doubt: int = 0
    """How many calls may have come about without anybody being told."""
    fences: int = 0
    told_fenced: bool = False
    told_reused: tuple[int, ...] = ()
    rows: int = 0
    """How many transactions have it."""


@attrs.frozen
class Look:
    """A read of a wallet; ``entries`` are given if it was its history that was read."""

    invoked_ns: int
    completed_ns: int
    version: int
    balance: int
    held: int
    entries: Sequence[Entry] = ()


@attrs.frozen
class HoldLook:
    """A read of a hold."""

    invoked_ns: int
    completed_ns: int
    hold: Hold


@attrs.define
class Timeline:
    """Every call that ended: when, how long it took, what came of it, and at which instance. Four columns."""

    at_ns: "array[int]" = attrs.field(factory=lambda: array("q"))
    took_us: "array[int]" = attrs.field(factory=lambda: array("q"))
    effect: list[str] = attrs.field(factory=list)
    instance: "array[int]" = attrs.field(factory=lambda: array("b"))

    def add(self, at_ns: int, took_ns: int, effect: str, instance: int) -> None:
        self.at_ns.append(at_ns)
        self.took_us.append(took_ns // 1000)
        self.effect.append(effect)
        self.instance.append(instance)
