"""Group commit: the bounded queue between many callers and few batches at a time.

Commands that arrive while a tenant's batch is in flight form its next batch, so one round trip, one statement and one
fsync carry as many commands as there are callers. Nothing waits for a batch to fill: an idle tenant's command goes at
once, alone; but for one that takes turns with other processes.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from uuid import UUID

import attrs

from wallet_core.commands import Command
from wallet_core.outcomes import Outcome, Overloaded
from wallet_core.ports import Ledger
from wallet_core.watching import UNWATCHED, Observer

BATCH_COMMANDS_MAX = 1000
QUEUE_COMMANDS_MAX = 10_000

BATCHES_MAX = 4
"""How many batches, of as many tenants, are carried out side by side."""

WITHDRAWALS_PER_WAIT = 16
"""How often, in the longest time that a request may wait, those are withdrawn that have waited that long."""

BATCHES_OF_A_TENANT_MAX = 2
"""One that is written, and one on top of it. What would be put on top of both has to know of both."""

TURN_S = 0.001
"""How long a tenant that takes turns with other processes waits before its next batch, in seconds. Whoever has just
been answered asks again meanwhile, and the others have their turn anyway."""

STACKED_COMMANDS_MIN = 4
"""How few commands are worth a batch of their own beside the one that is in flight."""


@attrs.define
class _Request:
    commands: Sequence[Command]
    answer: "asyncio.Future[Sequence[Outcome]]"
    since: float
    """When it came, in seconds of the event loop's clock."""
    origin: object = None
    """What it is to whoever observes."""


@attrs.define
class _Tenant:
    """A tenant that has something in the queue or in flight."""

    requests: deque[_Request] = attrs.field(factory=deque)
    commands: int = 0
    """In the queue."""
    batches: int = 0
    """In flight."""
    in_flight: int = 0
    """How many commands there are in the batch that went last."""
    in_line: bool = False


