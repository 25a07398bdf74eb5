"""Two units of work, statement by statement, on the model and on PostgreSQL: the same waits, errors and rows.

A schedule is two batches over the same few wallets, keys, holds and transactions, and the order in which their
statements are let through. After each it is noted how far both sides are: at which statement, waiting for a lock, or
how they ended. The model is right if it makes the same notes as PostgreSQL.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Any, Final
from uuid import UUID

import attrs
from sqlalchemy import ClauseElement

from adapters.postgres.session import Columns, Session
from adapters.postgres.unit_of_work import PostgresUnit
from adapters.postgres.writes import Write, wallet_writes
from tests.simulation.faults import BEGIN, COMMIT, ROLLBACK
from tests.simulation.queries import READS, WRITES
from tests.support.builders import NOWHERE
from tests.support.ids import CountingIds, id_number
from tests.support.stores import ClockedStore
from tests.support.time import NOON
from wallet_core import (
    Applied,
    BatchLedger,
    CaptureHold,
    Command,
    FenceKey,
    OpenWallet,
    PlaceHold,
    ReleaseHold,
    Reverse,
    credit,
    debit,
    decide_batch,
    transfer,
)
from wallet_core.ledger import names_of
from wallet_core.ports import Changes, CommitUnknown, StaleSnapshot, Store, Unavailable

A, B, NEW = id_number(0xA), id_number(0xB), id_number(0xD)
LOOK_AGAIN_S: Final = 0.002
SIDES: Final = (0, 1)
WAITS: Final = "waits"


@attrs.frozen
class Targets:
    """What there is to be captured, released, and reversed."""

    hold: UUID
    due: UUID
    moved: Sequence[UUID]


@attrs.frozen
class Schedule:
    """Two batches, whether each is kept in the end or left, and whose turn it is."""

    batches: tuple[Sequence[Command], Sequence[Command]]
    kept: tuple[bool, bool]
    locks: tuple[bool, bool]
    """Which of them locks its wallets first."""
    backwards: bool
    """The second writes transactions before wallets, against the order that prevents deadlocks."""
    turns: Sequence[int]


def drawn(seed: int, targets: Targets) -> Schedule:
    """The schedule of this seed."""
    random = Random(seed)
    backwards = random.random() < 0.3
    # They have to share a key and a wallet for the order to matter.
    keys = 2 if backwards else 6
    batches = ([_command(random, targets, keys) for _ in range(random.randint(1, 3))] for _ in SIDES)
    return Schedule(
        (next(batches), next(batches)),
        (random.random() < 0.8, random.random() < 0.8),
        (random.random() < 0.3, random.random() < 0.3),
        backwards,
        [random.choice(SIDES) for _ in range(200)],
    )


def _command(random: Random, targets: Targets, keys: int) -> Command:
    key, amount, wallet_id = f"key-{random.randint(1, keys)}", random.randint(1, 9), random.choice((A, A, B))
    makers: Sequence[Callable[[], Command]] = (
        lambda: credit(key, wallet_id, amount),
        lambda: debit(key, wallet_id, amount),
        lambda: debit(key, wallet_id, 1_000),
        lambda: transfer(key, A, B, amount),
        lambda: transfer(key, B, A, amount),
        lambda: credit(key, wallet_id, amount, expected_version=random.choice((3, 4))),
        lambda: PlaceHold(key, wallet_id, amount),
        lambda: CaptureHold(key, targets.hold, random.choice((None, 1)), final=random.random() < 0.5),
        lambda: ReleaseHold(key, targets.hold),
        lambda: CaptureHold(key, targets.due),
        lambda: Reverse(key, random.choice(targets.moved)),
        lambda: FenceKey(key),
        lambda: OpenWallet(key, "EUR", id=NEW),
        lambda: credit(key, NOWHERE, amount),
    )
    return random.choice(makers)()


async def found(store: Store, tenant: UUID) -> Targets:
    """Write what schedules begin with, an hour before they do."""
    commands: Sequence[Command] = [
        OpenWallet("open-A", "EUR", id=A),
        OpenWallet("open-B", "EUR", id=B),
        credit("fund-A", A, 50),
        credit("fund-B", B, 50),
        credit("more-A", A, 3),
        credit("more-B", B, 4),
        PlaceHold("hold", A, 10, destination=B),
        PlaceHold("due", B, 5, expires_in_s=1),
    ]
    early = ClockedStore(store, lambda _: NOON - timedelta(hours=1))
    outcomes = await BatchLedger(early, CountingIds(0x1000)).execute(tenant, commands)
    ids = [outcome.transaction.id for outcome in outcomes if isinstance(outcome, Applied)]
    return Targets(ids[6], ids[7], ids[4:6])


class Side:
    """One unit of work, which stops before each statement until it is let through."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.session: Session | None = None
        self.state = ""
        self.changed = asyncio.Event()
        self.let_through_at = 0.0
        self._permit = asyncio.Event()

    async def run(self, store: Store, tenant: UUID, schedule: Schedule) -> None:
        commands, kept = schedule.batches[self.number], schedule.kept[self.number]
        lock = schedule.locks[self.number]
        try:
            await self.stop_at(BEGIN)
            async with store.begin(tenant) as unit:
                if not isinstance(unit, PostgresUnit):
                    raise TypeError("not the adapter's unit of work")
                self.session = unit._session
                ordinary = not (schedule.backwards and self.number)
                unit = (PostgresUnit if ordinary else BackwardsUnit)(_Gated(self.session, self), tenant)
                try:
                    snapshot = attrs.evolve(await unit.load(names_of(commands), lock=lock), now=NOON)
                    ids = CountingIds(0x2000 * (1 + self.number))(NOON)
                    changes = decide_batch(snapshot, commands, ids).changes
                    if changes:
                        await unit.append(changes)
                    if changes and kept:
                        await unit.commit()
                finally:
                    # Whatever is not committed keeps its locks until this.
                    await self.stop_at(ROLLBACK)
            self._settle("ended")
        except (StaleSnapshot, Unavailable, CommitUnknown) as error:
            self._settle(f"ended: {type(error).__name__}")

    async def stop_at(self, step: str) -> None:
        self._permit.clear()
        self._settle(f"at {step}")
        await self._permit.wait()

    def let_through(self) -> None:
        self.changed.clear()
        self.let_through_at = asyncio.get_running_loop().time()
        self.state = ""
        self._permit.set()

    def _settle(self, state: str) -> None:
        self.state = state
        self.changed.set()

    @property
    def has_ended(self) -> bool:
        return self.state.startswith("ended")


