"""The application service: carry out a batch as one unit of work, and retry a lost race a bounded number of times."""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

import attrs

from wallet_core.caution import Caution
from wallet_core.commands import (
    CaptureHold,
    ChangeWallet,
    Command,
    FenceKey,
    OpenWallet,
    PlaceHold,
    Post,
    ReleaseHold,
    Reverse,
)
from wallet_core.decide import Decided, Deciding, expire_crowds
from wallet_core.model import Transaction
from wallet_core.outcomes import (
    Applied,
    Contention,
    DatabaseUnavailable,
    Outcome,
    Rejected,
    Replayed,
    Unknown,
)
from wallet_core.ports import DUE_HOLDS_MAX, CommitUnknown, Ids, Names, Snapshot, StaleSnapshot, Store, Unavailable
from wallet_core.stacking import Flight
from wallet_core.watching import UNWATCHED, Observer, Step

RACES_MAX = 20
"""How often a batch that lost a race is decided anew before its commands are answered with ``Contention``."""

CONNECTION_ATTEMPTS_MAX = 3
"""How often a batch is tried when the database drops the connection."""

STEP_COMMANDS_MAX = 100
"""How many commands are decided in one go. A thousand would take 12 ms, in which nothing else happens in the process:
no other caller is heard, and the database waits for the next statement of the batch before."""

BESIDE_S_MAX = 0.05
"""How long a batch that was written beside the one below waits for that, with its wallets locked, in seconds. Batches
of two processes may wait for each other in a ring of which the database sees no more than half."""

BACKOFF_S_FIRST = 0.001
BACKOFF_S_MAX = 0.05


@attrs.define
class Batch:
    """A batch and how its next attempt goes. ``last`` is what that is put on top of, ``flight`` what the batch tells
    the one that comes after it; ``attempted`` are the ids of all that any attempt was about to write."""

    tenant: UUID
    commands: Sequence[Command]
    names: Names
    lock: bool
    flight: Flight | None
    last: Flight | None
    attempted: set[UUID] = attrs.field(factory=set)


@attrs.define
class BatchLedger:
    """A ``Ledger`` over a ``Store``: every call is one batch, in one unit of work.

    ``jitter`` returns a random share in [0, 1); it spreads the retries of racing writers. Where it ``stacks``, a batch
    is decided on top of the tenant's last one that is under way (``wallet_core.stacking``), and committed after it.
    Otherwise the two race, as batches of different processes do.
    """

    store: Store
    ids: Ids
    jitter: Callable[[], float] = random.random
    stacks: bool = attrs.field(default=False, kw_only=True)
    observer: Observer = attrs.field(default=UNWATCHED, kw_only=True)
    # The last batch of each tenant that has one under way.
    _flights: dict[UUID, Flight] = attrs.field(factory=dict, init=False)
    _caution: Caution = attrs.field(factory=Caution, init=False)

    async def execute(self, tenant: UUID, commands: Sequence[Command]) -> Sequence[Outcome]:
        """Carry out the commands as one batch. See ``ports.Ledger``."""
        if not self.stacks:
            return await self._carry_out(tenant, commands)
        last = self._flights.get(tenant)
        flight = self._flights[tenant] = Flight()
        try:
            if last is not None and self._caution.is_due(tenant):
                await last.ended()
                last = None
            return await self._carry_out(tenant, commands, flight, last)
        finally:
            flight.land()
            if self._flights.get(tenant) is flight:
                del self._flights[tenant]

    def takes_turns(self, tenant: UUID) -> bool:
        """Whether the tenant's next batch locks its wallets first, and so waits for those of other processes."""
        return self._caution.is_due(tenant)

    async def _carry_out(
        self, tenant: UUID, commands: Sequence[Command], flight: Flight | None = None, last: Flight | None = None
    ) -> Sequence[Outcome]:
        batch = Batch(tenant, commands, names_of(commands), self._caution.take(tenant), flight, last)
        in_doubt = False
        races = connections = 0
        while True:
            try:
                outcomes = await self._attempt(batch)
            except StaleSnapshot:
                if flight is not None:
                    flight.fail()
                if batch.last is not None:
                    # Only then is it known what it came to; and it may be at it again, with nothing of ours in its way.
                    await batch.last.ended()
                races += 1
                self.observer.race_lost(below=batch.last is not None and not batch.last.kept)
                if races >= RACES_MAX:
                    return [Unknown() if in_doubt else Contention()] * len(commands)
                # What a batch of this process came to is no race that another one has won.
                if batch.last is None or batch.last.kept:
                    self._caution.lost(tenant, locked=batch.lock)
                    batch.lock = True
                batch.last = None
                await self._pause(races)
            except (Unavailable, CommitUnknown) as failure:
                if flight is not None:
                    flight.fail()
                # After a lost COMMIT the same keys are asked again: if it did happen, they are found decided.
                in_doubt = in_doubt or isinstance(failure, CommitUnknown)
                connections += 1
                self.observer.connection_lost(in_doubt=isinstance(failure, CommitUnknown))
                if connections >= CONNECTION_ATTEMPTS_MAX:
                    return [Unknown() if in_doubt else DatabaseUnavailable()] * len(commands)
                batch.last = None
                await self._pause(connections)
            else:
                if not batch.lock:
                    self._caution.won(tenant)
                if flight is not None:
                    flight.kept = not races and not connections
                if in_doubt:
                    self.observer.doubt_settled()
                return [_ours(outcome, batch.attempted) for outcome in outcomes] if in_doubt else outcomes

    async def _attempt(self, batch: Batch) -> list[Outcome]:
        while True:
            watched = self.observer.attempt(stacked=batch.last is not None, locked=batch.lock)
            if batch.last is not None:
                await batch.last.decided()
                watched.passed(Step.STACK)
            async with self.store.begin(batch.tenant) as unit:
                snapshot = await unit.load(batch.names, lock=batch.lock)
                watched.passed(Step.LOAD)
                if batch.last is not None:
                    snapshot = await batch.last.below(snapshot, batch.names)
                ids = self.ids(snapshot.now)
                # A wallet whose holds have all lapsed at once must not stop the others for as long as that takes.
                if len(snapshot.holds) > DUE_HOLDS_MAX and (expired := expire_crowds(snapshot, ids)):
                    await unit.append(expired)
                    await unit.commit()
                    continue
                decided = await _decided(snapshot, batch.commands, ids)
                if batch.flight is not None:
                    batch.flight.decide(decided.changes)
                watched.passed(Step.DECIDE)
                beside = batch.last is not None and batch.last.is_apart_from(decided.changes)
                if batch.last is not None and not beside:
                    # Nothing is polled: each round does a piece of the work, and others are heard after it.
                    while not batch.last.is_settled() and unit.prepare(decided.changes):  # noqa: ASYNC110
                        await asyncio.sleep(0)
                    await batch.last.landed()
                    watched.passed(Step.TURN)
                if decided.changes:
                    await unit.append(decided.changes)
                    watched.passed(Step.APPEND)
                if batch.last is not None and beside:
                    await batch.last.landed(BESIDE_S_MAX)
                    watched.passed(Step.TURN)
                if decided.changes:
                    batch.attempted.update(decision.id for decision in decided.changes.decisions)
                    await unit.commit()
                    watched.passed(Step.COMMIT)
                return decided.outcomes

    async def _pause(self, attempt: int) -> None:
        await asyncio.sleep(min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2**attempt) * self.jitter())


