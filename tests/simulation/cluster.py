"""The simulated service: several processes of it, each with all that a real one has between its requests and its
database; and the network between them and their clients."""

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, cast
from uuid import UUID

import attrs

from adapters.postgres.unit_of_work import PostgresUnit
from adapters.redis.cache import RedisReplayCache
from entrypoints.http.problems import Refused
from entrypoints.http.service import Service
from tests.simulation import faults
from tests.simulation.cache import ModelValues, OneHistory
from tests.simulation.coverage import LIE_FOUND_OUT, REPLAYED_BY_CACHE
from tests.simulation.ledger import StackingLedger
from tests.simulation.loop import Process
from tests.simulation.server import Server
from tests.simulation.session import ModelStore
from tests.support.ids import CountingIds
from wallet_core import BatchLedger, Command, GroupCommit, Outcome
from wallet_core.ports import Ids, Ledger, Store
from wallet_core.replays import CachedLedger

REQUEST_TIMEOUT_S: Final = 5.0
QUEUE_SHARE: Final = 0.5
RESTART_S_MAX: Final = 0.5
HANG_UP_S_MAX: Final = 0.004
LATE_ANSWER_S: Final = 8.0

Answer = Sequence[Outcome] | None
"""None: the connection was lost, or the time limit passed, and nobody knows."""


@attrs.frozen
class Setup:
    """How the service is put together. Variants that lack a mechanism replace a part."""

    instances: int = 2
    batch_commands_max: int = 1000
    queue_commands_max: int = 10_000
    batches_max: int = 4
    stacked_commands_min: float = 1
    unit: type[PostgresUnit] = PostgresUnit
    ledger: Callable[[Store, Ids, Callable[[], float]], BatchLedger] = StackingLedger
    cache: type[RedisReplayCache] | None = RedisReplayCache
    group: type[GroupCommit] = GroupCommit
    lacking: frozenset[str] = frozenset()


class Instance:
    """One process of the service."""

    def __init__(self, name: str, server: Server, setup: Setup, ids: Ids, values: ModelValues, random: Random) -> None:
        self.process = Process(name)
        self._log = server.log
        deciding = setup.ledger(ModelStore(server, setup.unit), ids, random.random)
        ledger: Ledger = deciding
        self.cache = None if setup.cache is None else setup.cache(values, OneHistory())
        if self.cache is not None:
            ledger = CachedLedger(ledger, self.cache)
            self.process.context.run(self.cache.start)
        self.group = setup.group(
            ledger,
            setup.batch_commands_max,
            setup.queue_commands_max,
            setup.batches_max,
            wait_s_max=REQUEST_TIMEOUT_S * QUEUE_SHARE,
            stacked_commands_min=setup.stacked_commands_min,
            takes_turns=deciding.takes_turns,
        )
        nothing = cast(Any, None)
        self.service = Service(self.group, nothing, nothing, nothing, REQUEST_TIMEOUT_S)
        self.waiting: dict[asyncio.Future[Answer], None] = {}
        self.stopping = False

    async def close(self) -> None:
        """What the service does at its end."""
        await self.group.close()
        if self.cache is not None:
            await self.cache.close()
            if self.cache.state.rejected:
                self._log.cover(LIE_FOUND_OUT)
            if self.cache.state.hits:
                self._log.cover(REPLAYED_BY_CACHE)


class Cluster:
    """All processes of the service behind one address. To be made in the loop, which they begin to run in."""

    def __init__(self, server: Server, setup: Setup, random: Random, bugs: list[Exception]) -> None:
        """``bugs`` is where what comes out of the service goes that should not have."""
        self._bugs = bugs
        self._server = server
        self._setup = setup
        self._random = random
        self._ids = CountingIds()
        self._values = ModelValues(server.loop, server.plan, server.log, random)
        self._started = 0
        self._instances: list[Instance] = []
        for _ in range(setup.instances):
            self._start()
        server.kill = self._killed

    async def call(self, tenant: UUID, commands: Sequence[Command]) -> Answer:
        """Send a request to one of the processes, and wait for its answer."""
        server, loop = self._server, self._server.loop
        fault = server.plan.at(faults.REQUEST)
        if fault is not None:
            server.log.cover(faults.named(faults.REQUEST, fault))
        instance = self._random.choice(self._instances) if self._instances else None
        await loop.pause(server.delay())
        if instance is None or not instance.process.alive or fault == faults.LOST:
            server.log.cover("a request that got nowhere")
            return None
        answer: asyncio.Future[Answer] = loop.create_future()
        instance.waiting[answer] = None
        handler = loop.create_task(self._handle(instance, tenant, commands, answer), context=instance.process.context)
        if fault == faults.HANG_UP:
            # The most that a server does when its client goes away: it cancels the handler.
            loop.call_later(self._random.random() * HANG_UP_S_MAX, handler.cancel)
            loop.call_later(HANG_UP_S_MAX, _resolve, answer, None)
        outcomes = await answer
        del instance.waiting[answer]
        return await self._carry_back(outcomes)

    async def restart(self) -> None:
        """Have a process finish what it has taken on, and put another in its place."""
        running = [instance for instance in self._instances if not instance.stopping]
        if not running:
            return
        instance = self._random.choice(running)
        instance.stopping = True
        loop = self._server.loop
        loop.create_task(instance.close(), context=instance.process.context).add_done_callback(
            lambda _: self._replace(instance)
        )

    def kill_one(self) -> None:
        """Kill a process."""
        if self._instances:
            self._killed(self._random.choice(self._instances).process)

    async def close(self) -> None:
        """Stop all processes in order."""
        for instance in list(self._instances):
            await instance.close()

    async def _handle(
        self, instance: Instance, tenant: UUID, commands: Sequence[Command], answer: "asyncio.Future[Answer]"
    ) -> None:
        outcomes: Answer = None
        try:
            outcomes = await instance.service.execute(tenant, commands)
        except Refused:
            self._server.log.cover("the time limit of a request")
        except Exception as bug:  # noqa: BLE001 - not hidden: the schedule fails with it
            self._bugs.append(bug)
        _resolve(answer, outcomes)

    async def _carry_back(self, outcomes: Answer) -> Answer:
        server = self._server
        fault = server.plan.at(faults.ANSWER)
        if fault is not None:
            server.log.cover(faults.named(faults.ANSWER, fault))
        await server.loop.pause(LATE_ANSWER_S if fault == faults.LATE else server.delay())
        return None if fault == faults.LOST else outcomes

    def _start(self) -> None:
        self._started += 1
        name = f"service-{self._started}"
        self._instances.append(Instance(name, self._server, self._setup, self._ids, self._values, self._random))

    def _killed(self, process: Process) -> None:
        server = self._server
        for instance in self._instances:
            if instance.process is process:
                server.log.note(process.name, "is killed")
                server.loop.kill(process)
                server.client_died(process)
                for answer in instance.waiting:
                    server.loop.outside(server.delay(), _resolve, answer, None)
                server.loop.outside(self._random.random() * RESTART_S_MAX, self._replace, instance)

    def _replace(self, instance: Instance) -> None:
        if instance in self._instances:
            self._instances.remove(instance)
            self._start()


def _resolve(answer: "asyncio.Future[Answer]", outcomes: Answer) -> None:
    if not answer.done():
        answer.set_result(outcomes)
