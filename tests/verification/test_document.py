"""``docs/hash-chain.md`` says how the hashes come about: its vector is checked by an implementation written here.

That takes the specification's word and nothing of the service's code; canonical JSON is that of
``tests.support.second_implementation``.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.second_implementation import jcs
from tests.verification import vector
from wallet_core.audit import AuditWallet, ChainAudit, ChainHead, Flows
from wallet_core.findings import Check, Findings
from wallet_core.model import CHAIN_START, Kind

DOCUMENT: Final = (Path(__file__).parents[2] / "docs/hash-chain.md").read_text()
VECTOR: Final[dict[str, Any]] = json.loads(re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)[-1])
TRANSACTIONS: Final = {each["id"]: each for each in VECTOR["transactions"]}

UUID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
TIME: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


def sha256(*lines: object) -> str:
    return hashlib.sha256("\n".join(map(str, lines)).encode("utf-8")).hexdigest()


def section(title: str) -> str:
    return DOCUMENT.partition(f"\n## {title}")[2].partition("\n## ")[0]


def rows(title: str) -> dict[str, str]:
    """The rows of a section's table, by what their first cell names."""
    return dict(re.findall(r"^\| `([\w-]+)` \| (.*) \|$", section(title), re.MULTILINE))


@pytest.mark.parametrize("transaction", VECTOR["transactions"], ids=lambda each: each["kind"])
def test_a_digest_is_that_of_seven_lines(transaction: Any) -> None:
    each = transaction
    assert re.fullmatch(UUID, each["id"])
    assert re.fullmatch(TIME, each["created_at"])
    lines = ["wallet transaction 1", each["id"], each["key"], each["kind"], each["created_at"]]
    assert sha256(*lines, each["intent"], each["result"]) == each["digest"]


def test_the_hash_of_an_entry_is_that_of_nine_lines() -> None:
    last: dict[str, tuple[int, str]] = {}
    for entry in VECTOR["entries"]:
        version, previous = last.get(entry["wallet_id"], (0, "0" * 64))
        assert entry["version"] == version + 1
        numbers = [entry[name] for name in ("version", "change", "held_change", "balance_after", "held_after")]
        digest = TRANSACTIONS[entry["transaction_id"]]["digest"]
        assert sha256("wallet entry 1", previous, entry["wallet_id"], *numbers, digest) == entry["hash"]
        last[entry["wallet_id"]] = entry["version"], entry["hash"]
    assert len(last) == 2
    assert CHAIN_START.hex() == "0" * 64


def test_entries_change_by_what_their_results_say() -> None:
    """The rules of the section on results, worked out."""
    for entry in VECTOR["entries"]:
        transaction = TRANSACTIONS[entry["transaction_id"]]
        result, wallet_id = json.loads(transaction["result"]), entry["wallet_id"]
        assert [wallet_id, entry["version"]] in result["entries"]
        change = sum(
            posting["amount"] * ((posting["destination"] == wallet_id) - (posting["source"] == wallet_id))
            for posting in result["postings"]
        )
        held_change = 0
        hold = result.get("hold", {"wallet_id": None})
        if hold["wallet_id"] == wallet_id:
            kind = transaction["kind"]
            if kind == "hold":
                held_change = hold["amount"]
            elif kind == "capture":
                (posting,) = result["postings"]
                rest = 0 if hold["status"] == "active" else hold["amount"] - hold["captured"]
                held_change = -posting["amount"] - rest
            else:
                assert kind in ("release", "expiry")
                held_change = hold["captured"] - hold["amount"]
        assert (entry["change"], entry["held_change"]) == (change, held_change)
    named = [tuple(pair) for each in TRANSACTIONS.values() for pair in json.loads(each["result"])["entries"]]
    assert sorted(named) == [(entry["wallet_id"], entry["version"]) for entry in VECTOR["entries"]]


def test_intents_and_results_are_canonical_json() -> None:
    for transaction in VECTOR["transactions"]:
        for text in (transaction["intent"], transaction["result"]):
            assert jcs(json.loads(text)) == text


def test_intents_and_results_have_the_members_that_are_listed() -> None:
    intents, results = rows("Intent"), rows("Result")
    assert set(intents) == {kind.value for kind in Kind} == {each["kind"] for each in VECTOR["transactions"]}
    for transaction in VECTOR["transactions"]:
        kind, intent = transaction["kind"], json.loads(transaction["intent"])
        assert intent["kind"] == kind
        listed = set(re.findall(r"`(\w+)`", intents[kind])) - {"active", "frozen", "closed"}
        assert set(_names(intent)) == listed
        result = json.loads(transaction["result"])
        assert set(result) == {"entries", "postings"} | ({"hold"} if f"`{kind}`" in results["hold"] else set())
        assert (result["postings"] == []) == (f"`{kind}`" in results["postings"])
        for posting in result["postings"]:
            assert set(posting) == set(re.findall(r"`(\w+)` (?:integer|string|UUID)", results["postings"]))
        described = re.search(r"A hold has (.*?)\n\n", section("Result"), re.DOTALL)
        assert described is not None
        statuses = {"active", "captured", "released", "expired"}
        assert set(result.get("hold", {})) <= set(re.findall(r"`(\w+)`", described[1])) - (statuses - {"captured"})


def _names(intent: Any) -> Iterator[str]:
    yield from intent
    for posting in intent.get("postings", ()):
        yield from posting


def test_the_worked_examples_are_right() -> None:
    examples = re.findall(r"```text\n(.*?)\n```\n\ngives `([0-9a-f]{64})`", DOCUMENT, re.DOTALL)
    assert len(examples) == 2
    for text, expected in examples:
        assert hashlib.sha256(text.encode()).hexdigest() == expected


def test_the_service_writes_this_very_vector() -> None:
    assert vector.members() == VECTOR
    assert f"```json\n{vector.text()}\n```" in DOCUMENT


def test_the_proof_takes_the_vector_for_whole() -> None:
    findings = Findings()
    entries = vector.play()
    for wallet_id in (str(vector.ALICE), str(vector.BOB)):
        wallet = AuditWallet(wallet_id, "EUR", 0, 0, 0, None, "active", 0, "", "{}", "", "", 0, 0)
        audit = ChainAudit(wallet, findings, Flows(), ChainHead())
        audit.feed(entry for entry in entries if entry.wallet_id == wallet_id)
        assert audit.head.hash == [each["hash"] for each in VECTOR["entries"] if each["wallet_id"] == wallet_id][-1]
    assert findings.kept == []


def test_every_check_is_explained() -> None:
    assert set(rows("What is proved")) == {check.value for check in Check}
