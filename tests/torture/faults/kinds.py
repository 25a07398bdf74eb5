"""What a fault is: a name, the part of the stage that it has to itself meanwhile, and what it does."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Final, Protocol

import attrs
import psutil

from tests.torture.caller import Answer
from tests.torture.intents import Intent
from tests.torture.processes import POLL_S
from tests.torture.stage import Stage

FIRED_S_MAX: Final = 10.0
"""How long a fault that needs the service's help to strike waits for it, in seconds."""


class NotFired(Exception):
    """The fault cannot be shown to have struck. The message says why."""


class Troublemaker(Protocol):
    """What faults need of the campaign besides the stage: calls of its own, and the processes of clients."""

    async def write(self, fault: str, instance: int) -> tuple[Intent, Answer]:
        """Send a new intent that asks the lab for a fault."""
        ...

    async def settle(self, intent: Intent) -> None:
        """Have an intent decided."""
        ...

    async def read(self, instance: int) -> None:
        """Read a wallet."""
        ...

    async def kill_clients(self, chance: Random) -> str:
        """Kill a process of clients, and start its successor."""
        ...


@attrs.frozen
class Scene:
    """Where one fault strikes. ``chance`` repeats its choices for the same seed."""

    stage: Stage
    trouble: Troublemaker
    chance: Random


Strike = Callable[[Scene], Awaitable[str]]
"""Does it, undoes it, and returns how it is known to have struck. Raises ``NotFired``."""


@attrs.frozen
class FaultKind:
    """A fault by its name. Two of the same lane do not overlap. ``impossible`` says why it cannot be, if so."""

    name: str
    lane: str
    strike: Strike
    impossible: Callable[[Stage], str] = lambda stage: ""


def sent(pids: Iterable[int], number: signal.Signals) -> list[int]:
    """Send a signal to each that is still there; returns those."""
    reached = []
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            reached.append(pid)
    return reached


@asynccontextmanager
async def stopped(pids: Iterable[int]) -> AsyncIterator[list[int]]:
    """Processes that stand still meanwhile. Raises ``NotFired`` if none of them does."""
    reached = sent(pids, signal.SIGSTOP)
    try:
        if not any([await _stands(pid) for pid in reached]):
            raise NotFired("no process stands still")
        yield reached
    finally:
        sent(reached, signal.SIGCONT)


async def _stands(pid: int) -> bool:
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        with suppress(psutil.Error):
            if psutil.Process(pid).status() == psutil.STATUS_STOPPED:
                return True
        await asyncio.sleep(POLL_S / 5)
    return False


async def ready_instance(scene: Scene) -> int:
    """The number of an instance that answers; another fault may have others down. Raises ``NotFired``."""
    numbers = list(range(len(scene.stage.instances)))
    for number in scene.chance.sample(numbers, len(numbers)):
        if await scene.stage.instances[number].is_ready():
            return number
    raise NotFired("no instance is ready")
