"""Ids of transactions, who is under way, and how much is logged: what the order of events depends on."""

from typing import Final

import attrs

SNAPSHOT: Final = "the snapshot in the position of an event"

Place = dict[str, int]
"""The columns of a transaction that its place depends on."""


@attrs.define
class Order:
    """The server's ids of transactions. The highest that has ended is ``xmax`` − 1 of a snapshot."""

    assigned: int = 0
    ended: int = 0
    running: set[int] = attrs.field(factory=set)
    logged: int = 0
    behind: list[str] = attrs.field(factory=list)
    """What was committed where readers had been before."""

    def begin(self) -> int:
        """The id of a transaction that begins to write."""
        self.assigned += 1
        self.running.add(self.assigned)
        return self.assigned

    def end(self, xid: int) -> None:
        """The transaction has ended, one way or the other."""
        self.logged += 1
        self.running.remove(xid)
        self.ended = max(self.ended, xid)

    def place(self, xid: int, lacking: frozenset[str]) -> Place:
        """The place of what a statement of this transaction inserts, which begins now."""
        position = xid if SNAPSHOT in lacking else max(xid, self.ended)
        return {"position": position, "lsn": self.logged}

    @property
    def horizon(self) -> int:
        """Readers see what is below: all that are under way, or are yet to begin, are not."""
        return min(self.running, default=self.ended + 1)
