"""Group commit: the bounded queue between many callers and one batch at a time.

Commands that arrive while a tenant's batch is in flight form its next batch, so one round trip, one statement and one
fsync carry as many commands as there are callers. Nothing waits for a batch to fill: an idle tenant's command goes at
once, alone.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from uuid import UUID

import attrs

from wallet_core.commands import Command
from wallet_core.outcomes import Outcome, Overloaded
from wallet_core.ports import Ledger

BATCH_COMMANDS_MAX = 1000
QUEUE_COMMANDS_MAX = 10_000


@attrs.define
class _Request:
    commands: Sequence[Command]
    answer: "asyncio.Future[Sequence[Outcome]]"


@attrs.define
class GroupCommit:
    """A ``Ledger`` that gathers what many callers ask into batches for another one.

    One batch at a time per tenant; those of different tenants run side by side. Each batch runs in a task of its own
    that no caller can cancel: a caller who stops waiting abandons the answer, never the work. A request's commands
    stay together, in one batch.
    """

    ledger: Ledger
    batch_commands_max: int = BATCH_COMMANDS_MAX
    queue_commands_max: int = QUEUE_COMMANDS_MAX
    _waiting: dict[UUID, deque[_Request]] = attrs.field(factory=dict, init=False)
    _runs: dict[UUID, "asyncio.Task[None]"] = attrs.field(factory=dict, init=False)
    _queued: int = attrs.field(default=0, init=False)
    _closed: bool = attrs.field(default=False, init=False)

    @property
    def queued(self) -> int:
        """How many commands wait for a batch."""
        return self._queued

    async def execute(self, tenant: UUID, commands: Sequence[Command]) -> Sequence[Outcome]:
        """Have the commands carried out with the tenant's next batch. ``Overloaded``, at once, if the queue is full.

        Raises what the batch raised, if that was a bug. Cancelling this call leaves the batch alone.
        """
        if self._closed or self._queued + len(commands) > self.queue_commands_max:
            return [Overloaded()] * len(commands)
        request = _Request(commands, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(tenant, deque()).append(request)
        self._queued += len(commands)
        if tenant not in self._runs:
            self._runs[tenant] = asyncio.create_task(self._run(tenant))
        return await request.answer

    async def close(self) -> None:
        """Take nothing more, and return when everything that was taken has been carried out."""
        self._closed = True
        while self._runs:
            await asyncio.wait(list(self._runs.values()))

    async def _run(self, tenant: UUID) -> None:
        waiting = self._waiting[tenant]
        try:
            while waiting:
                await self._carry_out(tenant, self._next_batch(waiting))
        finally:
            # No await between the last look at the queue and here: a new caller finds either this run or none.
            del self._runs[tenant]
            del self._waiting[tenant]

    def _next_batch(self, waiting: deque[_Request]) -> list[_Request]:
        batch: list[_Request] = []
        size = 0
        while waiting and (not batch or size + len(waiting[0].commands) <= self.batch_commands_max):
            request = waiting.popleft()
            size += len(request.commands)
            batch.append(request)
        self._queued -= size
        return batch

    async def _carry_out(self, tenant: UUID, batch: list[_Request]) -> None:
        commands = [command for request in batch for command in request.commands]
        try:
            outcomes = await self.ledger.execute(tenant, commands)
        except Exception as bug:  # noqa: BLE001 - not hidden: every caller that still waits raises it
            for request in batch:
                if not request.answer.done():
                    request.answer.set_exception(bug)
            return
        start = 0
        for request in batch:
            end = start + len(request.commands)
            if not request.answer.done():
                request.answer.set_result(outcomes[start:end])
            start = end
