"""What the embedded server does with the leftovers of an earlier one: files, processes, half-done work."""

import asyncio
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from adapters.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from adapters.embedded_postgres_processes import account_for, postmaster_of, processes_of
from tests.support.embedded import assert_keeps_data_and_stops, query, run_service, running_postmaster


def _lives(process: psutil.Process) -> bool:
    """A zombie does not: where nobody collects orphans it stays for ever."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _unused_pid() -> int:
    with subprocess.Popen(["true"]) as process:
        return process.pid


@contextmanager
def _unrelated_process(data_dir: Path) -> Iterator[int]:
    """A process of the server's own account: the one kind that PostgreSQL itself would mistake for a postmaster."""
    account = account_for(data_dir / "postgres")
    with subprocess.Popen(["sleep", "60"], user=account.uid if account else None) as process:
        yield process.pid
        assert process.poll() is None, "an unrelated process was ended"
        process.kill()


def _pid_file(data_dir: Path, pid: int) -> str:
    return f"{pid}\n{data_dir / 'postgres'}\n1700000000\n5432\n{data_dir / 'socket'}\n\n  8826964     65536\nready   \n"


def test_a_stale_pid_file_that_names_nobody_is_no_obstacle(data_dir: Path) -> None:
    (data_dir / "postgres" / "postmaster.pid").write_text(_pid_file(data_dir, _unused_pid()))
    assert_keeps_data_and_stops(data_dir)


def test_a_stale_pid_file_that_names_an_unrelated_process_is_no_obstacle(data_dir: Path) -> None:
    """Neither is the process taken for the server, nor is it ended; the same goes for the socket's lock file."""
    with _unrelated_process(data_dir) as pid:
        (data_dir / "postgres" / "postmaster.pid").write_text(_pid_file(data_dir, pid))
        (data_dir / "socket").mkdir()
        (data_dir / "socket" / ".s.PGSQL.5432.lock").write_text(_pid_file(data_dir, pid))
        (data_dir / "socket" / ".s.PGSQL.5432").touch()
        assert_keeps_data_and_stops(data_dir)


@pytest.mark.parametrize("content", ["", "\n", "12", "garbage", "-1\n", "\x00\xff\x00", "99999999999999999999\n" * 8])
def test_a_pid_file_of_garbage_is_no_obstacle(data_dir: Path, content: str) -> None:
    (data_dir / "postgres" / "postmaster.pid").write_bytes(content.encode("latin-1"))
    assert_keeps_data_and_stops(data_dir)


@pytest.mark.parametrize("content", [None, b"", b"garbage\xff", b"1\n"])
def test_a_running_server_with_a_broken_pid_file_is_replaced(data_dir: Path, content: bytes | None) -> None:
    run_service(data_dir, then="os._exit(0)")
    left = running_postmaster(data_dir)
    pid_file = data_dir / "postgres" / "postmaster.pid"
    pid_file.unlink() if content is None else pid_file.write_bytes(content)
    with EmbeddedPostgres(data_dir) as server:
        assert query(server, "SELECT value FROM kept") == 42
        assert running_postmaster(data_dir).pid != left.pid
    assert processes_of(data_dir / "postgres") == []


def test_a_server_left_by_a_killed_service_is_taken_over_and_stopped(data_dir: Path) -> None:
    assert run_service(data_dir, then="os.kill(os.getpid(), signal.SIGKILL)").returncode == -signal.SIGKILL
    left = running_postmaster(data_dir)
    with EmbeddedPostgres(data_dir) as server:
        assert running_postmaster(data_dir) == left
        assert query(server, "SELECT value FROM kept") == 42
    assert processes_of(data_dir / "postgres") == []
    assert_keeps_data_and_stops(data_dir)


def test_a_running_server_whose_socket_was_removed_is_replaced(data_dir: Path) -> None:
    run_service(data_dir, then="os._exit(0)")
    (data_dir / "socket" / ".s.PGSQL.5432").unlink()
    assert_keeps_data_and_stops(data_dir)


def test_a_server_that_is_still_stopping_is_waited_for(data_dir: Path) -> None:
    run_service(data_dir, then="os._exit(0)")
    left = running_postmaster(data_dir)
    left.send_signal(signal.SIGINT)
    assert_keeps_data_and_stops(data_dir)
    assert not _lives(left)


