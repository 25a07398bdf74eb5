"""Writes that are begun without a task, on a real server: each is answered once, and in its turn."""

import asyncio
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import ClassVar, Final
from uuid import UUID

import attrs
import pytest
from litestar.types import HTTPScope

from adapters.memory import MemoryStore
from entrypoints.http.app import create_app
from entrypoints.http.edge import Edge
from entrypoints.http.server import GRACE_S_MAX
from entrypoints.http.service import Service
from tests.http.api import KnownKeys
from tests.http.test_protocol import ANSWER_S_MAX, SmallProtocol, running, statuses, until_closed
from wallet_core.commands import Command
from wallet_core.outcomes import Outcome, Overloaded

TIMEOUT_S: Final = 0.4
GRACE_S: Final = 1

BODY: Final = b'{"currency": "EUR"}'


class Kept(SmallProtocol):
    """Limits that a test can reach."""

    connections_max: ClassVar[int] = 10


@attrs.define
class Slow:
    """A ledger that takes its time. ``busy_s``: for so long nothing else happens once the outcome is there."""

    after_s: float = 0.0
    busy_s: float = 0.0
    _task: "asyncio.Task[None] | None" = attrs.field(default=None, init=False)

    def execute(self, tenant: UUID, commands: Sequence[Command]) -> "asyncio.Future[Sequence[Outcome]]":
        outcome: asyncio.Future[Sequence[Outcome]] = asyncio.get_running_loop().create_future()
        self._task = asyncio.ensure_future(self._decide(outcome))
        return outcome

    async def _decide(self, outcome: "asyncio.Future[Sequence[Outcome]]") -> None:
        await asyncio.sleep(self.after_s)
        outcome.set_result([Overloaded()])
        time.sleep(self.busy_s)  # noqa: ASYNC251 - as a process that has much to do


@attrs.define
class Told:
    """What a watch is told."""

    statuses: list[int] = attrs.field(factory=list)

    def __call__(self, scope: HTTPScope, status: int, seconds: float) -> None:
        self.statuses.append(status)


@attrs.define
class Serving:
    """A service in a thread."""

    address: tuple[str, int]
    edge: Edge
    told: Told

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=ANSWER_S_MAX)

    def assert_at_rest(self, answers: int) -> None:
        deadline = time.monotonic() + ANSWER_S_MAX
        while len(self.told.statuses) < answers:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert len(self.told.statuses) == answers
        assert self.edge._bodies_bytes == 0


@contextmanager
def serving(ledger: Slow, timeout_s: float = TIMEOUT_S) -> Iterator[Serving]:
    told = Told()
    app = create_app(Service(ledger, MemoryStore(), MemoryStore(), KnownKeys(), timeout_s), watch=told)
    assert isinstance(app, Edge)
    with running(app, Kept, GRACE_S) as address:
        yield Serving(address, app, told)


def write(*headers: str, body: bytes = BODY, length: int | None = None, api_key: str = "all") -> bytes:
    lines = [
        "POST /v1/wallets HTTP/1.1",
        "Host: wallet",
        f"Authorization: Bearer {api_key}",
        "Idempotency-Key: k",
        "Content-Type: application/json",
        f"Content-Length: {len(body) if length is None else length}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


REFUSED: Final = write(api_key="reader")
LAST: Final = "Connection: close"


def test_an_outcome_that_comes_as_its_time_is_up_is_one_answer() -> None:
    """A second one would be taken for that to the next request, which may be of somebody else."""
    with serving(Slow(TIMEOUT_S * 0.8, busy_s=TIMEOUT_S * 0.5)) as service, service.connect() as connection:
        connection.sendall(write())
        first = connection.recv(65_536)
        time.sleep(0.1)
        connection.sendall(write(LAST, api_key="reader"))
        assert statuses(first + until_closed(connection)) == [b"503", b"403"]
        service.assert_at_rest(2)


@pytest.mark.parametrize("first", [REFUSED, write()], ids=["refused", "carried out"])
def test_a_request_whose_rest_never_comes_is_given_up_also_where_it_came_behind_another(first: bytes) -> None:
    with serving(Slow(0.05)) as service, service.connect() as connection:
        began = time.monotonic()
        connection.sendall(first + write(LAST, body=BODY[:5], length=len(BODY)))
        connection.settimeout(TIMEOUT_S * 5)
        answers = until_closed(connection)
        assert len(statuses(answers)) == 2
        assert statuses(answers)[1] == b"400"
        assert time.monotonic() - began < TIMEOUT_S * 4
        service.assert_at_rest(2)


@pytest.mark.parametrize("first", [REFUSED, write()], ids=["refused", "carried out"])
def test_a_body_is_asked_for_also_where_its_head_came_behind_another_request(first: bytes) -> None:
    with serving(Slow(0.05)) as service, service.connect() as connection:
        connection.sendall(first + write("Expect: 100-continue", LAST, body=b"", length=len(BODY)))
        connection.settimeout(TIMEOUT_S * 3)
        received = b""
        while b"100 Continue" not in received:
            piece = connection.recv(65_536)
            assert piece
            received += piece
        connection.sendall(BODY)
        received += until_closed(connection)
        assert len(statuses(received)) == 3
        service.assert_at_rest(2)


def test_a_connection_is_kept_after_a_refusal_as_after_any_answer() -> None:
    with serving(Slow()) as service, service.connect() as connection:
        for last in ((), (LAST,)):
            connection.sendall(write(*last, api_key="reader"))
            answer = connection.recv(65_536)
            assert statuses(answer) == [b"403"]
            time.sleep(Kept.head_s_max * 2)


def test_many_refused_at_once_are_answered_in_order() -> None:
    with serving(Slow()) as service, service.connect() as connection:
        connection.sendall(REFUSED * 2 + write() + write(LAST, api_key="nobody's"))
        assert statuses(until_closed(connection)) == [b"403", b"403", b"503", b"401"]
        service.assert_at_rest(4)


def test_a_client_that_leaves_takes_nothing_along() -> None:
    with serving(Slow(0.1)) as service:
        for _ in range(3):
            with service.connect() as connection:
                connection.sendall(write())
                time.sleep(0.02)
        service.assert_at_rest(3)


@pytest.mark.parametrize("timeout_s", [GRACE_S * 0.9, GRACE_S_MAX + 1], ids=["short", "long"])
def test_who_waits_at_the_end_of_the_server_is_told_that_the_outcome_is_unknown(timeout_s: float) -> None:
    """Also who came behind another one, and where requests may take longer than the end does."""
    with ExitStack() as connections:
        with serving(Slow(60), timeout_s) as service:
            connection = connections.enter_context(service.connect())
            connection.sendall(write() * (2 if timeout_s < GRACE_S else 1))
            time.sleep(0.2)
        answers = until_closed(connection)
    assert set(statuses(answers)) == {b"504"}
    assert len(statuses(answers)) == (2 if timeout_s < GRACE_S else 1)
    assert answers.count(b"connection: close") == 1
