"""The embedded server, on the real binaries: first start, restart, refusals, and its end with the service."""

import os
import subprocess
from pathlib import Path

import pytest

from adapters.embedded_postgres import DataDirInUse, EmbeddedPostgres, EmbeddedPostgresError
from adapters.embedded_postgres_processes import processes_of
from tests.support.embedded import assert_keeps_data_and_stops, query, run_service


def test_a_first_start_makes_a_cluster_and_the_database_wallet(new_data_dir: Path) -> None:
    with EmbeddedPostgres(new_data_dir) as server:
        assert query(server, "SELECT current_database()") == "wallet"
        assert query(server, "SELECT current_setting('listen_addresses')") == ""
        settings = "SELECT string_agg(setting, ' ') FROM pg_settings WHERE name IN "
        assert query(server, settings + "('fsync', 'synchronous_commit', 'full_page_writes')") == "on on on"
        assert query(server, "SELECT current_setting('shared_buffers')") == "256MB"
        assert (new_data_dir / "postgres").stat().st_mode & 0o777 == 0o700
        assert (new_data_dir / "socket").stat().st_mode & 0o777 == 0o700
    assert processes_of(new_data_dir / "postgres") == []


def test_a_folder_closed_to_others_is_entered_by_the_servers_user_and_stays_unreadable(new_data_dir: Path) -> None:
    new_data_dir.parent.chmod(0o700)
    with EmbeddedPostgres(new_data_dir) as server:
        assert query(server, "SELECT 1") == 1
    assert new_data_dir.parent.stat().st_mode & 0o066 == 0


def test_data_is_kept_between_runs(data_dir: Path) -> None:
    assert_keeps_data_and_stops(data_dir)
    with EmbeddedPostgres(data_dir) as server:
        assert query(server, "SELECT count(*) FROM kept") == 2


def test_an_address_exists_only_while_the_server_runs(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    with pytest.raises(RuntimeError, match="not started"):
        server.url()
    server.start()
    with pytest.raises(RuntimeError, match="started already"):
        server.start()
    assert query(server, "SELECT 1") == 1
    server.stop()
    server.stop()
    with pytest.raises(RuntimeError, match="not started"):
        server.url()


def test_a_second_service_is_refused_and_leaves_the_first_alone(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as first:
        with pytest.raises(DataDirInUse, match=f"{data_dir}.*process {os.getpid()}"):
            EmbeddedPostgres(data_dir).start()
        second = run_service(data_dir, then="print('started')")
        assert second.returncode != 0
        assert f"the data folder {data_dir} is in use" in second.stderr
        assert query(first, "SELECT value FROM kept") == 42
    assert_keeps_data_and_stops(data_dir)


def test_a_forked_child_does_not_stop_its_parents_server(data_dir: Path) -> None:
    then = (
        "if os.fork() == 0:\n    server.stop(); os._exit(0)\n"
        "os.wait()\nprint(server._sql('wallet', 'SELECT value FROM kept').strip())\nserver.stop()"
    )
    assert run_service(data_dir, then).stdout == "42\n"


@pytest.mark.parametrize("end", ["pass", "sys.exit(3)", "raise ValueError"])
def test_a_service_that_forgets_to_stop_stops_the_server_when_it_ends(data_dir: Path, end: str) -> None:
    run = run_service(data_dir, then=f"print(server.url())\n{end}")
    assert run.stdout.startswith("postgresql://")
    assert processes_of(data_dir / "postgres") == []


@pytest.mark.parametrize("setting", ["fsync", "synchronous_commit", "full_page_writes"])
def test_a_server_that_could_lose_acknowledged_writes_is_refused(data_dir: Path, setting: str) -> None:
    with (data_dir / "postgres" / "postgresql.auto.conf").open("a") as file:
        file.write(f"{setting} = off\n")
    with pytest.raises(EmbeddedPostgresError, match=f"could lose acknowledged writes: {setting} = off"):
        EmbeddedPostgres(data_dir).start()
    assert processes_of(data_dir / "postgres") == []


def test_a_durability_setting_of_the_database_alone_is_seen_too(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        query(server, "ALTER DATABASE wallet SET synchronous_commit = 'local'")
    with pytest.raises(EmbeddedPostgresError, match="synchronous_commit = local"):
        EmbeddedPostgres(data_dir).start()


def test_a_server_that_ends_while_it_starts_is_reported_with_its_log(data_dir: Path) -> None:
    with (data_dir / "postgres" / "postgresql.auto.conf").open("a") as file:
        file.write("shared_buffers = 'no number'\n")
    with pytest.raises(EmbeddedPostgresError, match=r"(?s)ended while it started.*shared_buffers"):
        EmbeddedPostgres(data_dir).start()
    with pytest.raises(EmbeddedPostgresError, match="ended while it started"):
        EmbeddedPostgres(data_dir).start()


def test_files_that_are_no_cluster_are_left_alone(new_data_dir: Path) -> None:
    treasure = new_data_dir / "postgres" / "thesis.txt"
    treasure.parent.mkdir(parents=True)
    treasure.write_text("years of work")
    with pytest.raises(EmbeddedPostgresError, match="holds files, but no PostgreSQL cluster"):
        EmbeddedPostgres(new_data_dir).start()
    assert treasure.read_text() == "years of work"


def test_a_cluster_of_another_version_is_refused(data_dir: Path) -> None:
    (data_dir / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedPostgresError, match="written by PostgreSQL 16"):
        EmbeddedPostgres(data_dir).start()


def test_a_data_folder_that_cannot_be_made_is_reported_as_such(new_data_dir: Path) -> None:
    new_data_dir.write_text("a file")
    with pytest.raises(EmbeddedPostgresError, match=f"cannot be started in {new_data_dir}"):
        EmbeddedPostgres(new_data_dir).start()


@pytest.mark.parametrize("name", ["a b", "a,b", "ü#?&=%25", "it's", "long" * 30])
def test_any_folder_name_will_do(prepared: Path, new_data_dir: Path, name: str) -> None:
    """A socket's path is short, and a comma separates hosts; the socket is elsewhere then, and still private."""
    data_dir = new_data_dir / name
    new_data_dir.mkdir()
    subprocess.run(["cp", "-a", str(prepared), str(data_dir)], check=True)
    with EmbeddedPostgres(data_dir) as server:
        assert query(server, "SELECT value FROM kept") == 42
    assert processes_of(data_dir / "postgres") == []


def test_the_environment_of_other_postgres_tools_does_not_redirect_the_server(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "PGPORT": "1",
        "PGHOST": "/nowhere",
        "PGDATA": "/nowhere",
        "PGOPTIONS": "-c nonsense=1",
    }.items():
        monkeypatch.setenv(name, value)
    with EmbeddedPostgres(data_dir) as server:
        for name in ("PGPORT", "PGHOST", "PGDATA", "PGOPTIONS"):
            monkeypatch.delenv(name)
        assert query(server, "SELECT value FROM kept") == 42


def test_the_log_of_the_run_before_is_kept_and_no_older_one(data_dir: Path) -> None:
    for _ in range(3):
        assert_keeps_data_and_stops(data_dir)
    assert sorted(path.name for path in data_dir.glob("postgres.log*")) == ["postgres.log", "postgres.log.1"]
