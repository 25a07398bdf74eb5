"""Faults of the service's processes, of its clock, and of its clients."""

import asyncio
import signal
import time
from email.utils import parsedate_to_datetime
from typing import Final

import psutil

from tests.torture.faults.kinds import FIRED_S_MAX, FaultKind, NotFired, Scene, Strike, ready_instance, sent, stopped
from tests.torture.http_client import HttpClient, NoAnswer, NotSent
from tests.torture.processes import HOST, Instance, eventually
from tests.torture.stage import Stage

SKEW_TOLERANCE_S: Final = 5.0
CLOCK_S_MAX: Final = 30.0


async def kill_worker(scene: Scene) -> str:
    """SIGKILL to a worker; the parent has to replace it."""
    instance = scene.stage.instances[await ready_instance(scene)]
    workers = instance.worker_pids()
    if not workers or instance.workers == 1:
        raise NotFired("there is no worker that would be replaced")
    (pid,) = sent([scene.chance.choice(workers)], signal.SIGKILL)
    if not await eventually(lambda: not psutil.pid_exists(pid), FIRED_S_MAX):
        raise NotFired(f"worker {pid} does not die")
    if not await eventually(lambda: len(set(instance.worker_pids()) - {pid}) == instance.workers, 30.0):
        raise NotFired(f"worker {pid} is not replaced")
    return f"worker {pid} of instance {instance.number}, replaced"


async def kill_instance(scene: Scene) -> str:
    """SIGKILL to the parent; its workers have to end by themselves. Then it is started again."""
    instance = scene.stage.instances[await ready_instance(scene)]
    pid = instance.pid
    workers = await instance.kill()
    await asyncio.sleep(scene.chance.uniform(0, 0.5))
    await instance.start_again()
    return f"parent {pid} of instance {instance.number}, whose {len(workers)} workers ended"


async def restart_rolling(scene: Scene) -> str:
    """SIGTERM to one instance after the other, each started again before the next."""
    codes = []
    for instance in scene.stage.instances:
        codes.append(await instance.stop())
        await instance.start_again()
    if any(codes):
        raise NotFired(f"the instances ended with {codes}")
    return f"{len(codes)} instances, each with exit code 0"


async def stop_worker(scene: Scene) -> str:
    """SIGSTOP to a worker, and SIGCONT."""
    instance = scene.stage.instances[await ready_instance(scene)]
    async with stopped([scene.chance.choice(instance.worker_pids() or [instance.pid])]) as pids:
        await asyncio.sleep(seconds := scene.chance.uniform(0.2, 2.5))
    return f"worker {pids[0]} of instance {instance.number} for {seconds:.1f} s"


async def kill_clients(scene: Scene) -> str:
    """SIGKILL to a process of clients; others come in its place, and know nothing of its calls."""
    return await scene.trouble.kill_clients(scene.chance)


async def _offset_s(instance: Instance) -> float:
    """By how much the instance's clock is off, as the dates of its answers show."""
    client = HttpClient(HOST, instance.port)
    try:
        answer = await client.request("GET", "/health/live", timeout_s=2.0)
    except (NotSent, NoAnswer) as error:
        raise NotFired(f"instance {instance.number} does not answer") from error
    finally:
        client.close()
    return parsedate_to_datetime(answer.headers["date"]).timestamp() - time.time()


async def _seen_to_be_off(instance: Instance, offset_s: int) -> float:
    """Return once the clock is off by about this much. Raises ``NotFired``."""
    # The library looks at its file once a second, the service at its clock as often, and it may just be starting.
    deadline = time.monotonic() + CLOCK_S_MAX
    while True:
        try:
            off_s = await _offset_s(instance)
            if abs(off_s - offset_s) < SKEW_TOLERANCE_S:
                return off_s
            says = f"the clock was to be off by {offset_s} s, and is by {off_s:.0f} s"
        except NotFired as error:
            says = str(error)
        if time.monotonic() > deadline:
            raise NotFired(says)
        await asyncio.sleep(0.1)


def _skew(*offsets_s: int) -> Strike:
    """The instance's clock jumps to each of these offsets, and then back."""

    async def strike(scene: Scene) -> str:
        instance = next(each for each in scene.stage.instances if each.clock is not None)
        if instance.clock is None:
            raise NotFired("no instance has a clock that can be changed")
        seen: list[float] = []
        try:
            for offset_s in offsets_s:
                instance.clock.write_text(f"{offset_s:+d}\n")
                seen.append(await _seen_to_be_off(instance, offset_s))
        finally:
            instance.clock.write_text("+0\n")
        return f"clock of instance {instance.number} off by " + ", ".join(f"{each:+.0f} s" for each in seen)

    return strike


def _clock_is_ours(stage: Stage) -> str:
    return "" if any(instance.clock is not None for instance in stage.instances) else "libfaketime is not installed"


def _workers_are_replaced(stage: Stage) -> str:
    return "" if stage.cast.workers > 1 else "a single worker has nobody to replace it"


KINDS: Final = (
    FaultKind("worker-kill", "instances", kill_worker, _workers_are_replaced),
    FaultKind("worker-stop", "instances", stop_worker),
    FaultKind("instance-kill", "instances", kill_instance),
    FaultKind("instance-restart", "instances", restart_rolling),
    FaultKind("client-kill", "clients", kill_clients),
    FaultKind("clock-ahead", "clock", _skew(90_000), _clock_is_ours),
    FaultKind("clock-behind", "clock", _skew(-90_000), _clock_is_ours),
    FaultKind("clock-jumps", "clock", _skew(7_200, -7_200, 30), _clock_is_ours),
)