class _Gated(Session):
    def __init__(self, session: Session, side: Side) -> None:
        self._session = session
        self._side = side

    async def fetch(
        self, statement: ClauseElement, parameters: Mapping[str, Any], limit_s: float = math.inf
    ) -> Sequence[Columns]:
        await self._side.stop_at(READS[statement][0])
        return await self._session.fetch(statement, parameters)

    def encoded(self, statement: ClauseElement, parameters: Mapping[str, Any]) -> Any:
        return self._session.encoded(statement, parameters)

    async def write_all(self, writes: Iterable[tuple[ClauseElement, Any]]) -> list[int]:
        # One by one, so that the other side can come in between, as it may on the server.
        rows: list[int] = []
        for statement, encoded in writes:
            await self._side.stop_at(WRITES[statement][0])
            rows += await self._session.write_all([(statement, encoded)])
        return rows

    async def begin(self) -> None:
        await self._session.begin()

    async def write(self, statement: ClauseElement, parameters: Mapping[str, Any]) -> int:
        await self._side.stop_at(WRITES[statement][0])
        return await self._session.write(statement, parameters)

    async def commit(self) -> None:
        await self._side.stop_at(COMMIT)
        await self._session.commit()


class BackwardsUnit(PostgresUnit):
    """Writes transactions before wallets."""

    def _writes(self, changes: Changes) -> Iterator[Write]:
        wallets = list(wallet_writes(changes))
        transactions, *others = list(super()._writes(changes))[len(wallets) :]
        yield from (transactions, *wallets, *others)


@attrs.define
class Notes:
    """How far both sides were after each turn; and for each when, in seconds, it was let through to where it waited
    last, and when it was seen to wait there: somewhere in between it began to."""

    states: list[tuple[str, str]] = attrs.field(factory=list)
    waited_at: dict[int, tuple[float, float]] = attrs.field(factory=dict)

    @property
    def apart_s_max(self) -> float:
        """How much later than the one the other may have begun to wait, at most."""
        waits = self.waited_at.values()
        earliest = min((let_through for let_through, _ in waits), default=0.0)
        return max((seen for _, seen in waits), default=0.0) - earliest

    @property
    def deadlocked(self) -> bool:
        return (WAITS, WAITS) in self.states


async def play(
    schedule: Schedule, store: Store, tenant: UUID, is_blocked: Callable[[Session], Awaitable[bool]]
) -> Notes:
    """Carry the schedule out. ``is_blocked`` tells whether a session waits for a lock."""
    sides = [Side(number) for number in SIDES]
    notes = Notes()
    async with asyncio.TaskGroup() as tasks:
        for side in sides:
            tasks.create_task(side.run(store, tenant, schedule))
            await _settled(side, is_blocked, notes)
        for turn in schedule.turns:
            free = [side for side in sides if side.state != WAITS and not side.has_ended]
            if free:
                chosen = sides[turn] if sides[turn] in free else free[0]
                chosen.let_through()
                await _settled(chosen, is_blocked, notes)
            elif all(side.has_ended for side in sides):
                return notes
            else:
                await _first_change(sides)
            for side in sides:
                await _settled(side, is_blocked, notes)
            notes.states.append((sides[0].state, sides[1].state))
    raise AssertionError("the schedule has too few turns")


async def _settled(side: Side, is_blocked: Callable[[Session], Awaitable[bool]], notes: Notes) -> None:
    """Wait until the side is at a statement, has ended, or waits for a lock."""
    while not side.changed.is_set():
        try:
            async with asyncio.timeout(LOOK_AGAIN_S):
                await side.changed.wait()
        except TimeoutError:
            if side.session is not None and await is_blocked(side.session):
                if side.state != WAITS:
                    notes.waited_at[side.number] = (side.let_through_at, asyncio.get_running_loop().time())
                side.state = WAITS
                return


async def _first_change(sides: Sequence[Side]) -> None:
    """Both wait, for each other. The database ends that."""
    waiting = [asyncio.create_task(side.changed.wait()) for side in sides]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
