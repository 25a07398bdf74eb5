"""What was acknowledged survives (G10): processes and servers are killed while they write."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres_processes import postmaster_of, processes_of
from adapters.postgres.migrate import upgrade
from adapters.postgres.unit_of_work import PostgresStore
from tests.concurrency.arena import Arena
from tests.concurrency.broken import EarlyStore
from tests.concurrency.conftest import NewArena
from tests.concurrency.fleet import Fleet
from tests.concurrency.history import Call
from tests.concurrency.violations import AcknowledgedLost
from tests.concurrency.writer import NOT_DEFINITE, Job, read_journal, writing
from tests.support.embedded import own_server
from wallet_core import Applied, Rejected, Replayed
from wallet_core.ports import Store

WALLETS = 6
BEFORE_THE_KILL = 150
AFTER_THE_RESTART = 100


def _resolve(arena: Arena, calls: list[Call]) -> None:
    """Send every key again that was never answered definitely, and require that it is now."""
    definite = {call.key for call in calls if call.outcome is not None and not isinstance(call.outcome, NOT_DEFINITE)}
    open_commands = {call.key: call.command for call in calls if call.key not in definite}
    outcomes = arena.carry_out(*open_commands.values()) if open_commands else []
    assert all(isinstance(outcome, Applied | Rejected | Replayed) for outcome in outcomes)


def writer_killed(arena: Arena, folder: Path, kills: int, store: Callable[[AsyncEngine], Store]) -> None:
    """Kill writers in the middle of their work. Raises a ``Violation`` if what they were told is not so."""
    wallets = arena.open_wallets(WALLETS, balance=200)
    for kill in range(kills):
        job = Job(arena.dsn, arena.tenant, wallets, folder / f"journal-{kill}", f"writer-{kill}", store)
        with writing(job) as writer:
            writer.wait_for_acknowledgements(BEFORE_THE_KILL)
            writer.process.kill()
            writer.process.join()
        arena.settle()
        calls = read_journal(job.journal)
        arena.record.calls.extend(calls)
        arena.check()
        _resolve(arena, calls)
        arena.check()


def test_what_a_killed_writer_was_told_is_in_the_ledger_once(arena: Arena, tmp_path: Path) -> None:
    writer_killed(arena, tmp_path, kills=3, store=PostgresStore)


def test_with_an_answer_before_the_commit_a_kill_loses_what_was_acknowledged(
    new_arena: NewArena, tmp_path: Path
) -> None:
    with pytest.raises(AcknowledgedLost):
        writer_killed(new_arena(), tmp_path, kills=3, store=EarlyStore)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with own_server() as server:
        asyncio.run(upgrade(server.url()))
        yield server


def _kill_postmaster(cluster: Path) -> None:
    postmaster = postmaster_of(cluster)
    assert postmaster is not None
    postmaster.send_signal(signal.SIGKILL)


def _kill_all(cluster: Path) -> None:
    # All are stopped first, so that none acts on the death of another.
    processes = processes_of(cluster)
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in processes:
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue


@pytest.mark.parametrize("kill", [_kill_postmaster, _kill_all], ids=["its postmaster", "all its processes"])
def test_what_was_acknowledged_survives_a_kill_of_the_database(
    server: EmbeddedPostgres, fleet: Fleet, tmp_path: Path, kill: Callable[[Path], None]
) -> None:
    """The writer goes on through the outage, sending what it was not told the outcome of under the same keys."""
    arena = Arena.open(server.url(), fleet)
    wallets = arena.open_wallets(WALLETS, balance=200)
    job = Job(arena.dsn, arena.tenant, wallets, tmp_path / "journal", "writer")
    with writing(job) as writer:
        writer.wait_for_acknowledgements(BEFORE_THE_KILL)
        kill(server.cluster)
        time.sleep(0.2)
        server.stop()
        server.start()
        writer.wait_for_acknowledgements(AFTER_THE_RESTART)
    calls = read_journal(job.journal)
    assert any(isinstance(call.outcome, NOT_DEFINITE) for call in calls), "the outage went unnoticed"
    arena.record.calls.extend(calls)
    arena.check()
    _resolve(arena, calls)
    arena.check()
