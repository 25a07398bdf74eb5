"""How commands end where nobody answers: with what is known, a key, and an exit code."""

import signal
import subprocess
import sys

import pytest

from entrypoints.people import access, endings
from tests.cli.cuts import cutting
from tests.cli.people import Person, run
from tests.client.live import free_port
from tests.http.process import environment


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "entrypoints.wallet", *map(str, words)]


def test_a_lost_answer_is_unknown_and_the_key_finds_out(person: Person) -> None:
    wallet = person.opens()
    with cutting(person.url) as cut:
        unknown = person.wallet("credit", wallet, "5", "--url", cut.url, "--timeout", "1")
        assert cut.arrived.is_set()
    assert (unknown.code, unknown.output) == (5, "")
    assert f"wallet decision {unknown.key}" in unknown.line
    assert f"wallet fence {unknown.key}" in unknown.line
    assert person.wallet("decision", unknown.key).code == 0
    assert "this key was done before" in person.does("credit", wallet, "5", "--idempotency-key", unknown.key)
    assert person.json("show", wallet)["balance"] == 500


def test_the_key_that_was_given_is_the_one_that_is_told(person: Person) -> None:
    wallet = person.opens()
    with cutting(person.url) as cut:
        words = ("credit", wallet, "5", "--minor", "--url", cut.url, "--timeout", "1", "--idempotency-key", "mine")
        unknown = person.wallet(*words)
    assert unknown.code == 5
    assert "wallet decision mine" in unknown.line


@pytest.mark.parametrize("words", [("list",), ("credit", "0190a0a0-0000-7000-8000-000000000000", "1", "--minor")])
def test_a_service_that_is_not_there_is_told_as_that(words: tuple[str, ...]) -> None:
    with free_port() as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        away = run(*words, "--url", url, "--key", "x", "--timeout", "0.2")
    assert away.code == 6
    assert "the service is not there" in away.line
    assert ("nothing was done" in away.line) == (words[0] == "credit")


def test_what_is_no_wallet_service_is_not_taken_for_one(person: Person) -> None:
    assert run("list", "--url", f"{person.url}/schema", "--key", "x").code == 1


def test_an_interrupted_write_says_how_to_find_out(person: Person) -> None:
    wallet = person.opens()
    settings = {"WALLET_API_KEY": person.api_key}
    with cutting(person.url, silent=True) as cut:
        settings["WALLET_URL"] = cut.url
        with subprocess.Popen(
            command("credit", wallet, "5"),
            env=environment(settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert cut.arrived.wait(30)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (130, "")
    (line,) = errors.splitlines()
    assert line.startswith("wallet: interrupted, and nobody knows whether it was done.")
    key = line.partition("wallet decision ")[2].split(".")[0]
    assert person.wallet("decision", key).code == 0


def test_an_interrupt_before_anything_was_sent_says_so() -> None:
    assert endings.interrupted(None) == "interrupted; nothing was sent that changes anything"


def test_every_error_of_the_client_has_an_ending() -> None:
    """A new error falls to the last branch only if it says nothing about what was done."""
    told = {access.Rejected, access.VersionConflict, access.KeyReused, access.KeyFenced, access.WalletExists,
            access.OutcomeUnknown, access.ServiceUnavailable, access.NotFound, access.Refused}  # fmt: skip
    assert set(access.WalletError.__subclasses__()) - told == {access.NotUnderstood}
