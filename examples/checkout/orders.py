"""The shop's own database, a file of SQLite: its orders, and the keys under which the wallet service is asked.

A state whose name ends in ``ing`` is an intent: it is written, with its key, before the wallet service hears of it.
"""

import sqlite3
from enum import StrEnum
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import attrs

LOCK_S_MAX: Final = 30.0

TABLE: Final = """
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY, customer TEXT NOT NULL, amount INTEGER NOT NULL, state TEXT NOT NULL,
    hold_key TEXT NOT NULL UNIQUE, end_key TEXT UNIQUE, hold TEXT UNIQUE
) STRICT
"""


class State(StrEnum):
    """Where an order is."""

    PLACING = "placing"
    """The customer's money is to be held, under ``hold_key``."""
    HELD = "held"
    SHIPPING = "shipping"
    """The held money is to become the shop's, under ``end_key``."""
    SHIPPED = "shipped"
    ABANDONING = "abandoning"
    """Nobody knows whether the money is held, and it is no longer wanted: ``hold_key`` is to be fenced."""
    CANCELLING = "cancelling"
    """The held money is to be given back, under ``end_key``."""
    CANCELLED = "cancelled"
    REFUSED = "refused"
    """The wallet service would not hold the money."""


ENDING: Final = (State.SHIPPING, State.CANCELLING)
OPEN: Final = (State.PLACING, State.ABANDONING, *ENDING)


@attrs.frozen
class Order:
    """An order: ``amount`` in minor units, from the wallet ``customer``; ``hold`` is its hold, once there is one."""

    id: str
    customer: UUID = attrs.field(converter=UUID)
    amount: int
    state: State = attrs.field(converter=State)
    hold_key: str
    end_key: str | None
    hold: UUID | None = attrs.field(converter=attrs.converters.optional(UUID))


class Orders:
    """The orders. Each method is one transaction, on disk when it returns; a millisecond for which the shop waits."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, timeout=LOCK_S_MAX, isolation_level=None)
        self._database.execute(TABLE)

    def get(self, id: str) -> Order | None:
        """The order of this id, if there is one."""
        row = self._database.execute("SELECT * FROM orders WHERE id = ?", [id]).fetchone()
        return None if row is None else Order(*row)

    def open_ones(self, limit: int) -> list[str]:
        """The ids of orders that are to be taken on, after a crash for instance."""
        marks = ", ".join("?" * len(OPEN))
        rows = self._database.execute(f"SELECT id FROM orders WHERE state IN ({marks}) LIMIT ?", [*OPEN, limit])
        return [id for (id,) in rows]

    def place(self, id: str, customer: UUID, amount: int) -> None:
        """Write down that this order is wanted, with a new key. Changes nothing if there is one of this id."""
        columns = "id, customer, amount, state, hold_key"
        values = [id, str(customer), amount, State.PLACING, str(uuid4())]
        self._database.execute(f"INSERT INTO orders ({columns}) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", values)

    def move(self, id: str, before: State, after: State, hold: UUID | None = None) -> None:
        """Write down what came of it, or what is wanted now, with a new key. ``hold``: if it is known since now.

        Whoever comes second, with the same or with something else, finds another state, and changes nothing.
        """
        key = str(uuid4()) if after in ENDING else None
        change = "state = ?, end_key = coalesce(?, end_key), hold = coalesce(?, hold)"
        values = [after, key, None if hold is None else str(hold), id, before]
        self._database.execute(f"UPDATE orders SET {change} WHERE id = ? AND state = ?", values)
