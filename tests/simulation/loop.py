"""An event loop with a time and an order of its own: both follow from a seed, and a run takes no time of the machine.

Time moves only when nothing is ready, and then at once to the next timer. Of the callbacks that are ready any may be
the next: tasks that are ready together do run in any order, and a future promises its waiters none. A process of the
simulated service can be killed, or stopped for a while: everything that its tasks wait for then never happens to it,
or happens later.
"""

import asyncio
import contextvars
import heapq
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

CALLBACKS_MAX: Final = 200_000
"""After how many callbacks a run counts as one that never ends."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Hung(Exception):
    """Something is still waited for, and nothing is left that could happen."""


class Endless(Exception):
    """Things keep happening, and the end does not come."""


class Process:
    """What dies together. All that its tasks start belongs to it too."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.stopped_until = 0.0
        self.context = contextvars.copy_context()
        self.context.run(_process.set, self)


_process: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class _Handle(asyncio.TimerHandle):
    """A callback that is to come. Nothing of asyncio's own but ``cancel`` is used of it, so no more is set up."""

    __slots__ = ("arguments", "callback", "called_off", "context")

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        arguments: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> None:
        self._when = when
        self.callback = callback
        self.arguments = arguments
        self.context = contextvars.copy_context() if context is None else context
        self.called_off = False

    def cancel(self) -> None:
        self.called_off = True

    def cancelled(self) -> bool:
        return self.called_off


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs one coroutine, and all that it starts, to the end. ``time`` is in seconds from 0."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._draw = random.random
        self._now = 0.0
        self._runnable: list[_Handle] = []
        self._timers: list[tuple[float, float, _Handle]] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self._disturbed = False
        self._context = contextvars.copy_context()
        self.callbacks = 0
        self.complaints: list[str] = []

    def time(self) -> float:
        return self._now

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = _Handle(self._now, callback, args, context)
        self._runnable.append(handle)
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = _Handle(when, callback, args, context)
        self._push(when, handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def outside(self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts) -> asyncio.TimerHandle:
        """Call back later, whatever happens to the process that asks: what the world does, and not the process."""
        return self.call_at(self._now + delay, callback, *args, context=self._context)

    def create_task(  # type: ignore[override] # nothing but coroutines is made into tasks here
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: contextvars.Context | None = None
    ) -> asyncio.Task[T]:
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        return task

    def pause(self, delay: float) -> "asyncio.Future[None]":
        """What ``asyncio.sleep`` waits for, with less ado."""
        future: asyncio.Future[None] = asyncio.Future(loop=self)
        self.call_at(self._now + delay, settle, future)
        return future

    def kill(self, process: Process) -> None:
        """Nothing of this process runs any more: no handler, no ``finally``."""
        process.alive = False
        self._disturbed = True

    def stop_for(self, process: Process, seconds: float) -> None:
        """Nothing of this process runs for so long; then it goes on and knows nothing of it."""
        process.stopped_until = self._now + seconds
        self._disturbed = True

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.complaints.append(f"{context.get('message')}: {context.get('exception')!r}")

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run to the end. Raises ``Hung`` or ``Endless`` if there is none."""
        task: asyncio.Task[T] = self.create_task(main, context=self._context)
        asyncio._set_running_loop(self)
        try:
            while not task.done():
                self._turn()
            return task.result()
        finally:
            self._bury()
            asyncio._set_running_loop(None)
            self.close()

    def _turn(self) -> None:
        ready, timers = self._runnable, self._timers
        if not ready:
            if not timers:
                raise Hung
            self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            ready.append(heapq.heappop(timers)[2])
        place = int(self._draw() * len(ready))
        handle, ready[place] = ready[place], ready[-1]
        ready.pop()
        self.callbacks += 1
        if self.callbacks > CALLBACKS_MAX:
            raise Endless
        if handle.called_off or (self._disturbed and self._held_back(handle)):
            return
        handle.context.run(handle.callback, *handle.arguments)

    def _held_back(self, handle: _Handle) -> bool:
        process = handle.context.get(_process)
        if process is None:
            return False
        if process.alive and process.stopped_until > self._now:
            self._push(process.stopped_until, handle)
            return True
        return not process.alive

    def _push(self, when: float, handle: _Handle) -> None:
        # Of timers for one moment any may be the first.
        heapq.heappush(self._timers, (when, self._draw(), handle))

    def _bury(self) -> None:
        """End the tasks that were killed, or that nobody waits for any more: here, and not when memory is tidied up."""
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined] # C has it, the type stubs do not
                coroutine = task.get_coro()
                if isinstance(coroutine, Coroutine):
                    coroutine.close()
        self._tasks.clear()
        self._timers.clear()
        self._runnable.clear()


def settle(future: "asyncio.Future[None]") -> None:
    """Have what waits for the future go on, if it still waits."""
    if not future.done():
        future.set_result(None)


def fail(future: "asyncio.Future[None]", error: Exception) -> None:
    """Have what waits for the future go on with an error, if it still waits."""
    if not future.done():
        future.set_exception(error)
        # Nobody waits any more in a process that was killed, and that is no fault of the program.
        future.exception()


def current_process() -> Process | None:
    """The process of the task that runs; None for what belongs to no process of the service."""
    return _process.get()
