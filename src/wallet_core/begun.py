"""Coroutines that begin within the call that makes them. What a task does, it does not do before the event loop gets to
it; and for what is there without any waiting, such as a body that came with its head, no time limit is set up."""

import asyncio
from collections.abc import Coroutine, Generator
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Begun(Generic[T]):
    """A coroutine that has been carried out up to where it first waits. It is to be awaited, unless it is done.

    Whatever it raises on the way there is raised here.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        try:
            self._waits_for: Any = coroutine.send(None)
        except StopIteration as end:
            self.is_done = True
            self._result: T = end.value
        else:
            self.is_done = False

    def result(self) -> T:
        """What it returned, if it is done."""
        return self._result

    def __await__(self) -> Generator[Any, Any, T]:
        """The rest of it: what it waits for is handed on to the task that awaits it, and back."""
        while not self.is_done:
            try:
                sent = yield self._waits_for
            except BaseException as thrown:  # noqa: BLE001 - not hidden: it is raised where the coroutine waits
                resume = partial(self._coroutine.throw, thrown)
            else:
                resume = partial(self._coroutine.send, sent)
            try:
                self._waits_for = resume()
            except StopIteration as end:
                self.is_done = True
                self._result = end.value
        return self._result


async def within(limit_s: float, coroutine: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns. Raises ``TimeoutError`` if it waits for longer than this.

    Setting up a limit takes 4 µs of the 130 µs that a write takes, and there are two in it that have nothing to bound.
    """
    begun = Begun(coroutine)
    if begun.is_done:
        return begun.result()
    async with asyncio.timeout(limit_s):
        return await begun
