"""A process of clients: started by the campaign, and told to stop with SIGTERM, or killed."""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from tests.torture.caller import Caller
from tests.torture.http_client import HttpClient
from tests.torture.journal import Journal
from tests.torture.workload import Client, Memory
from tests.torture.world import World

STOP_S_MAX: Final = 15.0
SHARED_EVERY_NS: Final = 500_000_000
"""How often all processes send the same key at the same time."""


class Job(msgspec.Struct):
    """What a process of clients is to do. ``rate`` is about how many things a second all its clients begin."""

    name: str
    seed: int
    begin_ns: int
    """When the campaign began, by which all processes send shared keys at the same time."""
    instances: Sequence[tuple[str, int]]
    api_key: str
    clients: int
    rate: float
    journal: str
    weights: Mapping[str, int]
    """How often a client does what, relative to one another."""
    new_key_on_retry: bool = False


def connections(instances: Sequence[tuple[str, int]], api_key: str) -> list[HttpClient]:
    """A client of each instance."""
    headers = {"authorization": f"Bearer {api_key}"}
    return [HttpClient(host, port, headers) for host, port in instances]


async def _run(job: Job) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    parent = os.getppid()

    def stopped() -> bool:
        return stop.is_set() or os.getppid() != parent

    caller = Caller(connections(job.instances, job.api_key), Journal(Path(job.journal)))
    memory, world = Memory(), World.of(job.seed)

    def client(name: str) -> Client:
        chance = random.Random(f"{job.seed} {name}")
        return Client(name, world, caller, memory, chance, new_key_on_retry=job.new_key_on_retry)

    pause_s = job.clients / job.rate
    clients = [client(f"{job.name}-{number}") for number in range(job.clients)]
    tasks = [asyncio.create_task(each.run(pause_s, stopped, job.weights)) for each in clients]
    tasks.append(asyncio.create_task(_share(job, client, stopped)))
    # The first to end was told to, or has failed; its exit code tells the campaign which.
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await asyncio.wait(tasks, timeout=STOP_S_MAX)
    for task in tasks:
        if task.done():
            task.result()
    caller.close()


async def _share(job: Job, client: Callable[[str], Client], stopped: Callable[[], bool]) -> None:
    """Settle intents that all processes have at the same time, each under one key."""
    own = client(f"{job.name}-shared")
    while not stopped():
        since_ns = time.monotonic_ns() - job.begin_ns
        number = since_ns // SHARED_EVERY_NS + 1
        await asyncio.sleep((number * SHARED_EVERY_NS - since_ns) / 1e9)
        await own.settle(client(f"shared-{number}").new_movement())


def main(text: str) -> None:
    """Do the job that is described by this JSON."""
    job = msgspec.json.decode(text, type=Job)
    uvloop.run(_run(job))


if __name__ == "__main__":
    main(sys.argv[1])
