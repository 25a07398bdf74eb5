"""What shells are told: as their own scripts ask for it."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import get_completion_class

from entrypoints.people.completion import SHELLS, VARIABLE
from tests.cli.people import Ended, Person, run
from tests.http.process import environment


def bash(person: Person, words: str, at: int, **settings: str) -> list[str]:
    """What bash is told of a line whose word ``at`` is being written."""
    return _values(person.wallet(**{VARIABLE: "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(at), **settings}))


def _values(told: Ended) -> list[str]:
    assert told.errors == ""
    return [line.partition(",")[2] for line in told.output.splitlines() if line]


def test_commands_and_options_are_completed(person: Person) -> None:
    assert bash(person, "wallet tr", 1) == ["transfer"]
    assert "--idempotency-key" in bash(person, "wallet credit --i", 2)
    assert set(bash(person, "wallet completion ", 2)) == set(SHELLS)


def test_ids_of_wallets_are_completed_by_the_service(person: Person) -> None:
    wallets = {str(person.opens()) for _ in range(2)}
    # Ids begin with the time.
    beginning = next(iter(wallets))[:6]
    assert set(bash(person, "wallet show ", 2)) == wallets
    assert set(bash(person, f"wallet show {beginning.upper()}", 2)) == wallets
    one = wallets.pop()
    assert bash(person, f"wallet transfer {one} {wallets.pop()[:-1]}", 3) != []
    assert bash(person, f"wallet hold {one} 5 --destination {one}", 5) == [one]
    assert bash(person, "wallet show ffffffff", 2) == []


def test_zsh_and_fish_are_told_what_is_in_a_wallet(person: Person) -> None:
    wallet = person.opens()
    person.does("credit", wallet, "12.50")
    zsh = person.wallet(**{VARIABLE: "zsh_complete", "COMP_WORDS": "wallet show ", "COMP_CWORD": "2"})
    assert zsh.output.splitlines() == ["plain", str(wallet), "12.50 EUR, active"]
    fish = person.wallet(**{VARIABLE: "fish_complete", "COMP_WORDS": "wallet show ", "COMP_CWORD": ""})
    assert str(wallet) in fish.output
    assert "12.50 EUR, active" in fish.output


def test_the_url_and_key_on_the_line_are_asked(person: Person) -> None:
    wallet = str(person.opens())
    words = f"wallet show --url {person.url} --key {person.api_key} "
    told = run(**{VARIABLE: "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "6"})
    assert _values(told) == [wallet]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense"])
def test_a_service_that_cannot_be_asked_completes_nothing_and_says_nothing(person: Person, url: str) -> None:
    assert bash(person, "wallet show ", 2, WALLET_URL=url) == []


def test_no_database_is_started_for_a_press_of_a_key(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("0")
    told = run(
        **{VARIABLE: "bash_complete", "COMP_WORDS": "wallet show ", "COMP_CWORD": "2", "WALLET_DATA_DIR": str(tmp_path)}
    )
    assert _values(told) == []


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_for_a_shell_is_the_librarys(shell: str) -> None:
    found = get_completion_class(shell)
    assert found is not None
    script = run("completion", shell)
    assert (script.code, script.errors) == (0, "")
    assert f"{VARIABLE}={shell}_complete" in script.output


def test_bash_completes_with_the_script(tmp_path: Path) -> None:
    program = tmp_path / "wallet"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m entrypoints.wallet "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    asked = 'COMP_WORDS=(wallet his); COMP_CWORD=1; _wallet_completion wallet; echo "$COMPREPLY"'
    script = f"source <(wallet completion bash); {asked}"
    settings = environment({"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    done = subprocess.run(["bash", "-c", script], env=settings, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "history"), done.stderr
