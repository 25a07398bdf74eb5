"""What one client does: an intent or a read after the other, each by the rules of the contract.

One idempotency key for one intent. What to do after an answer is what its member ``retry`` says; without an answer, the
same key. What stays open after some attempts is sent again much later, as are keys that were decided long ago.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from tests.torture.caller import PATIENCE_S, Answer, Caller
from tests.torture.intents import Intent, unguarded
from tests.torture.world import World

ATTEMPTS_MAX: Final = 6
BACKOFF_S_FIRST: Final = 0.05
BACKOFF_S_MAX: Final = 0.8
LATER_S: Final = (3.0, 90.0)
"""How much later an intent that stayed open is sent again, in seconds."""

WEIGHTS: Final[Mapping[str, int]] = {
    "credit": 18,
    "debit": 18,
    "transfer": 14,
    "guarded": 6,
    "place_hold": 8,
    "capture": 7,
    "release": 3,
    "reverse": 3,
    "batch": 3,
    "fence": 3,
    "race_to_floor": 2,
    "duplicate": 4,
    "impatient": 2,
    "repeat": 5,
    "reuse": 1,
    "change": 1,
    "read_wallet": 10,
    "read_entries": 2,
    "read_key": 4,
    "read_hold": 2,
}
"""How often a client does what, relative to one another."""


@attrs.define
class Memory:
    """What the clients of one process remember together."""

    later: deque[tuple[float, Intent]] = attrs.field(factory=deque)
    decided: deque[Intent] = attrs.field(factory=lambda: deque(maxlen=3_000))
    holds: deque[tuple[str, str]] = attrs.field(factory=lambda: deque(maxlen=200))
    """Hold and wallet."""
    posted: deque[str] = attrs.field(factory=lambda: deque(maxlen=200))
    versions: dict[str, int] = attrs.field(factory=dict)


@attrs.define
class Client:
    """One client. ``name`` parts its keys from those of all others, for ever."""

    name: str
    world: World
    caller: Caller
    memory: Memory
    chance: random.Random
    new_key_on_retry: bool = False
    """A flaw, to show that it is noticed: an intent that got no answer is sent again under another key."""
    _keys: int = 0

    async def run(self, pause_s: float, stopped: Callable[[], bool], weights: Mapping[str, int] = WEIGHTS) -> None:
        """Do one thing after the other, with this much time between them on average, until told to stop."""
        names, shares = list(weights), list(weights.values())
        while not stopped():
            action: Callable[[], Awaitable[None]] = getattr(self, self.chance.choices(names, shares)[0])
            await action()
            if self.memory.later and self.memory.later[0][0] < time.monotonic():
                await self.settle(self.memory.later.popleft()[1])
            await asyncio.sleep(self.chance.expovariate(1 / pause_s))

    async def settle(self, intent: Intent, *, fault: str = "") -> Answer:
        """Send an intent until it is decided, or for so many times."""
        for attempt in range(ATTEMPTS_MAX):
            answer = await self.caller.write(intent, self._instance(), fault=fault)
            fault = ""
            if self._note(intent, answer):
                return answer
            if answer.retry == "reread":
                intent = await self._reread(intent)
            elif self.new_key_on_retry and "metadata" in intent:
                intent = {**intent, "idempotency_key": self._key()}
            else:
                pause_s = min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2**attempt)
                await asyncio.sleep(pause_s * (0.5 + self.chance.random()))
        self.memory.later.append((time.monotonic() + self.chance.uniform(*LATER_S), intent))
        return answer

    def new_movement(self) -> Intent:
        """A new intent to move money."""
        return self._transfer() if self.chance.random() < 0.5 else self._post(self.chance.choice(("credit", "debit")))

    async def credit(self) -> None:
        await self.settle(self._post("credit"))

    async def debit(self) -> None:
        await self.settle(self._post("debit"))

    async def transfer(self) -> None:
        await self.settle(self._transfer())

    async def guarded(self) -> None:
        """A write that applies only to the version of the wallet that the client has seen."""
        intent = self._post(self.chance.choice(("credit", "debit")))
        if (version := self.memory.versions.get(intent["wallet_id"])) is not None:
            intent = {**intent, "expected_version": version}
        await self.settle(intent)

    async def place_hold(self) -> None:
        intent = self._intent("hold", wallet_id=self._wallet(), amount=self.chance.randint(1, 60))
        if self.chance.random() < 0.4:
            intent["expires_in"] = self.chance.randint(1, 4)
        if self.chance.random() < 0.4:
            intent["destination"] = self._other(intent["wallet_id"])
        await self.settle(intent)

    async def capture(self) -> None:
        if not self.memory.holds:
            await self.place_hold()
            return
        intent = self._intent("capture", hold_id=self._hold())
        if self.chance.random() < 0.5:
            intent |= {"amount": self.chance.randint(1, 40), "final": self.chance.random() < 0.3}
        await self.settle(intent)

    async def release(self) -> None:
        if not self.memory.holds:
            await self.place_hold()
            return
        await self.settle(self._intent("release", hold_id=self._hold()))

    async def reverse(self) -> None:
        if not self.memory.posted:
            await self.transfer()
            return
        await self.settle(self._intent("reversal", transaction_id=self.chance.choice(self.memory.posted)))

    async def batch(self) -> None:
        """Several intents in one request, now and then one of them twice."""
        kinds = self.chance.choices(("credit", "debit", "transfer"), k=self.chance.randint(3, 25))
        intents = [self._transfer() if kind == "transfer" else self._post(kind) for kind in kinds]
        if self.chance.random() < 0.3:
            intents.append(intents[0])
        answers = await self.caller.batch(intents, self._instance())
        told = zip(intents, answers, strict=True)
        left = {intent["idempotency_key"]: intent for intent, answer in told if not self._note(intent, answer)}
        for intent in left.values():
            await self.settle(intent)

    async def fence(self) -> None:
        """Fence a key: before, while or after it is used."""
        intent: Intent = self._post("credit")
        when = self.chance.random()
        if when < 0.4:
            await asyncio.gather(
                self.caller.write(intent, self._instance()),
                self.caller.fence(intent["idempotency_key"], self._instance()),
            )
        elif when < 0.7:
            await self.caller.fence(intent["idempotency_key"], self._instance())
        elif self.memory.decided:
            intent = self.chance.choice(self.memory.decided)
            await self.caller.fence(intent["idempotency_key"], self._instance())
        await self.settle(intent)

    async def race_to_floor(self) -> None:
        """Several debits at once, of which a wallet near its floor can bear some."""
        wallet = self.chance.choice(self.world.wallets["floor"])
        debits = [
            self._intent("debit", wallet_id=wallet, amount=self.chance.randint(40, 200), metadata={}) for _ in range(4)
        ]
        await asyncio.gather(*(self.settle(debit) for debit in debits))
        await self.settle(self._intent("credit", wallet_id=wallet, amount=self.chance.randint(50, 300)))

    async def duplicate(self) -> None:
        """The same key several times at once, to different instances."""
        intent = self.new_movement()
        copies = self.chance.randint(2, 4)
        answers = await asyncio.gather(*(self.caller.write(intent, self._instance()) for _ in range(copies)))
        noted = [self._note(intent, answer) for answer in answers]
        if not any(noted):
            await self.settle(intent)

    async def impatient(self) -> None:
        """A client that hangs up early, and asks again."""
        intent = self._post(self.chance.choice(("credit", "debit")))
        patience_s = self.chance.uniform(0.001, min(0.1, PATIENCE_S))
        answer = await self.caller.write(intent, self._instance(), patience_s=patience_s)
        if not self._note(intent, answer):
            await self.settle(intent)

    async def repeat(self) -> None:
        """Something that was decided before, perhaps minutes ago, once more."""
        if self.memory.decided:
            intent = self.chance.choice(self.memory.decided)
            self._note(intent, await self.caller.write(intent, self._instance()))

    async def reuse(self) -> None:
        """A key that stands for something else already."""
        if self.memory.decided:
            intent = self.chance.choice(self.memory.decided)
            other = {**self._post("credit"), "idempotency_key": intent["idempotency_key"]}
            await self.caller.write(other, self._instance())

    async def change(self) -> None:
        """Freeze, thaw, or move a limit."""
        floor = -self.chance.randint(0, 500)
        changes: Sequence[Intent] = ({"status": "frozen"}, {"status": "active"}, {"floor": floor}, {"ceiling": None})
        wallet = self.chance.choice(self.world.wallets["moody"])
        for change in self.chance.sample(changes, 2):
            await self.settle({"type": "change", "idempotency_key": self._key(), "wallet_id": wallet, **change})
        await self.settle({"type": "change", "idempotency_key": self._key(), "wallet_id": wallet, "status": "active"})

    async def read_wallet(self) -> None:
        await self._read_version(self._wallet())

    async def read_entries(self) -> None:
        await self.caller.read("entries", self._wallet(), self._instance())

    async def read_key(self) -> None:
        """What became of a key that was decided, or of one that nobody has used yet."""
        used = self.memory.decided and self.chance.random() < 0.8
        key = self.chance.choice(self.memory.decided)["idempotency_key"] if used else self._key()
        await self.caller.read("key", key, self._instance())

    async def read_hold(self) -> None:
        if self.memory.holds:
            await self.caller.read("hold", self.chance.choice(self.memory.holds)[0], self._instance())

    def _note(self, intent: Intent, answer: Answer) -> bool:
        """Remember what an answer tells. Returns whether nothing is left to be done about the intent."""
        if not answer.ok:
            if answer.retry not in ("new_key", "never"):
                return False
        else:
            for entry in answer.members.get("entries", ()):
                self.memory.versions[entry["wallet_id"]] = entry["version"]
            # By what the receipt says: that it is another intent's is for the checker to find.
            kind, hold = answer.members.get("kind"), answer.members.get("hold")
            if kind == "hold" and hold:
                self.memory.holds.append((hold["id"], hold["wallet_id"]))
            elif kind in ("post", "capture"):
                self.memory.posted.append(answer.members["id"])
        self.memory.decided.append(unguarded(intent))
        return True

    async def _reread(self, intent: Intent) -> Intent:
        version = await self._read_version(intent["wallet_id"])
        return unguarded(intent) if version is None else {**intent, "expected_version": version}

    async def _read_version(self, wallet: str) -> int | None:
        answer = await self.caller.read("wallet", wallet, self._instance())
        if not answer.ok:
            return None
        version: int = answer.members["version"]
        self.memory.versions[wallet] = version
        return version

    def _post(self, type: str) -> dict[str, Any]:
        return self._intent(type, wallet_id=self._wallet(), amount=self.chance.randint(1, 100), metadata={})

    def _transfer(self) -> dict[str, Any]:
        """One or two movements between wallets, now and then of different currencies."""
        postings = []
        for _ in range(self.chance.choice((1, 1, 1, 2))):
            source = self._wallet()
            amount = self.chance.randint(1, 100)
            postings.append({"source": source, "destination": self._other(source), "amount": amount})
        return self._intent("post", postings=postings, metadata={})

    def _intent(self, type: str, **members: Any) -> dict[str, Any]:
        """A new intent, with a key of its own; ``order`` is what it is in the client's own books."""
        key = self._key()
        if "metadata" in members:
            members["metadata"] = {"order": key}
        return {"type": type, "idempotency_key": key, **members}

    def _key(self) -> str:
        self._keys += 1
        return f"{self.name}-{self._keys}"

    def _hold(self) -> str:
        """One of the latest holds, which may have been used up."""
        place = min(len(self.memory.holds) - 1, int(self.chance.expovariate(0.2)))
        return self.memory.holds[-1 - place][0]

    def _wallet(self) -> str:
        kinds = ("hot", "warm", "cold", "floor", "ceiling", "moody")
        (kind,) = self.chance.choices(kinds, (25, 35, 30, 5, 3, 2))
        return self.chance.choice(self.world.wallets[kind])

    def _other(self, wallet: str) -> str:
        while (other := self._wallet()) == wallet:
            pass
        return other

    def _instance(self) -> int:
        return self.chance.randrange(len(self.caller.instances))