@attrs.define
class GroupCommit:
    """A ``Ledger`` that gathers what many callers ask into batches for another one.

    One batch at a time per tenant, or two for a ledger that can put one batch on top of another: the second begins once
    as many commands wait as are in flight, and no fewer than ``stacked_commands_min``. So the callers divide into two
    halves, one of which is decided while the other is written. Batches of different tenants run side by side, up to
    ``batches_max``, and tenants that wait for their turn get it in order. Each batch runs in a task of its own that no
    caller can cancel: a caller who stops waiting abandons the answer, never the work. A request's commands stay
    together, in one batch.

    A tenant that ``takes_turns`` begins no batch beside one in flight, and waits a moment before each: its batches wait
    for those of other processes in any case, and should carry as many commands as there are.

    A request that no batch has taken for ``wait_s_max`` seconds, or a little longer, is withdrawn: nothing of it was
    done or will be. One that a batch has taken never is.
    """

    ledger: Ledger
    batch_commands_max: int = BATCH_COMMANDS_MAX
    queue_commands_max: int = QUEUE_COMMANDS_MAX
    batches_max: int = BATCHES_MAX
    wait_s_max: float = inf
    stacked_commands_min: float = attrs.field(default=inf, kw_only=True)
    takes_turns: Callable[[UUID], bool] = attrs.field(default=lambda _: False, kw_only=True)
    observer: Observer = attrs.field(default=UNWATCHED, kw_only=True)
    _tenants: dict[UUID, _Tenant] = attrs.field(factory=dict, init=False)
    # Tenants whose next batch may begin: it takes more of them than run side by side.
    _line: deque[UUID] = attrs.field(factory=deque, init=False)
    _runs: "set[asyncio.Task[None]]" = attrs.field(factory=set, init=False)
    _queued: int = attrs.field(default=0, init=False)
    _withdrawing: asyncio.TimerHandle | None = attrs.field(default=None, init=False)
    _closed: bool = attrs.field(default=False, init=False)

    @property
    def queued(self) -> int:
        """How many commands wait for a batch."""
        return self._queued

    @property
    def in_flight(self) -> int:
        """How many batches are carried out, or wait for their turn."""
        return len(self._runs)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for a whole batch: whoever has not begun with a request need not."""
        return self._closed or self._queued + self.batch_commands_max > self.queue_commands_max

    def execute(self, tenant: UUID, commands: Sequence[Command]) -> Awaitable[Sequence[Outcome]]:
        """Have the commands carried out with the tenant's next batch. It is a future: nobody needs a task.

        ``Overloaded``, at once, if the queue is full, and later if the request is withdrawn. Raises what the batch
        raised, if that was a bug. Cancelling this call leaves the batch alone.
        """
        loop = asyncio.get_running_loop()
        request = _Request(commands, loop.create_future(), loop.time())
        if self._closed or self._queued + len(commands) > self.queue_commands_max:
            self.observer.shed(len(commands))
            request.answer.set_result([Overloaded()] * len(commands))
            return request.answer
        if self.observer.origin is not None:
            request.origin = self.observer.origin()
        own = self._tenants.get(tenant)
        if own is None:
            own = self._tenants[tenant] = _Tenant()
        own.requests.append(request)
        own.commands += len(commands)
        self._queued += len(commands)
        if self._withdrawing is None and self.wait_s_max != inf:
            self._withdrawing = loop.call_at(request.since + self.wait_s_max, self._withdraw)
        self._begin(tenant, own)
        return request.answer

    async def close(self) -> None:
        """Take nothing more, and return when everything that was taken has been carried out or withdrawn."""
        self._closed = True
        while self._runs:
            await asyncio.wait(list(self._runs))
        if self._withdrawing is not None:
            self._withdrawing.cancel()
            self._withdrawing = None

    def _line_up(self, tenant: UUID, own: _Tenant) -> bool:
        """Put the tenant in line, if its next batch may begin."""
        if own.in_line or not own.requests:
            return False
        if own.batches and (
            own.batches >= BATCHES_OF_A_TENANT_MAX
            or own.commands < max(own.in_flight, self.stacked_commands_min)
            or self.takes_turns(tenant)
        ):
            return False
        own.in_line = True
        self._line.append(tenant)
        return True

    def _begin(self, tenant: UUID, own: _Tenant) -> None:
        """Have the tenant's next batch carried out, if it may begin, or keep its place in the line."""
        if self._line_up(tenant, own) and len(self._runs) < self.batches_max:
            self._runs.add(asyncio.get_running_loop().create_task(self._run()))

    async def _run(self) -> None:
        """Carry out a batch of the tenant whose turn it is, and again, until no tenant waits for one."""
        try:
            while self._line:
                tenant = self._line.popleft()
                own = self._tenants[tenant]
                own.in_line = False
                own.batches += 1
                try:
                    if own.requests and self.takes_turns(tenant):
                        await asyncio.sleep(TURN_S)
                    if own.requests:
                        batch = self._next_batch(own)
                        self._begin(tenant, own)
                        await self._carry_out(tenant, batch)
                finally:
                    own.batches -= 1
                    if not self._line_up(tenant, own) and not (own.in_line or own.requests or own.batches):
                        del self._tenants[tenant]
        finally:
            # No await between the last look at the line and here: a new caller finds either this run or none.
            task = asyncio.current_task()
            if task is not None:
                self._runs.discard(task)

    def _next_batch(self, own: _Tenant) -> list[_Request]:
        batch: list[_Request] = []
        size = 0
        while own.requests and (not batch or size + len(own.requests[0].commands) <= self.batch_commands_max):
            request = own.requests.popleft()
            size += len(request.commands)
            batch.append(request)
        self._forget(own, size)
        own.in_flight = size
        return batch

    def _forget(self, own: _Tenant, commands: int) -> None:
        own.commands -= commands
        self._queued -= commands

    async def _carry_out(self, tenant: UUID, batch: list[_Request]) -> None:
        commands = [command for request in batch for command in request.commands]
        origins = [request.origin for request in batch if request.origin is not None]
        waited_s = asyncio.get_running_loop().time() - batch[0].since
        watched = self.observer.batch(len(commands), waited_s, origins)
        try:
            outcomes = await self.ledger.execute(tenant, commands)
        except Exception as bug:  # noqa: BLE001 - not hidden: every caller that still waits raises it
            watched.failed(len(commands), bug)
            for request in batch:
                if not request.answer.done():
                    request.answer.set_exception(bug)
            return
        watched.ended(outcomes)
        start = 0
        for request in batch:
            end = start + len(request.commands)
            if not request.answer.done():
                request.answer.set_result(outcomes[start:end])
            start = end

    def _withdraw(self) -> None:
        """Take out of the queue what has waited too long. What is in the queue is in no batch: a batch takes it out."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        following = inf
        for own in self._tenants.values():
            while own.requests and own.requests[0].since + self.wait_s_max <= now:
                request = own.requests.popleft()
                self._forget(own, len(request.commands))
                self.observer.withdrew(len(request.commands))
                if not request.answer.done():
                    request.answer.set_result([Overloaded()] * len(request.commands))
            if own.requests:
                following = min(following, own.requests[0].since + self.wait_s_max)
        self._withdrawing = None
        if following != inf:
            soonest = now + self.wait_s_max / WITHDRAWALS_PER_WAIT
            self._withdrawing = loop.call_at(max(following, soonest), self._withdraw)
