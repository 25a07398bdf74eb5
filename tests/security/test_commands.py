"""``wallet keys``, ``wallet tenants`` and ``wallet audit``, as an administrator uses them."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result

from entrypoints.cli import main

Wallet = Callable[..., Result]


@pytest.fixture
def wallet(database: str) -> Wallet:
    """Runs a command in this process."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments), env={"WALLET_DATABASE_URL": database})

    return run


def documents(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def new_key(wallet: Wallet, *arguments: str) -> str:
    """Make a key, and return its id."""
    made = wallet("keys", "create", *arguments)
    assert made.exit_code == 0, made.output
    return made.stderr.split()[1]


def lifetime(key: dict[str, Any]) -> timedelta:
    return datetime.fromisoformat(key["expires_at"]) - datetime.fromisoformat(key["created_at"])


def test_a_key_is_given_an_end_and_a_limit_and_both_can_be_changed(wallet: Wallet) -> None:
    id = new_key(wallet, "--name", "till", "--expires-in", "12h", "--rate-limit", "7")
    (key,) = documents(wallet("keys", "list", "--json"))
    assert (key["id"], key["rate_limit_per_s"], lifetime(key)) == (id, 7, timedelta(hours=12))
    assert key["state"] == "active"
    shown = wallet("keys", "list").stdout.splitlines()
    assert shown[0].split() == ["ID", "TENANT", "NAME", "SCOPES", "LIMIT", "CREATED", "EXPIRES", "STATE"]
    assert "7/s" in shown[1]
    assert f"{datetime.fromisoformat(key['expires_at']):%Y-%m-%d %H:%M}" in shown[1]
    assert wallet("keys", "change", id, "--never-expires", "--no-rate-limit").exit_code == 0
    (key,) = documents(wallet("keys", "list", "--json"))
    assert (key["rate_limit_per_s"], key["expires_at"]) == (None, None)
    assert wallet("keys", "change", id, "--expires-at", "2090-01-31T12:00:00Z", "--rate-limit", "9").exit_code == 0
    (key,) = documents(wallet("keys", "list", "--json"))
    assert (key["rate_limit_per_s"], key["expires_at"]) == (9, "2090-01-31T12:00:00+00:00")


def test_a_rotated_key_leaves_two_that_are_good(wallet: Wallet) -> None:
    id = new_key(wallet, "--name", "till", "--scope", "read")
    rotated = wallet("keys", "rotate", id, "--overlap", "15m")
    assert rotated.exit_code == 0, rotated.output
    (secret,) = rotated.stdout.split()
    assert secret.startswith("wk_")
    assert secret not in rotated.stderr
    old, new = documents(wallet("keys", "list", "--json"))
    assert (old["id"], old["state"], new["state"]) == (id, "active", "active")
    assert rotated.stderr.split()[1] == new["id"]
    assert datetime.fromisoformat(old["expires_at"]) - datetime.fromisoformat(new["created_at"]) == timedelta(
        minutes=15
    )
    assert wallet("keys", "rotate", id, "--overlap", "0s").exit_code == 0
    assert [key["state"] for key in documents(wallet("keys", "list", "--json"))] == ["expired", "active", "active"]
    again = wallet("keys", "rotate", id)
    assert (again.exit_code, again.stderr) == (
        1,
        f"wallet: key {id} is expired: there is nothing to hand over to a new one\n",
    )


UNKNOWN = "0190a0a0-0000-7000-8000-000000000000"
CANNOT_BE_DONE = [
    (("keys", "create", "--expires-in", "soon"), 2, "'soon' is no duration like 90s, 15m, 24h, 30d or 2w"),
    (("keys", "create", "--expires-at", "2090-01-31"), 2, "is no time with a zone"),
    (("keys", "create", "--expires-at", "tomorrow"), 2, "is no time with a zone"),
    (("keys", "create", "--expires-in", "1h", "--expires-at", "2090-01-31T12:00:00Z"), 2, "contradict"),
    (("keys", "create", "--expires-at", "2020-01-31T12:00:00Z"), 1, "wallet: a key expires in the future"),
    (("keys", "create", "--rate-limit", "0"), 1, "wallet: a rate limit is 1 to 1000000 requests a second"),
    (("keys", "create", "--tenant", "acme"), 1, "wallet: there is no tenant 'acme'; --create-tenant makes it"),
    (("keys", "rotate", UNKNOWN), 1, "wallet: there is no key 0190a0a0-"),
    (("keys", "change", UNKNOWN), 1, "wallet: there is no key 0190a0a0-"),
    (("tenants", "suspend", "acme"), 1, "wallet: there is no tenant 'acme'; `wallet tenants list` shows them"),
    (("tenants", "resume", "acme"), 1, "wallet: there is no tenant 'acme'"),
    (("tenants", "create", "No Such!"), 1, "wallet: a tenant's name is 1 to 63 of"),
]


def test_what_cannot_be_done_is_told_and_done_in_no_part(wallet: Wallet) -> None:
    for arguments, code, said in CANNOT_BE_DONE:
        failed = wallet(*arguments)
        assert (failed.exit_code, failed.stdout) == (code, ""), arguments
        assert said in failed.stderr
    assert documents(wallet("audit", "--json")) == []


def test_a_tenant_is_made_once_suspended_and_resumed(wallet: Wallet) -> None:
    for _ in range(2):
        assert "--tenant acme" in wallet("tenants", "create", "acme").stdout
    new_key(wallet, "--tenant", "acme")
    (tenant,) = documents(wallet("tenants", "list", "--json"))
    assert (tenant["name"], tenant["active_keys"], tenant["suspended_at"]) == ("acme", 1, None)
    assert "suspended since" in wallet("tenants", "suspend", "acme").stdout
    assert "suspended since" in wallet("tenants", "list").stdout.splitlines()[1]
    assert "is active" in wallet("tenants", "resume", "acme").stdout
    assert wallet("tenants", "list").stdout.splitlines()[1].endswith("active")


def test_who_did_what_is_shown_the_newest_first(wallet: Wallet) -> None:
    id = new_key(wallet, "--name", "till")
    wallet("keys", "revoke", id)
    wallet("tenants", "create", "other")
    records = documents(wallet("audit", "--json"))
    assert [record["action"] for record in records] == [
        *("tenant.created", "key.revoked", "key.created", "tenant.created")
    ]
    assert {record["actor"].partition("@")[1] for record in records} == {"@"}
    assert [
        record["action"] for record in documents(wallet("audit", "--json", "--tenant", "default", "--limit", "1"))
    ] == ["key.revoked"]
    shown = wallet("audit", "--tenant", "default").stdout.splitlines()
    assert shown[0].split() == ["AT", "WHO", "TENANT", "DID", "TO", "DETAILS"]
    assert f"key.revoked     {id}" in shown[1]
    assert "name=till" in shown[1]
