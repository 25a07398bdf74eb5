"""The simulated event loop: its time is its own, its order follows from the seed, and processes in it can die."""

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import Any

import pytest

from tests.simulation.loop import Endless, Hung, Process, VirtualLoop


def run(main: Coroutine[Any, Any, Any], seed: int = 0) -> Any:
    return VirtualLoop(Random(seed)).run(main)


async def order_of(amount: int) -> list[int]:
    ran: list[int] = []

    async def note(number: int) -> None:
        await asyncio.sleep(0)
        ran.append(number)

    await asyncio.gather(*(note(number) for number in range(amount)))
    return ran


def test_time_passes_without_being_waited_for() -> None:
    async def wait() -> float:
        await asyncio.sleep(1_000_000)
        return asyncio.get_running_loop().time()

    assert run(wait()) == 1_000_000


def test_what_is_ready_together_runs_in_any_order_and_in_the_same_one_for_the_same_seed() -> None:
    orders = {tuple(run(order_of(3), seed)) for seed in range(200)}
    assert len(orders) == 6
    assert run(order_of(50), 1) == run(order_of(50), 1) != run(order_of(50), 2)


def test_limits_of_time_and_cancellation_work_as_usual() -> None:
    async def wait() -> str:
        try:
            async with asyncio.timeout(3):
                await asyncio.Event().wait()
        except TimeoutError:
            return f"after {asyncio.get_running_loop().time():.0f} s"
        return "never"

    assert run(wait()) == "after 3 s"


def test_waiting_for_what_cannot_come_is_noticed() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Hung):
        run(wait())


def test_going_on_for_ever_is_noticed() -> None:
    async def go_on() -> None:
        loop = asyncio.get_running_loop()

        def again() -> None:
            loop.call_later(0.001, again)

        again()
        await loop.create_future()

    with pytest.raises(Endless):
        run(go_on())


def test_a_process_that_is_killed_runs_nothing_more_and_the_others_go_on() -> None:
    loop = VirtualLoop(Random(0))
    process = Process("killed")
    notes: list[str] = []

    async def work() -> None:
        # What it starts belongs to its process as well.
        await asyncio.gather(asyncio.create_task(step("child")), step("itself"))

    async def step(name: str) -> None:
        try:
            await asyncio.sleep(1)
            notes.append(name)
            await asyncio.sleep(2)
            notes.append(f"{name} after the kill")
        finally:
            if not over:
                notes.append(f"the end of {name}")

    async def main() -> None:
        loop.create_task(work(), context=process.context)
        await asyncio.sleep(2)
        loop.kill(process)
        await asyncio.sleep(10)
        over.append(True)

    over: list[bool] = []
    loop.run(main())
    assert sorted(notes) == ["child", "itself"]
    assert loop.complaints == []


def test_a_process_that_is_stopped_goes_on_later() -> None:
    loop = VirtualLoop(Random(0))
    process = Process("stopped")

    async def work() -> float:
        await asyncio.sleep(1)
        return loop.time()

    async def main() -> float:
        task = loop.create_task(work(), context=process.context)
        await asyncio.sleep(0.5)
        loop.stop_for(process, 5)
        return await task

    assert loop.run(main()) == 5.5
