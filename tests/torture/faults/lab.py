"""Faults that a request asks the service's own failure lab for, one kind for each failpoint and action."""

import asyncio
from typing import Final

from tests.torture.faults.kinds import FaultKind, NotFired, Scene, Strike, ready_instance
from tests.torture.processes import eventually
from tests.torture.stage import Stage

CACHE_TRIES: Final = 5
"""How often a fault of the cache is asked for: a worker that takes the cache to be away just then asks it nothing."""

POINTS: Final = ("before-load", "after-load", "before-append", "before-commit", "after-commit")


def _asks(fault: str) -> Strike:
    """A request asks for the fault, and says that it was struck, or is not answered because of it."""
    action = fault.partition("=")[2]

    async def strike(scene: Scene) -> str:
        number = await ready_instance(scene)
        instance = scene.stage.instances[number]
        before = set(instance.worker_pids())
        # Some longer than the service lets a request wait.
        asked = f"{fault}:{scene.chance.randint(100, 1800)}" if action == "delay" else fault
        intent, answer = await scene.trouble.write(asked, number)
        try:
            if action == "crash":
                return await _crashed(scene, number, before)
            if action == "drop":
                if answer.status:
                    raise NotFired(f"it was answered: {answer.status} {answer.members}")
                return "no answer came"
            if fault not in answer.fired:
                raise NotFired(f"the answer says {answer.fired!r}: {answer.status} {answer.members}")
            return f"{asked}: {answer.status}"
        finally:
            await scene.trouble.settle(intent)

    return strike


def _again(strike: Strike) -> Strike:
    async def strike_once(scene: Scene) -> str:
        for _ in range(CACHE_TRIES - 1):
            try:
                return await strike(scene)
            except NotFired:
                await asyncio.sleep(1)
        return await strike(scene)

    return strike_once


async def _crashed(scene: Scene, number: int, before: set[int]) -> str:
    instance = scene.stage.instances[number]
    if not await eventually(lambda: bool(before - set(instance.worker_pids())), 3.0):
        raise NotFired("no worker died")
    dead = before - set(instance.worker_pids())
    await eventually(lambda: len(instance.worker_pids()) == instance.workers, 30.0)
    return f"worker {min(dead)} died at it"


def _crashes(stage: Stage) -> str:
    return "" if stage.cast.workers > 1 else "a single worker is not crashed"


def _has_cache(stage: Stage) -> str:
    return "" if stage.cast.redis else "there is no cache"


def _kind(fault: str) -> FaultKind:
    name = "lab-" + fault.replace("=", "-")
    # Crashes change the workers that others look for.
    lane = "instances" if fault.endswith("=crash") else "lab"
    if fault.startswith("cache="):
        return FaultKind(name, lane, _again(_asks(fault)), _has_cache)
    return FaultKind(name, lane, _asks(fault), _crashes) if lane == "instances" else FaultKind(name, lane, _asks(fault))


KINDS: Final = (
    *(_kind(f"{point}={action}") for point in POINTS for action in ("delay", "error", "crash")),
    *(_kind(f"before-queue={action}") for action in ("delay", "crash")),
    *(_kind(f"before-answer={action}") for action in ("delay", "drop", "crash")),
    *(_kind(f"cache={action}") for action in ("down", "hung", "lying")),
)
