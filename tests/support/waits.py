"""Waiting for what another process does, where there is no event to await."""

import asyncio
from collections.abc import Awaitable, Callable

POLL_S = 0.01
WAIT_S_MAX = 15.0


async def until(holds: Callable[[], Awaitable[object]], within_s: float = WAIT_S_MAX) -> None:
    """Return when it holds. Raises ``AssertionError`` if it does not come to hold in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not await holds():
        if loop.time() > deadline:
            raise AssertionError(f"did not come to hold within {within_s} s")
        await asyncio.sleep(POLL_S)
