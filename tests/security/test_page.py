"""The commands of the page about keys run, one after the other, as they stand there."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from adapters.postgres.admin import SCOPES
from adapters.postgres.api_keys import LOOK_UP_KEYS_MAX, TTL_S
from entrypoints.wallet import main

PAGE = (Path(__file__).parents[2] / "docs" / "keys.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


@pytest.fixture
def run(database: str) -> Callable[[str], str]:
    def run(command: str) -> str:
        program, *arguments = shlex.split(command)
        assert program == "wallet"
        result = CliRunner().invoke(main, arguments, env={"WALLET_DATABASE_URL": database})
        assert result.exit_code == 0, f"{command}: {result.output}"
        return result.stderr

    return run


def test_the_commands_of_the_page_run_as_they_stand_there(run: Callable[[str], str]) -> None:
    id = ""
    for command in COMMANDS:
        told = run(command.replace("$ID", id))
        # What is done to a key is done to the last that was made.
        if made := re.search(r"^Key (\S+) of tenant", told):
            id = made[1]
    assert len(COMMANDS) >= 12


def test_the_page_says_what_the_code_does() -> None:
    assert f"within {TTL_S:.0f} seconds" in PAGE
    assert f"look-up for {LOOK_UP_KEYS_MAX} of them" in PAGE
    for scope in SCOPES:
        assert f"`{scope}`" in PAGE
