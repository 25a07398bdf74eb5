"""The command line: help for newcomers, one line for every error, and keys."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.http.process import run, serving

NOWHERE = "postgresql://postgres@127.0.0.1:1/wallet"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--help",), "WALLET_DATABASE_URL"),
        (("serve", "--help"), "WALLET_PORT"),
        (("db", "--help"), "upgrade"),
        (("keys", "--help"), "revoke"),
        (("keys", "create", "--help"), "--create-tenant"),
    ],
)
def test_help_says_what_there_is(arguments: tuple[str, ...], said: str) -> None:
    shown = run(*arguments)
    assert shown.returncode == 0
    assert said in shown.stdout


def one_line(*arguments: str, **settings: str) -> str:
    """The single line that a command fails with."""
    failed = run(*arguments, **settings)
    assert failed.returncode == 1, failed.stdout
    assert failed.stdout == ""
    (line,) = failed.stderr.splitlines()
    return line


def test_a_setting_that_does_not_parse_stops_the_start_and_is_named() -> None:
    assert one_line("serve", WALLET_PORT="http").startswith("wallet: WALLET_PORT ")
    assert one_line("serve", WALLET_PROT="8080").startswith("wallet: WALLET_PROT ")
    assert one_line("keys", "list", WALLET_DATABASE_URL="mysql://localhost").startswith("wallet: WALLET_DATABASE_URL ")


@pytest.mark.parametrize("arguments", [("serve",), ("db", "upgrade"), ("db", "status"), ("keys", "list")])
def test_a_database_that_cannot_be_reached_is_one_line(arguments: tuple[str, ...]) -> None:
    line = one_line(*arguments, WALLET_DATABASE_URL=NOWHERE, WALLET_PORT="0")
    assert line.startswith("wallet: the database cannot be used: ")
    assert "Traceback" not in line


def test_a_password_is_in_no_error(database: str) -> None:
    url = "postgresql://postgres:hunter2@127.0.0.1:1/wallet"
    assert "hunter2" not in one_line("serve", WALLET_DATABASE_URL=url, WALLET_PORT="0")


def test_an_address_that_is_taken_is_one_line(database: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = one_line("serve", WALLET_DATABASE_URL=database, WALLET_PORT=port)
    assert line.startswith(f"wallet: cannot listen on 127.0.0.1 port {port}: ")


def test_a_data_folder_that_is_none_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert "wallet: " in one_line("serve", WALLET_DATA_DIR=str(file), WALLET_PORT="0")


def test_a_schema_that_is_absent_stops_the_start(create_database: Callable[[], str]) -> None:
    empty = create_database()
    line = one_line("serve", WALLET_DATABASE_URL=empty, WALLET_PORT="0")
    assert "wallet db upgrade" in line
    assert "WALLET_AUTO_MIGRATE" in line
    assert "wallet db upgrade" in one_line("keys", "list", WALLET_DATABASE_URL=empty)
    status = run("db", "status", WALLET_DATABASE_URL=empty)
    assert (status.returncode, status.stdout.partition(":")[0]) == (1, "absent")
    assert run("db", "upgrade", WALLET_DATABASE_URL=empty).returncode == 0
    status = run("db", "status", WALLET_DATABASE_URL=empty)
    assert (status.returncode, status.stdout.partition(":")[0]) == (0, "current")
    assert run("db", "upgrade", WALLET_DATABASE_URL=empty).returncode == 0


def test_a_key_is_made_shown_once_listed_and_revoked(database: str) -> None:
    settings = {"WALLET_DATABASE_URL": database}
    made = run("keys", "create", "--name", "till", "--scope", "read", "--scope", "write", **settings)
    assert made.returncode == 0
    (secret,) = made.stdout.split()
    id = made.stderr.split()[1]
    listed = run("keys", "list", **settings)
    assert secret not in listed.stdout
    (row,) = (line for line in listed.stdout.splitlines() if id in line)
    assert row.split()[1:4] == ["default", "till", "read,write"]
    assert row.endswith("active")
    revoked = run("keys", "revoke", id, **settings)
    assert (revoked.returncode, revoked.stderr) == (0, "")
    assert "revoked" in run("keys", "list", "--tenant", "default", **settings).stdout


def test_a_tenant_is_made_only_when_that_is_asked_for(database: str) -> None:
    settings = {"WALLET_DATABASE_URL": database}
    assert "--create-tenant" in one_line("keys", "create", "--tenant", "acme", **settings)
    assert run("keys", "create", "--tenant", "acme", "--create-tenant", **settings).returncode == 0
    assert run("keys", "create", "--tenant", "acme", **settings).returncode == 0
    assert "tenant's name" in one_line("keys", "create", "--tenant", "No Such!", "--create-tenant", **settings)


def test_a_key_that_is_not_there_cannot_be_revoked(database: str) -> None:
    id = "0190a0a0-0000-7000-8000-000000000000"
    assert one_line("keys", "revoke", id, WALLET_DATABASE_URL=database) == f"wallet: there is no key {id}"


def test_a_bootstrap_key_that_was_revoked_stops_the_start(database: str) -> None:
    key = "a-bootstrap-key-of-some-length"
    settings = {"WALLET_DATABASE_URL": database}
    with serving(database, WALLET_BOOTSTRAP_API_KEY=key) as service:
        assert service.stop() == 0
    id = run("keys", "list", **settings).stdout.splitlines()[1].split()[0]
    run("keys", "revoke", id, **settings)
    line = one_line("serve", WALLET_BOOTSTRAP_API_KEY=key, WALLET_PORT="0", **settings)
    assert line == "wallet: WALLET_BOOTSTRAP_API_KEY is a key that was revoked"
