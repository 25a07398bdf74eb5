"""What the clients of a schedule share: the wallets, the database, and what they have told one another."""

from collections.abc import Sequence
from random import Random
from typing import Final
from uuid import UUID

import attrs

from tests.concurrency.history import Call, Look
from tests.simulation.server import Server
from tests.support.ids import id_number
from wallet_core import Command, Kind, OpenWallet, PlaceHold, Transaction, credit

A, B, C, D = (id_number(0xA), id_number(0xB), id_number(0xC), id_number(0xD))
HOT: Final = (A, A, A, B, B, C)
"""Wallets that exist from the beginning, the hotter the more often. D is left to be opened."""

FOUNDATION: Final[Sequence[Command]] = (
    OpenWallet("open-A", "EUR", id=A, floor=-20),
    OpenWallet("open-B", "EUR", id=B, ceiling=40),
    OpenWallet("open-C", "EUR", id=C),
    credit("fund-B", B, 20),
    PlaceHold("hold-A", A, 6),
    PlaceHold("hold-B", B, 5),
)


@attrs.define
class World:
    """What all clients of one tenant share: the database, and what they have told one another."""

    server: Server
    tenant: UUID
    random: Random
    calls: list[Call] = attrs.field(factory=list)
    looks: list[Look] = attrs.field(factory=list)
    attempts: list[list[str]] = attrs.field(factory=list)
    """The keys under which each thing that a client wanted once was sent: one key each, if clients do as they ought."""
    sent: list[Command] = attrs.field(factory=list)
    holds: list[UUID] = attrs.field(factory=list)
    moved: list[UUID] = attrs.field(factory=list)
    versions: dict[UUID, int] = attrs.field(factory=dict)
    in_doubt: set[str] = attrs.field(factory=set)
    keys: int = 0

    def next_key(self) -> str:
        self.keys += 1
        return f"key-{self.keys}"

    def now_ns(self) -> int:
        return round(self.server.loop.time() * 1e9)

    def learn(self, transaction: Transaction) -> None:
        """What was applied can be captured, reversed, or expected."""
        for entry in transaction.entries:
            self.versions[entry.wallet_id] = entry.version
        if transaction.kind is Kind.HOLD:
            self.holds.append(transaction.id)
        elif transaction.moves:
            self.moved.append(transaction.id)
