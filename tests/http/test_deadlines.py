"""Many time limits over one timer: each passes when its time is over, and none that was taken back."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
import uvloop

from entrypoints.http.deadlines import Deadlines

LIMIT_S = 0.05


async def test_each_passes_when_its_time_is_over_and_not_before() -> None:
    loop = asyncio.get_running_loop()
    passed: list[tuple[int, float]] = []

    def note(number: int) -> None:
        passed.append((number, loop.time()))

    deadlines = Deadlines(LIMIT_S)
    set_at = []
    for number in range(4):
        set_at.append(loop.time())
        deadlines.set(partial(note, number))
        await asyncio.sleep(LIMIT_S / 3)
    await asyncio.sleep(3 * LIMIT_S)
    assert [number for number, _ in passed] == [0, 1, 2, 3]
    assert all(at - set_at[number] >= LIMIT_S - 0.002 for number, at in passed)
    # And once more, after there was none for a while.
    deadlines.set(partial(passed.append, (4, 0.0)))
    await asyncio.sleep(2 * LIMIT_S)
    assert passed[-1] == (4, 0.0)


async def test_what_was_taken_back_does_not_pass_and_is_not_kept() -> None:
    passed: list[int] = []
    deadlines = Deadlines(LIMIT_S)
    first = deadlines.set(partial(passed.append, 0))
    others = [deadlines.set(partial(passed.append, number)) for number in range(1, 1000)]
    for limit in others:
        limit.cancel()
    first.cancel()
    last = deadlines.set(partial(passed.append, 1000))
    assert len(deadlines._set) == 1
    await asyncio.sleep(3 * LIMIT_S)
    assert passed == [1000]
    last.cancel()
    assert not deadlines._set


async def test_one_that_fails_keeps_no_other_from_passing(caplog: pytest.LogCaptureFixture) -> None:
    passed: list[int] = []
    deadlines = Deadlines(LIMIT_S)
    deadlines.set(lambda: passed.append(1 // 0))
    deadlines.set(partial(passed.append, 1))
    await asyncio.sleep(3 * LIMIT_S)
    assert passed == [1]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_one_that_passes_may_set_another(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def run() -> int:
        passed = 0
        deadlines = Deadlines(0.01)
        done = asyncio.Event()

        def past() -> None:
            nonlocal passed
            passed += 1
            if passed == 3:
                done.set()
            else:
                deadlines.set(past)

        deadlines.set(past)
        async with asyncio.timeout(5):
            await done.wait()
        return passed

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(run()) == 3