async def _decided(snapshot: Snapshot, commands: Sequence[Command], ids: Iterator[UUID]) -> Decided:
    """The batch, decided; a large one in steps, between which the database and other callers are heard."""
    deciding = Deciding(snapshot, ids)
    for start in range(0, len(commands), STEP_COMMANDS_MAX):
        if start:
            await asyncio.sleep(0)
        deciding.go_on(commands[start : start + STEP_COMMANDS_MAX])
    return deciding.decided()


def names_of(commands: Sequence[Command]) -> Names:
    """What the commands name, each once, in order of appearance."""
    keys: dict[str, None] = {}
    wallets: dict[UUID, None] = {}
    holds: dict[UUID, None] = {}
    transactions: dict[UUID, None] = {}
    for command in commands:
        keys[command.key] = None
        match command:
            case Post():
                for posting in command.postings:
                    if posting.source is not None:
                        wallets[posting.source] = None
                    if posting.destination is not None:
                        wallets[posting.destination] = None
            case OpenWallet():
                if command.id is not None:
                    wallets[command.id] = None
            case PlaceHold():
                wallets[command.wallet_id] = None
                if command.destination is not None:
                    wallets[command.destination] = None
            case ChangeWallet():
                wallets[command.wallet_id] = None
            case CaptureHold() | ReleaseHold():
                holds[command.hold_id] = None
            case Reverse():
                transactions[command.transaction_id] = None
            case FenceKey():
                pass
    return Names(list(keys), list(wallets), list(holds), list(transactions))


def _ours(outcome: Outcome, attempted: set[UUID]) -> Outcome:
    """A replay of what this very call wrote, under a COMMIT whose answer was lost, is no replay to its caller.

    The first command of a key is the one that wrote; a second one in the same batch is a replay of it.
    """
    match outcome:
        case Applied(told) | Rejected(told):
            # Decided by the last attempt, and told as new here: what follows in the batch is a replay.
            attempted.discard(told.id)
        case Replayed(decision) if decision.id in attempted:
            attempted.remove(decision.id)
            return Applied(decision) if isinstance(decision, Transaction) else Rejected(decision)
        case _:
            pass
    return outcome
