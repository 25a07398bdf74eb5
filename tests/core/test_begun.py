"""A coroutine that is begun behaves as one that is awaited: results, errors, cancellation and limits."""

import asyncio

import pytest

from wallet_core.begun import Begun, within


class Bug(Exception):
    """Nothing that is expected."""


async def prompt(value: int) -> int:
    return value


async def failing() -> int:
    raise Bug


async def waiting(gate: "asyncio.Future[int]", waits: int = 3) -> int:
    for _ in range(waits):
        await asyncio.sleep(0)
    return await gate


async def test_what_needs_no_waiting_is_done_at_once_and_without_a_limit() -> None:
    begun = Begun(prompt(1))
    assert begun.is_done
    assert begun.result() == 1
    assert await within(0, prompt(2)) == 2


async def test_what_has_to_wait_is_awaited() -> None:
    gate: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    begun = Begun(waiting(gate))
    assert not begun.is_done
    asyncio.get_running_loop().call_soon(gate.set_result, 3)
    assert await begun == 3
    assert begun.is_done


async def test_an_error_is_raised_whether_or_not_there_was_a_wait() -> None:
    with pytest.raises(Bug):
        Begun(failing())
    gate: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(gate.set_exception, Bug())
    with pytest.raises(Bug):
        await within(5, waiting(gate))


async def test_past_the_limit_what_is_waited_for_is_cancelled() -> None:
    gate: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    with pytest.raises(TimeoutError):
        await within(0.01, waiting(gate))
    assert gate.cancelled()


async def test_a_cancellation_reaches_the_coroutine_and_may_be_answered_there() -> None:
    gate: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    ended = asyncio.Event()

    async def work() -> int:
        try:
            return await waiting(gate)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            ended.set()
            raise

    task = asyncio.create_task(within(5, work()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
