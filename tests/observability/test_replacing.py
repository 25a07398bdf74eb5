"""When a worker is replaced: when it is dead, or has been silent for too long, and not while it starts."""

import threading
import time
from typing import Any

import attrs
import pytest
from uvicorn.config import STARTUP_FAILURE

from entrypoints.http import server


@attrs.define
class Child:
    """A process as its parent sees it."""

    pid: int = 7
    alive: bool = True
    answers: bool = True
    exitcode: int | None = None
    started: bool = False

    @property
    def process(self) -> "Child":
        return self

    def is_alive(self) -> bool:
        return self.alive

    def ping(self, timeout: float) -> bool:
        return self.answers

    def kill(self) -> None:
        self.alive, self.exitcode = False, -9

    def join(self) -> None:
        assert not self.alive

    def start(self) -> None:
        self.started = True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(server, "Process", lambda config, sockets: Child(pid=8))
    return now


def parent_of(child: Child) -> Any:
    workers: Any = server._Workers.__new__(server._Workers)
    workers.processes, workers.should_exit, workers._heard_at = [child], threading.Event(), {}
    workers.config, workers.sockets = None, []
    return workers


@pytest.mark.parametrize("heard_before", [True, False])
def test_a_silent_process_is_replaced_after_half_a_minute_and_no_sooner(clock: list[float], heard_before: bool) -> None:
    child = Child(answers=heard_before)
    workers = parent_of(child)
    workers.keep_subprocess_alive()
    child.answers = False
    clock[0] = server.SILENT_S_MAX - 1
    workers.keep_subprocess_alive()
    assert workers.processes == [child]
    clock[0] = server.SILENT_S_MAX
    workers.keep_subprocess_alive()
    assert child.exitcode == -9
    assert workers.processes == [Child(pid=8, started=True)]
    assert not workers.should_exit.is_set()


def test_a_dead_process_is_replaced_at_once(clock: list[float]) -> None:
    workers = parent_of(Child(alive=False, exitcode=-9))
    workers.keep_subprocess_alive()
    assert workers.processes == [Child(pid=8, started=True)]


def test_one_that_cannot_start_ends_the_service(clock: list[float]) -> None:
    workers = parent_of(Child(alive=False, exitcode=STARTUP_FAILURE))
    workers.keep_subprocess_alive()
    assert workers.should_exit.is_set()
