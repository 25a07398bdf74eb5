"""The failure lab's part of the API: a header by which a request asks for faults, and what may be asked for.

It is no part of the contract, and there only where ``WALLET_LAB`` is on (``docs/lab.md``).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

import attrs
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from msgspec import Struct

from entrypoints.http import shapes
from entrypoints.http.answers import JSON, WRITE_METHODS, Answer, problem_answer
from entrypoints.http.problems import malformed
from entrypoints.http.protocol import ABORT
from entrypoints.http.requests import header_values

PATH: Final = "/v1/lab"
HEADER: Final = "Wallet-Lab-Fault"
FIRED: Final = b"wallet-lab-fired"

_HEADER: Final = HEADER.lower().encode()


class Asked(Protocol):
    """What one request asked for: which faults struck so far, and whether it is to go without an answer."""

    fired: list[str]
    dropped: bool


class Failpoints(Protocol):
    """What makes the faults happen."""

    def ask(self, text: str, /) -> Asked:
        """Have what this task and those it starts send to the ledger fail as the header says. Raises ``ValueError``
        with a message for the client."""
        ...

    def actions(self) -> Mapping[str, Sequence[str]]:
        """What may be asked for at each point."""
        ...


class LabPoint(Struct):
    """A place where faults can strike, and what can happen there."""

    name: str
    actions: list[str]


class LabState(Struct):
    """What the lab can do on this service. ``cache``: whether there is a replay cache to fail; ``cache_asked``: whether
    this worker's next batch asks it, which it does not while it takes it to be away."""

    points: list[LabPoint]
    cache: bool
    cache_asked: bool
    workers: int
    request_timeout_ms: int


@attrs.frozen
class Lab:
    """The lab of this service. ``cache_asked`` tells whether the replay cache is asked now; None without one."""

    failpoints: Failpoints
    cache_asked: Callable[[], bool] | None
    workers: int
    request_timeout_ms: int

    def answer(self) -> Answer:
        """What the lab can do."""
        points = [LabPoint(str(point), list(actions)) for point, actions in self.failpoints.actions().items()]
        asked = self.cache_asked
        state = LabState(
            points, asked is not None, asked is not None and asked(), self.workers, self.request_timeout_ms
        )
        return Answer(200, (JSON,), shapes.encode(state))

    def is_asked(self, scope: HTTPScope) -> bool:
        """Whether the request asks for faults."""
        return bool(header_values(scope, _HEADER))

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application, with writes that may ask for faults."""

        async def with_faults(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP or scope["method"] not in WRITE_METHODS:
                await app(scope, receive, send)
                return
            if not self.is_asked(scope):
                await app(scope, receive, send)
                return
            try:
                asked = self.failpoints.ask(b",".join(header_values(scope, _HEADER)).decode("ascii"))
            except ValueError as error:
                message = "must be ASCII" if isinstance(error, UnicodeDecodeError) else str(error)
                await problem_answer(malformed(HEADER, message).problem, scope)(scope, receive, send)
                return

            async def send_or_drop(message: Message) -> None:
                if asked.dropped:
                    _abort(scope)
                    return
                if message["type"] == "http.response.start":
                    message["headers"] = [*message["headers"], (FIRED, ", ".join(asked.fired).encode())]
                await send(message)

            await app(scope, receive, send_or_drop)

        return with_faults


def _abort(scope: Scope) -> None:
    """Close the client's connection as it is."""
    cast("dict[str, Any]", scope)["extensions"][ABORT]["abort"]()
