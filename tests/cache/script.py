"""What clients do in every state of the cache: two acts, between which something may happen to it.

Ids and time are counted, not found, so that two ledgers that do the same give the same answers, to the last hash.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import attrs

from tests.support.builders import NOWHERE, A, B
from tests.support.histories import History, prove, read_history
from tests.support.ids import CountingIds
from tests.support.stores import ClockedStore, World
from tests.support.time import NOON
from wallet_core import (
    Applied,
    CaptureHold,
    ChangeWallet,
    Command,
    FenceKey,
    GroupCommit,
    NewCeiling,
    OpenWallet,
    Outcome,
    PlaceHold,
    Post,
    Posting,
    ReleaseHold,
    Reverse,
    credit,
    debit,
    transfer,
)

CROWD: Final = 20
METADATA: Final = {"order": "ä-17", "\U0001f600": '{"amount": 7}'}


@attrs.frozen
class Told:
    """All that the clients were answered, in order, and what is in the ledger after it."""

    answers: Sequence[Outcome]
    history: History


@attrs.define
class Clients:
    """The clients of one tenant."""

    world: World
    ids: CountingIds = attrs.field(factory=CountingIds)
    answers: list[Outcome] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.world = attrs.evolve(
            self.world, ids=self.ids, store=ClockedStore(self.world.store, lambda now: min(now, NOON))
        )

    async def first_act(self) -> None:
        """First writes of every kind; some are refused, and one key is fenced."""
        await self.say(*self._openings())
        await self.say(*self._movements())
        await self.say(self._hold())
        await self.say(*self._about_earlier_ones())
        await self.say(FenceKey("fenced"))

    async def second_act(self) -> None:
        """The same again, as a client does whose answers got lost, with new writes between; and what must not pass."""
        await self.say(*self._openings(), credit("new-1", A, 3), *self._movements())
        for command in (self._hold(), *self._about_earlier_ones()):
            await self.say(command)
        # Another intent under a known key; a key that is fenced, a fence that comes too late; what is not remembered.
        await self.say(credit("credit", A, 6), transfer("rejected", A, B, 1), credit("new-2", B, 4))
        await self.say(credit("fenced", A, 1), FenceKey("credit"), FenceKey("rejected"), FenceKey("fenced"))
        await self.say(credit("nowhere", NOWHERE, 1), credit("guarded", A, 1, expected_version=1))
        # A guard is no part of the intent; one key twice in a batch, known, new, and with another intent.
        await self.say(credit("credit", A, 5, expected_version=99), credit("credit", A, 5), credit("credit", A, 7))
        await self.say(credit("new-3", A, 1), credit("new-3", A, 1), credit("new-3", A, 2))
        await self.say_at_once(credit("new-4", B, 2))
        await self.say_at_once(credit("credit", A, 5))

    async def say(self, *commands: Command) -> Sequence[Outcome]:
        """Send one batch."""
        answers = await self.world.do(*commands)
        self.answers += answers
        return answers

    async def say_at_once(self, command: Command) -> None:
        """Many send the same at the same moment. Who is answered first does not matter."""
        group = GroupCommit(self.world.ledger())
        asked = (group.execute(self.world.tenant, [command]) for _ in range(CROWD))
        self.answers += sorted((answer for (answer,) in await asyncio.gather(*asked)), key=repr)

    async def told(self) -> Told:
        """What it came to, proved."""
        history = await read_history(self.world.reader, self.world.tenant)
        prove(history)
        return Told(self.answers, history)

    def _openings(self) -> list[Command]:
        return [
            OpenWallet("open-a", "EUR", id=A, metadata=METADATA),
            OpenWallet("open-b", "EUR", id=B, floor=-50, ceiling=1000),
            OpenWallet("open-c", "EUR"),
        ]

    def _movements(self) -> list[Command]:
        return [
            credit("credit", A, 5),
            # The same intent under another key: only the key tells their receipts apart.
            credit("credit-again", A, 5),
            credit("much", A, 100, metadata=METADATA),
            debit("rejected", A, 10_000),
            Post("post", [Posting(A, B, 1), Posting(None, A, 3), Posting(B, None, 1)]),
            transfer("transfer", A, B, 20),
            ChangeWallet("change", B, ceiling=NewCeiling(500), metadata=METADATA),
            credit("too-much", B, 9_999),
        ]

    def _hold(self) -> Command:
        return PlaceHold("hold", A, 9, destination=B)

    def _about_earlier_ones(self) -> list[Command]:
        applied = {answer.transaction.key: answer.transaction for answer in self.answers if isinstance(answer, Applied)}
        held = applied["hold"].id
        return [
            CaptureHold("capture", held, 4, final=False),
            ReleaseHold("release", held),
            CaptureHold("too-late", held),
            Reverse("reverse", applied["transfer"].id),
        ]
