"""The commands of a how-to page, run as they stand there, as the user who runs PostgreSQL."""

import os
import re
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import attrs
from click.testing import CliRunner, Result

from adapters.embedded_postgres_processes import BINARIES, Account
from entrypoints.cli import main

PAGES: Final = Path(__file__).parents[2] / "docs" / "how-to"
BLOCK: Final = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN_S_MAX: Final = 60


def blocks(page: str) -> list[str]:
    """The commands of a page, block by block."""
    return BLOCK.findall((PAGES / page).read_text())


@attrs.frozen
class Shell:
    """Where commands are run, and with which variables."""

    variables: dict[str, str]
    account: Account | None = None

    def started(self, block: str) -> "subprocess.Popen[bytes]":
        """Begin a block of one command, which is to be ended by a signal."""
        # Without the shell, so that the signal reaches the command.
        (command,) = block.strip().splitlines()
        parts = [self.expanded(part) for part in shlex.split(command)]
        return subprocess.Popen(parts, env=self._environment, cwd="/", user=self._uid, group=self._gid)

    def run(self, block: str) -> None:
        """Run a block to its end. Raises ``AssertionError`` with what it said if it fails."""
        # Not a pipe, which a server that is left running would keep open.
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(
                ["bash", "-euc", block],
                env=self._environment,
                cwd="/",
                user=self._uid,
                group=self._gid,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                timeout=RUN_S_MAX,
                check=False,
            )
            said.seek(0)
            assert done.returncode == 0, f"{block}{said.read().decode()}exit code {done.returncode}"

    def wallet(self, command: str, database_url: str) -> Result:
        """Run a ``wallet`` command here, which saves the second that a new process takes to start."""
        program, *arguments = (self.expanded(part) for part in shlex.split(command))
        assert program == "wallet"
        settings: dict[str, str | None] = {name: None for name in os.environ if name.startswith("WALLET_")}
        return CliRunner().invoke(main, arguments, env={**settings, "WALLET_DATABASE_URL": database_url})

    def expanded(self, text: str) -> str:
        return re.sub(r"\$(\w+)", lambda found: self.variables[found[1]], text)

    @property
    def _environment(self) -> dict[str, str]:
        path = f"{BINARIES}:{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {**kept, "PATH": path, **self.variables}

    @property
    def _uid(self) -> int | None:
        return None if self.account is None else self.account.uid

    @property
    def _gid(self) -> int | None:
        return None if self.account is None else self.account.gid
