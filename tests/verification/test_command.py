"""``wallet verify`` as a process: what it says, and its exit code."""

import asyncio
import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import asyncpg
import attrs
import pytest
from click.testing import CliRunner

from entrypoints.cli import main
from tests.databases import Databases, execute
from tests.databases import run as wait_for
from tests.http.process import command, environment, run, serving
from tests.support.ids import id_number
from tests.verification.scene import ALICE, LONELY, NEW, OTHER_NAME, TENANT, go_on
from tests.verification.tampering import row_of, said
from wallet_core import credit
from wallet_core.findings import FINDINGS_MAX, WALLET_CHECKS, Check

TAMPERED = said("pay-alice", "intent", '"invoice":"7"', '"invoice":"8"')


@attrs.frozen
class Done:
    """What a command said, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


def verify(dsn: str, *arguments: object) -> Done:
    """Run the command in this process, which saves the second that a new one takes to start."""
    settings: dict[str, str | None] = {name: None for name in os.environ if name.startswith("WALLET_")}
    settings["WALLET_DATABASE_URL"] = dsn
    done = CliRunner().invoke(main, ["verify", *map(str, arguments)], env=settings, prog_name="wallet")
    return Done(done.exit_code, done.stdout, done.stderr)


def verify_in_a_process(dsn: str, *arguments: object) -> Done:
    done = run("verify", *map(str, arguments), WALLET_DATABASE_URL=dsn)
    return Done(done.returncode, done.stdout, done.stderr)


def states(output: str) -> dict[str, str]:
    """The state of each check, by name."""
    return dict(re.findall(r"^  ([a-z-]+) +(ok|failed)", output, re.MULTILINE))


def test_a_ledger_that_holds_is_told_check_by_check(untouched: str) -> None:
    done = verify_in_a_process(untouched)
    assert (done.returncode, done.stderr) == (0, "")
    first, other = done.stdout.split("tenant other, 1 wallets: ")
    assert re.match(r"tenant default, 7 wallets: 42 entries proved, [0-9,]+ a second\n", first)
    expected = {check.value: "ok" for check in Check if check is not Check.CHECKPOINT}
    assert states(first) == states(other) == expected


def test_one_tenant_and_one_wallet_may_be_chosen(untouched: str) -> None:
    only = verify(untouched, "--tenant", OTHER_NAME)
    assert (only.returncode, only.stdout.splitlines()[0].split(":")[0]) == (0, "tenant other, 1 wallets")
    one = verify(untouched, "--wallet", LONELY)
    assert one.returncode == 0
    assert one.stdout.startswith(f"wallet {LONELY} of tenant default: 4 entries proved")
    assert states(one.stdout) == {check.value: "ok" for check in WALLET_CHECKS}
    both = verify(untouched, "--wallet", ALICE)
    assert [line.split(":")[0] for line in both.stdout.splitlines() if line.startswith("wallet")] == [
        f"wallet {ALICE} of tenant default",
        f"wallet {ALICE} of tenant other",
    ]


def test_what_is_wrong_is_told_with_its_place_and_an_exit_code(scene: str) -> None:
    wait_for(execute(scene, TAMPERED))
    done = verify_in_a_process(scene)
    assert (done.returncode, done.stderr) == (1, "")
    assert "  hash-chain                  failed (1)\n" in done.stdout
    assert f"  hash-chain: wallet {ALICE} version 2: the hash does not follow" in done.stdout
    assert "tenant other" in done.stdout, "the tenants after it are proved as well"
    assert verify(scene, "--tenant", OTHER_NAME).returncode == 0
    wallet = verify(scene, "--tenant", "default", "--wallet", ALICE)
    assert wallet.returncode == 1
    assert states(wallet.stdout)["hash-chain"] == "failed"
    assert verify(scene, "--wallet", LONELY).returncode == 0


def test_no_more_is_told_than_can_be_read_and_a_terminal_is_told_nothing_else(own_scene: str) -> None:
    broken = f"UPDATE entries SET hash = sha256(hash) WHERE tenant_id = '{TENANT}'"
    evil = rf"UPDATE wallets SET currency = E'\x1b[2J' WHERE {row_of(LONELY)}"
    many = (
        "INSERT INTO wallets SELECT tenant_id, gen_random_uuid(), version, balance, held, floor, ceiling, created_at,"
        f" updated_at, currency, status, head, metadata FROM wallets, generate_series(1, 150) WHERE {row_of(LONELY)}"
    )
    drop = "ALTER TABLE wallets DROP CONSTRAINT wallets_currency_check"
    wait_for(execute(own_scene, drop, broken, many, evil))
    done = verify(own_scene, "--tenant", "default")
    assert done.returncode == 1
    shown = re.findall(r"^  ([a-z-]+): ", done.stdout, re.MULTILINE)
    assert FINDINGS_MAX <= len(shown) < FINDINGS_MAX + len(Check)
    assert set(shown) == {name for name, state in states(done.stdout).items() if state == "failed"}
    assert re.search(r"^  and [0-9,]+ more$", done.stdout, re.MULTILINE)
    assert "\x1b" not in done.stdout


def test_a_checkpoint_is_left_and_gone_on_from(scene: str, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    tenant = ("--tenant", "default")
    assert verify(scene, *tenant, "--checkpoint", path).returncode == 0
    assert json.loads(path.read_text().splitlines()[0])["tenant"]["name"] == "default"
    wait_for(go_on(scene, credit("more", LONELY, 1)))
    on = verify(scene, *tenant, "--since", path, "--checkpoint", path)
    assert (on.returncode, states(on.stdout)["checkpoint-kept"]) == (0, "ok")
    assert "tenant default, 7 wallets: 1 entries proved" in on.stdout
    before = path.read_bytes()
    wait_for(execute(scene, f"UPDATE wallets SET floor = -7 WHERE {row_of(LONELY)}"))
    bad = verify(scene, *tenant, "--since", path, "--checkpoint", path)
    assert (bad.returncode, states(bad.stdout)["checkpoint-kept"]) == (1, "ok")
    assert f"wallet-matches-its-changes: wallet {LONELY}: floor is -7; by its history it is 0" in bad.stdout
    assert path.read_bytes() == before


def test_a_deleted_wallet_is_seen_from_a_checkpoint(scene: str, checkpoint: Path) -> None:
    doomed = id_number(9)
    ours = f"tenant_id = '{TENANT}'"
    wait_for(
        execute(
            scene,
            f"DELETE FROM entries WHERE {ours} AND wallet_id = '{doomed}'",
            f"DELETE FROM wallets WHERE {row_of(doomed)}",
            f"DELETE FROM transactions WHERE {ours} AND idempotency_key = 'open-late'",
        )
    )
    assert verify(scene).returncode == 0
    seen = verify(scene, "--tenant", "default", "--since", checkpoint)
    assert seen.returncode == 1
    assert f"checkpoint-kept: wallet {doomed}: the wallet is gone; it had version 1" in seen.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tenant", "nobody"), "wallet: there is no tenant 'nobody'"),
        (("--wallet", str(NEW)), f"wallet: there is no wallet {NEW}"),
        (("--wallet", "7"), "Error: Invalid value for '--wallet': '7' is not a valid UUID."),
        (("--tenant", "default", "--since", "/nowhere"), "wallet: cannot read /nowhere: No such file or directory"),
        (("--tenant", "default", "--checkpoint", "/no/where"), "wallet: cannot write /no/where: No such file or"),
        (("--checkpoint", "x"), "Error: there are several tenants: --since and --checkpoint need --tenant"),
        (("--wallet", str(ALICE), "--since", "x"), "Error: --since and --checkpoint are for a whole tenant"),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_another_exit_code(
    untouched: str, arguments: tuple[str, ...], said: str
) -> None:
    done = verify(untouched, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith(said)


def test_a_checkpoint_that_is_damaged_or_of_another_tenant_is_refused(
    untouched: str, checkpoint: Path, tmp_path: Path
) -> None:
    other = verify(untouched, "--tenant", OTHER_NAME, "--since", checkpoint)
    assert (other.returncode, other.stdout) == (2, "")
    assert other.stderr == f"wallet: {checkpoint} is a checkpoint of the tenant 'default' ({TENANT})\n"
    damaged = tmp_path / "damaged"
    damaged.write_bytes(checkpoint.read_bytes()[:-100])
    done = verify(untouched, "--tenant", "default", "--since", damaged)
    assert (done.returncode, done.stderr) == (2, f"wallet: {damaged} is damaged: it is cut off\n")


def test_a_database_that_cannot_be_reached_or_has_no_schema_is_told(create_database: Callable[[], str]) -> None:
    away = verify_in_a_process("postgresql://postgres@127.0.0.1:1/wallet")
    assert away.returncode == 2
    assert away.stderr.startswith("wallet: ")
    assert "the database cannot be used: " in away.stderr
    assert len(away.stderr.splitlines()) == 1
    empty = verify(create_database())
    assert (empty.returncode, "wallet db upgrade" in empty.stderr) == (2, True)
    assert run("verify", WALLET_PORT="x").returncode == 2


def test_a_database_without_tenants_holds(databases: Databases, database: str) -> None:
    done = verify(database)
    assert (done.returncode, done.stdout) == (0, "There is no tenant yet, and so nothing to prove.\n")


def test_a_terminal_gets_a_progress_bar_on_standard_error(untouched: str) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command("verify", "--tenant", "default"),
        env=environment({"WALLET_DATABASE_URL": untouched, "TERM": "xterm"}),
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    ) as process:
        os.close(theirs)
        output, _ = process.communicate(timeout=60)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert process.returncode == 0
    assert "tenant default" in shown
    assert "42/42" in shown
    assert states(output)["hash-chain"] == "ok"


def test_the_embedded_database_is_proved_beside_its_service_and_without_it(tmp_path: Path) -> None:
    data = {"WALLET_DATA_DIR": str(tmp_path / "data")}
    with serving(**data) as service:
        client = service.client()
        opened = client.post("/v1/wallets", json={"currency": "EUR"}, headers={"idempotency-key": "a"})
        assert opened.status_code == 201
        client.close()
        beside = run("verify", **data)
        assert (beside.returncode, beside.stderr) == (0, "")
        assert "tenant default, 1 wallets: 1 entries proved" in beside.stdout
    alone = run("verify", **data)
    assert (alone.returncode, alone.stdout.splitlines()[1:]) == (0, beside.stdout.splitlines()[1:])


async def test_an_interrupt_is_told_apart_from_a_finding(scene: str) -> None:
    owner = await asyncpg.connect(scene)
    try:
        # So that the proof has to wait.
        await owner.execute("BEGIN; LOCK TABLE entries IN ACCESS EXCLUSIVE MODE")
        process = await asyncio.create_subprocess_exec(
            *command("verify"),
            env=environment({"WALLET_DATABASE_URL": scene}),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted) FROM pg_sleep(0.05)"
        while not await owner.fetchval(waiting):
            pass
        process.send_signal(signal.SIGINT)
        output, errors = await process.communicate()
    finally:
        await owner.close()
    assert (process.returncode, output, errors.strip()) == (130, b"", b"")


def test_help_says_what_it_is_for(untouched: str) -> None:
    shown = run("verify", "--help")
    assert shown.returncode == 0
    for word in ("--tenant", "--wallet", "--since", "--checkpoint", "Exit codes"):
        assert word in shown.stdout
