"""How a client insists: the same request again, after longer and longer random waits, until a deadline.

The waits are *full jitter* (exponential backoff, of which a random share is waited), so that many clients who were
turned away together do not come back together. The library is tenacity.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar, cast

import attrs
from attrs import validators
from tenacity import AsyncRetrying, RetryCallState
from tenacity.retry import retry_if_result
from tenacity.wait import wait_random_exponential

ATTEMPT_S_MIN: Final = 0.05
"""An attempt with less time than this would only be cut off, and leave in doubt what was clear before."""


class Attempted(Protocol):
    """What came of one attempt."""

    @property
    def again(self) -> bool:
        """Whether the same is to be sent again."""
        ...

    @property
    def retry_after_s(self) -> float:
        """How long to wait at least, in seconds: what the service asked for."""
        ...


T = TypeVar("T", bound=Attempted)


@attrs.frozen
class Retries:
    """How long a client insists. All times in seconds.

    ``now`` and ``sleep`` are the clock, for tests that do not want to wait.
    """

    deadline_s: float = attrs.field(default=30.0, validator=validators.gt(0))
    """For the whole intent: all attempts, and the waits between them."""
    attempt_s: float = attrs.field(default=10.0, validator=validators.gt(0))
    """For one attempt, until its answer is complete. More than the service's own limit, so that the service says that
    it does not know, instead of leaving it to be guessed."""
    connect_s: float = attrs.field(default=2.0, validator=validators.gt(0))
    """For a connection. Until there is one nothing was sent, so giving up on it leaves nothing in doubt."""
    backoff_s_first: float = attrs.field(default=0.1, validator=validators.ge(0))
    """The longest first wait. It doubles with each attempt."""
    backoff_s_max: float = attrs.field(default=5.0, validator=validators.ge(0))
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def insist(self, attempt: Callable[[float], Awaitable[T]]) -> T:
        """What the last attempt came to: the first that needs no other, or the one after which there is no time left.

        ``attempt`` is given the seconds that it may take. What it raises is raised.
        """
        ends_at = self.now() + self.deadline_s
        full_jitter = wait_random_exponential(multiplier=self.backoff_s_first, max=self.backoff_s_max)

        async def once() -> T:
            return await attempt(min(self.attempt_s, max(ATTEMPT_S_MIN, ends_at - self.now())))

        def wait_s(state: RetryCallState) -> float:
            # On top of what the service asked for, or all who were told the same would be back at the same moment.
            asked_for_s: float = _result(state).retry_after_s
            return asked_for_s + full_jitter(state)

        def is_too_late(state: RetryCallState) -> bool:
            return self.now() + state.upcoming_sleep + ATTEMPT_S_MIN > ends_at

        retrying = AsyncRetrying(
            retry=retry_if_result(lambda attempted: attempted.again),
            wait=wait_s,
            stop=is_too_late,
            sleep=self.sleep,
            retry_error_callback=_result,
        )
        return cast(T, await retrying(once))


def _result(state: RetryCallState) -> Any:
    if state.outcome is None:
        raise RuntimeError("there has been no attempt")
    return state.outcome.result()