@pytest.mark.parametrize("busy", ["SELECT pg_sleep(300)", "INSERT INTO kept SELECT generate_series(1, 100000000)"])
def test_after_a_kill_of_the_server_its_orphans_end_and_acknowledged_data_is_back(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, busy: str
) -> None:
    """Some orphans notice by themselves; one that computes does not, and is ended."""
    monkeypatch.setattr("adapters.embedded_postgres_processes.ORPHANS_S_MAX", 1.0)

    async def kill_under_load(server: EmbeddedPostgres) -> None:
        worker = await asyncpg.connect(server.url())
        writer = await asyncpg.connect(server.url())
        running = asyncio.ensure_future(worker.execute(busy))
        await writer.execute("INSERT INTO kept VALUES (44)")
        await asyncio.sleep(0.3)
        running_postmaster(data_dir).kill()
        killed_at = time.monotonic()
        server.stop()
        assert time.monotonic() - killed_at < 10
        assert processes_of(data_dir / "postgres") == []
        server.start()
        with pytest.raises((asyncpg.PostgresError, OSError)):
            await running

    server = EmbeddedPostgres(data_dir)
    server.start()
    asyncio.run(kill_under_load(server))
    assert query(server, "SELECT array_agg(value ORDER BY value) FROM kept") == [42, 44]
    server.stop()


def test_a_start_waits_for_orphans_of_a_server_that_was_killed_with_its_service(data_dir: Path) -> None:
    """Two generations of processes on one cluster would destroy it."""
    then = "import psutil\nprint(server._server.pid)\nsys.stdout.flush()\nos._exit(0)"
    run_service(data_dir, then)
    orphans = [process for process in processes_of(data_dir / "postgres") if process != running_postmaster(data_dir)]
    held = orphans[0]
    held.suspend()
    running_postmaster(data_dir).kill()
    release = threading.Timer(1.5, held.resume)
    release.start()
    started_at = time.monotonic()
    assert_keeps_data_and_stops(data_dir)
    assert time.monotonic() - started_at > 1.4
    release.join()


def _when_starting(data_dir: Path, act: Callable[[psutil.Process], None]) -> threading.Thread:
    def watch() -> None:
        for _ in range(10_000):
            process = postmaster_of(data_dir / "postgres")
            if process is not None:
                act(process)
                return
            time.sleep(0.001)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_a_server_that_takes_longer_than_ten_seconds_is_waited_for(data_dir: Path) -> None:
    """As in the recovery after a crash; pg_ctl's and the wheel's own limits are shorter than some recoveries."""

    def delay(postmaster: psutil.Process) -> None:
        postmaster.suspend()
        time.sleep(11)
        postmaster.resume()

    thread = _when_starting(data_dir, delay)
    started_at = time.monotonic()
    assert_keeps_data_and_stops(data_dir)
    assert time.monotonic() - started_at > 11
    thread.join()


def test_the_wait_for_a_server_ends_and_nothing_is_left_running(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("FAST_STOP_S_MAX", "IMMEDIATE_STOP_S_MAX"):
        monkeypatch.setattr(f"adapters.embedded_postgres_processes.{limit}", 0.2)
    thread = _when_starting(data_dir, lambda postmaster: postmaster.suspend())
    with pytest.raises(EmbeddedPostgresError, match=r"was not ready after 0\.5 s"):
        EmbeddedPostgres(data_dir, ready_s_max=0.5).start()
    thread.join()
    assert processes_of(data_dir / "postgres") == []
    assert_keeps_data_and_stops(data_dir)


def test_an_interrupted_first_start_is_begun_again(new_data_dir: Path) -> None:
    unfinished = new_data_dir / "postgres.new"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(new_data_dir) as server:
        assert query(server, "SELECT 1") == 1
    assert not unfinished.exists()


def test_a_server_whose_folder_was_deleted_is_ended(data_dir: Path) -> None:
    run_service(data_dir, then="os._exit(0)")
    left = running_postmaster(data_dir)
    shutil.rmtree(data_dir)
    with EmbeddedPostgres(data_dir) as server:
        assert not _lives(left)
        assert query(server, "SELECT 1") == 1
