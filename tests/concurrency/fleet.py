"""Several processes that wait for one another and then race: a barrier, and a pipe to each."""

import asyncio
import contextlib
import functools
import multiprocessing
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Barrier
from typing import Final

from tests.concurrency.clients import Job, Record, carry_out

PROCESSES: Final = 4
START_S_MAX: Final = 30.0
JOB_S_MAX: Final = 60.0
END_S_MAX: Final = 5.0


class FleetError(Exception):
    """A process of the fleet failed or hung; the message is its traceback."""


class Fleet:
    """``PROCESSES`` processes that stay, since starting one costs more than most races take. A context manager."""

    def __init__(self) -> None:
        # Forking would copy this process's event loop, sockets and threads; a service's processes share none of those.
        self._context = multiprocessing.get_context("spawn")
        self._barrier = self._context.Barrier(PROCESSES)
        self._members: list[tuple[SpawnProcess, Connection]] = []

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, *failure: object) -> None:
        for _, pipe in self._members:
            # One that died has closed its end.
            with contextlib.suppress(OSError):
                pipe.send(None)
        self._end(END_S_MAX)

    def race(self, jobs: Sequence[Job]) -> Record:
        """Have each process do its job, all starting at once, and return what all of them did and saw.

        Raises ``FleetError`` if one fails or takes longer than ``JOB_S_MAX`` seconds.
        """
        if not self._members:
            self._start()
        for (_, pipe), job in zip(self._members, jobs, strict=True):
            pipe.send(job)
        together = Record()
        failures: list[str] = []
        for process, pipe in self._members:
            if not pipe.poll(JOB_S_MAX):
                self._end(wait_s=0.0)
                raise FleetError(f"{process.name} has not answered within {JOB_S_MAX:.0f} s")
            answer: Record | str = pipe.recv()
            if isinstance(answer, str):
                failures.append(answer)
            else:
                together.calls.extend(answer.calls)
                together.looks.extend(answer.looks)
        if failures:
            self._end(wait_s=0.0)
            raise FleetError("\n".join(failures))
        return together

    def _start(self) -> None:
        self._barrier = self._context.Barrier(PROCESSES)
        for number in range(PROCESSES):
            ours, theirs = self._context.Pipe()
            member: SpawnProcess = self._context.Process(
                target=_serve, args=(theirs, self._barrier), name=f"racer-{number}", daemon=True
            )
            member.start()
            theirs.close()
            self._members.append((member, ours))

    def _end(self, wait_s: float) -> None:
        for process, pipe in self._members:
            process.join(wait_s)
            if process.is_alive():
                process.kill()
                process.join(END_S_MAX)
            pipe.close()
        self._members.clear()


def _serve(pipe: Connection, barrier: Barrier) -> None:
    """What a process of the fleet does: one job after the other, until told to end or left alone."""
    ready = functools.partial(barrier.wait, START_S_MAX)
    while True:
        try:
            job: Job | None = pipe.recv()
        except EOFError:
            return
        if job is None:
            return
        try:
            pipe.send(asyncio.run(carry_out(job, ready)))
        except Exception:  # noqa: BLE001 - not hidden: the traceback goes to the process that asked
            # The others of this race would otherwise wait for one that never comes.
            barrier.abort()
            pipe.send(traceback.format_exc())
