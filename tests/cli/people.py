"""Somebody at a terminal. Commands run in this process, which saves the second that a new one takes to start."""

import json
import os
import re
from typing import Any
from uuid import UUID

import attrs
import httpx
from click.testing import CliRunner

from entrypoints.wallet import main

KEY = re.compile(r"--idempotency-key ([0-9a-f-]{36})")


@attrs.frozen
class Ended:
    """What a command printed, and its exit code."""

    code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        return json.loads(self.output)

    @property
    def line(self) -> str:
        """The only line of its errors."""
        (line,) = self.errors.splitlines()
        return line

    @property
    def key(self) -> str:
        """The idempotency key that the error says to repeat."""
        found = KEY.search(self.errors)
        assert found is not None, self.errors
        return found[1]


def run(*words: object, **settings: str) -> Ended:
    """Run ``wallet`` with these settings and no others."""
    environment: dict[str, str | None] = {name: None for name in os.environ if name.startswith(("WALLET_", "_WALLET"))}
    done = CliRunner().invoke(main, [*map(str, words)], env={**environment, **settings}, prog_name="wallet")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Ended(done.exit_code, done.stdout, done.stderr)


@attrs.frozen
class Person:
    """Somebody with an API key."""

    url: str
    api_key: str

    def wallet(self, *words: object, **settings: str) -> Ended:
        """What a command says, however it ends."""
        return run(*words, **{"WALLET_URL": self.url, "WALLET_API_KEY": self.api_key, **settings})

    def does(self, *words: object) -> str:
        """What a command prints that has to succeed."""
        ended = self.wallet(*words)
        assert (ended.code, ended.errors) == (0, ""), ended
        return ended.output

    def json(self, *words: object) -> Any:
        """The JSON of a command that has to succeed."""
        return json.loads(self.does(*words, "--json"))

    def opens(self, currency: str = "EUR", *words: object) -> UUID:
        """A new wallet."""
        return UUID(self.json("open", currency, *words)["id"])

    def api(self, method: str, path: str, body: Any = None, key: str | None = None) -> httpx.Response:
        """The same by the API itself."""
        headers = {"authorization": f"Bearer {self.api_key}"} | ({} if key is None else {"idempotency-key": key})
        return httpx.request(method, self.url + path, json=body, headers=headers, timeout=30)
