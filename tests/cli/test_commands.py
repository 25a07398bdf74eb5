"""The commands for people, against a service in a process of its own."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import pytest

from entrypoints.people import tables
from entrypoints.wallet import OPERATORS, PEOPLE, people_command
from tests.cli.people import Person, run

UNKNOWN = "0190a0a0-0000-7000-8000-000000000000"


def names(output: str) -> Mapping[str, str]:
    """Lines of names and values."""
    return dict(line.split(maxsplit=1) for line in output.splitlines() if len(line.split()) > 1)


def test_money_goes_in_out_and_across_as_people_write_it(person: Person) -> None:
    one, other = person.opens(), person.opens()
    said = person.does("credit", one, "12.50", "EUR")
    assert said.startswith("credited.\n")
    assert re.search(rf"{one} +2 +\+12\.50 EUR +12\.50 EUR +0\.00 EUR", said)
    person.does("debit", one, "0.5")
    said = person.does("transfer", one, other, "2 EUR")
    assert re.search(rf"{one} +4 +-2\.00 EUR +10\.00 EUR", said)
    assert re.search(rf"{other} +2 +\+2\.00 EUR +2\.00 EUR", said)
    assert names(person.does("show", one))["balance"] == "10.00 EUR"


def test_a_hold_is_captured_released_and_a_transaction_reversed(person: Person) -> None:
    wallet, till = person.opens(), person.opens()
    person.does("credit", wallet, "10")
    held = person.json("hold", wallet, "4.00", "--destination", till, "--expires-in", "2h")["hold"]
    assert (held["amount"], held["destination"]) == (400, str(till))
    shown = person.does("show", wallet)
    assert names(shown)["held"] == "4.00 EUR"
    assert re.search(rf"{held['id']} +active +4\.00 EUR +0\.00 EUR +4\.00 EUR +20", shown)
    captured = person.json("capture", held["id"], "1.50", "--more-to-come")
    assert captured["hold"]["remaining"] == 250
    assert "released.\n" in person.does("release", held["id"])
    assert person.json("show", wallet)["holds"] == []
    person.does("reverse", captured["id"], "--metadata", "why=mistake")
    assert person.json("show", wallet)["balance"] == 1000


def test_json_is_what_the_api_answers(person: Person) -> None:
    key = str(uuid4())
    opened = person.json(
        "open", "EUR", "--floor", "-5", "--ceiling", "100", "--metadata", "name=Ä", "--idempotency-key", key
    )
    same = {"currency": "EUR", "floor": -500, "ceiling": 10000, "metadata": {"name": "Ä"}}
    again = person.api("POST", "/v1/wallets", same, key)
    assert (again.json(), again.headers["idempotent-replayed"]) == (opened, "true")
    wallet = opened["id"]
    held = person.json("hold", wallet, "1", "--expires-in", "60")
    credited = person.json("credit", wallet, "3")
    for transaction in (held, credited):
        assert person.api("GET", f"/v1/transactions/{transaction['id']}").json() == transaction
    shown = person.json("show", wallet)
    assert shown.pop("holds") == person.api("GET", f"/v1/wallets/{wallet}/holds").json()["items"]
    assert shown == person.api("GET", f"/v1/wallets/{wallet}").json()
    assert person.json("history", wallet) == person.api("GET", f"/v1/wallets/{wallet}/entries").json()
    assert person.json("list") == person.api("GET", "/v1/wallets").json()
    decided = person.json("decision", key)
    assert decided == person.api("GET", f"/v1/idempotency-keys?key={key}").json()


def test_smallest_units_may_be_given_and_printed(person: Person) -> None:
    wallet = person.opens("KWD")
    person.does("credit", wallet, "1500", "--minor")
    assert names(person.does("show", wallet))["balance"] == "1.500 KWD"
    shown = names(person.does("show", wallet, "--minor"))
    assert (shown["balance"], shown["currency"]) == ("1500", "KWD")
    assert person.wallet("credit", wallet, "1.5", "--minor").code == 1
    assert person.wallet("credit", wallet, "15", "USD", "--minor").code == 1


def test_one_key_is_one_intent(person: Person) -> None:
    wallet = person.opens()
    first = person.json("credit", wallet, "1", "--idempotency-key", "order-7")
    said = person.does("credit", wallet, "1.00", "--key-id", "order-7")
    assert "this key was done before" in said
    assert first["id"] in said
    reused = person.wallet("credit", wallet, "2", "--idempotency-key", "order-7")
    assert reused.code == 4
    assert "stands for something else" in reused.line
    assert person.json("show", wallet)["balance"] == 100
    keys = {person.json("credit", wallet, "1")["idempotency_key"] for _ in range(2)}
    assert len(keys) == 2, "without one, each command is an intent of its own"


def test_a_rejection_is_told_in_amounts_with_its_key_and_is_remembered(person: Person) -> None:
    wallet = person.opens()
    refused = person.wallet("debit", wallet, "5", "--idempotency-key", "too-much")
    assert (refused.code, refused.output) == (3, "")
    assert "insufficient-funds: available 0.00 EUR, needed 5.00 EUR" in refused.line
    assert "too-much" in refused.line
    person.does("credit", wallet, "100")
    assert person.wallet("debit", wallet, "5", "--idempotency-key", "too-much").code == 3
    decided = person.wallet("decision", "too-much")
    assert (decided.code, decided.errors) == (3, "")
    assert "rejected, insufficient-funds" in decided.output


def test_a_version_that_has_moved_is_a_conflict_that_says_how_to_go_on(person: Person) -> None:
    wallet = person.opens()
    person.does("credit", wallet, "1")
    lost = person.wallet("credit", wallet, "1", "--expected-version", "1")
    assert lost.code == 4
    assert f"--expected-version 2 --idempotency-key {lost.key}" in lost.line
    said = person.does("credit", wallet, "1", "--expected-version", "2", "--idempotency-key", lost.key)
    assert said.startswith("credited.")


def test_a_wallet_that_is_there_is_a_conflict(person: Person) -> None:
    wallet = person.opens()
    assert person.wallet("open", "EUR", "--id", wallet).code == 4


def test_a_key_is_found_out_about_and_fenced(person: Person) -> None:
    wallet = person.opens()
    undecided = person.wallet("decision", "late")
    assert undecided.code == 5
    assert "wallet fence late" in undecided.line
    assert "fenced" in person.does("fence", "late")
    fenced = person.wallet("decision", "late")
    assert (fenced.code, fenced.errors) == (4, "")
    assert person.wallet("credit", wallet, "1", "--idempotency-key", "late").code == 4
    person.does("credit", wallet, "1", "--idempotency-key", "done")
    assert "done was done." in person.does("decision", "done")
    assert person.json("fence", "done")["outcome"] == "applied"


def test_a_history_comes_newest_first_and_in_parts(person: Person) -> None:
    wallet = person.opens()
    for amount in range(1, 6):
        person.does("credit", wallet, amount)
    told = person.wallet("history", wallet, "--limit", "2")
    lines = told.output.splitlines()
    assert [line.split()[0] for line in lines] == ["VERSION", "6", "5"]
    assert told.errors.startswith("There is more: --cursor ")
    cursor = told.errors.split()[-1]
    following = person.json("history", wallet, "--limit", "2", "--cursor", cursor)
    assert [item["version"] for item in following["items"]] == [4, 3]
    rest = person.json("history", wallet, "--cursor", following["next_cursor"])
    assert ([item["version"] for item in rest["items"]], rest["next_cursor"]) == ([2, 1], None)


def test_a_history_ends_where_it_becomes_older_than_was_asked_for(person: Person) -> None:
    wallet = person.opens()
    person.does("credit", wallet, "1")
    third = person.json("credit", wallet, "2")
    assert [item["version"] for item in person.json("history", wallet, "--since", third["created_at"])["items"]] == [3]
    assert len(person.json("history", wallet, "--since", "1h")["items"]) == 3
    assert person.json("history", wallet, "--since", "2100-01-01") == {"items": [], "next_cursor": None}
    assert person.wallet("history", wallet, "--since", "yesterday").code == 1


def test_only_the_pages_that_are_needed_are_asked_for(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    from adapters.http_client_reads import Reads

    asked: list[int] = []
    page = Reads.page

    async def counting(self: Reads, path: str, **options: object) -> object:
        asked.append(options["limit"])  # type: ignore[arg-type] # it is the page's own
        return await page(self, path, **options)  # type: ignore[arg-type] # passed on as it came

    monkeypatch.setattr(Reads, "page", counting)
    wallet = person.opens()
    person.does("credit", wallet, "1")
    person.wallet("history", wallet, "--limit", "1")
    assert asked == [1]


def test_wallets_are_listed_by_currency_and_status(person: Person) -> None:
    euros, points = person.opens("EUR"), person.opens("POINTS")
    assert [item["id"] for item in person.json("list")["items"]] == [str(points), str(euros)]
    assert [item["id"] for item in person.json("list", "--currency", "EUR")["items"]] == [str(euros)]
    assert person.json("list", "--status", "closed")["items"] == []
    assert re.search(rf"{points} +active +0 POINTS", person.does("list"))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("show", "0190"), "ids are written out"),
        (("show", UNKNOWN), f"there is no wallet {UNKNOWN}"),
        (("credit", UNKNOWN, "1"), f"there is no wallet {UNKNOWN}"),
        (("credit", UNKNOWN, "1,000", "--minor"), "nothing between the thousands"),
        (("credit", UNKNOWN), "Missing argument"),
        (("credit", UNKNOWN, "1", "--metadata", "x"), "name=value"),
        (("credit", UNKNOWN, "1", "--minor", "--idempotency-key", "a b"), "visible ASCII"),
        (("transfer", UNKNOWN, UNKNOWN, "1", "--minor"), "two different wallets"),
        (("hold", UNKNOWN, "1", "--expires-in", "soon"), "no span of time"),
        (("open", "eur"), "3 to 12 of A-Z 0-9"),
        (("open", "EUR", "--floor", "5"), "floor"),
        (("release", UNKNOWN), f"there is no hold {UNKNOWN}"),
        (("reverse", UNKNOWN), f"there is no transaction {UNKNOWN}"),
        (("list", "--cursor", "x"), "cursor"),
        (("frobnicate",), "No such command"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(person: Person, words: tuple[str, ...], why: str) -> None:
    refused = person.wallet(*words)
    assert refused.output == ""
    assert why in refused.errors
    if words != ("frobnicate",):
        assert (refused.code, len(refused.errors.splitlines())) == (1, 1)


def test_where_and_with_what_key_is_said_or_asked_for(person: Person, tmp_path: Path) -> None:
    nowhere = run("list", WALLET_DATA_DIR=str(tmp_path))
    assert nowhere.code == 1
    assert "--url or WALLET_URL" in nowhere.line
    assert "WALLET_API_KEY_FILE" in run("list", WALLET_URL=person.url).line
    secret = tmp_path / "key"
    secret.write_text(f"{person.api_key}\n")
    assert run("list", WALLET_URL=person.url, WALLET_API_KEY_FILE=str(secret)).code == 0
    both = run("list", WALLET_URL=person.url, WALLET_API_KEY_FILE=str(secret), WALLET_API_KEY="other")
    assert "are both set" in both.line
    assert run("list", "--url", person.url, "--key", person.api_key).code == 0
    assert "check WALLET_API_KEY" in run("list", "--url", person.url, "--key", "wrong").line
    assert "http://" in run("list", "--url", "localhost:8080", "--key", "x").line


def test_help_lists_all_commands_with_what_they_say_of_themselves() -> None:
    from entrypoints.cli import main as operators

    shown = run("--help").output
    for name, (_, told) in PEOPLE.items():
        assert re.search(rf"^ +{name} +{re.escape(told)}", shown, re.MULTILINE)
        first = (people_command(name).help or "").splitlines()[0]
        assert first.removesuffix(".").startswith(told.removesuffix(".")[:30])
        assert operators.commands[name] is people_command(name)
    assert set(operators.commands) == {*PEOPLE, *OPERATORS}
    assert {name for name in OPERATORS if not re.search(rf"^ +{name} ", shown, re.MULTILINE)} == set()
    assert "Exit codes" in run("credit", "--help").output


def test_text_of_others_gives_a_terminal_no_orders(person: Person) -> None:
    wallet = person.opens("EUR", "--metadata", "name=\x1b[2J")
    assert "\x1b" not in person.does("show", wallet)
    assert tables.printable("a\x1bb") == "a\\u001bb"
    assert json.loads(json.dumps(person.json("show", wallet)))["metadata"] == {"name": "\x1b[2J"}
