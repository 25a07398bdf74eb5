"""A batch answers each command as a request of its own would have been answered; a fence makes sure."""

import json
from uuid import uuid4

import httpx
import pytest

from tests.http.api import UNKNOWN_ID, Api, Json, problem_of, running_api
from tests.http.problem_scenarios import Always
from wallet_core.outcomes import Contention, DatabaseUnavailable, Outcome, Overloaded, Unknown


async def run(api: Api, *commands: Json) -> httpx.Response:
    return await api.send("POST", "/v1/batches", {"commands": list(commands)})


def credit(wallet: str, key: str, amount: Json = 1, **members: Json) -> Json:
    return {"type": "credit", "idempotency_key": key, "wallet_id": wallet, "amount": amount, **members}


async def test_every_type_of_command_is_carried_out_in_order(api: Api) -> None:
    a, b = await api.new_wallet(100), await api.new_wallet()
    hold, other_hold = await api.new_hold(a, 10, destination=b), await api.new_hold(a, 10)
    credited = (await api.post(f"/v1/wallets/{b}/credits", {"amount": 5})).json()["id"]
    answer = await run(
        api,
        credit(a, "1", 3, expected_version=4, metadata={"a": "b"}),
        {"type": "debit", "idempotency_key": "2", "wallet_id": a, "amount": 1, "expected_version": 5},
        {"type": "post", "idempotency_key": "3", "postings": [{"source": a, "destination": b, "amount": 2}]},
        {"type": "hold", "idempotency_key": "4", "wallet_id": a, "amount": 4, "destination": b, "expires_in": 9},
        {"type": "capture", "idempotency_key": "5", "hold_id": hold, "amount": 1, "final": False},
        {"type": "release", "idempotency_key": "6", "hold_id": other_hold},
        {"type": "reversal", "idempotency_key": "7", "transaction_id": credited, "metadata": {"why": "not"}},
    )
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [201] * 7
    assert [result["replayed"] for result in results] == [False] * 7
    kinds = [result["transaction"]["kind"] for result in results]
    assert kinds == ["post", "post", "post", "hold", "capture", "release", "reversal"]
    assert [result["transaction"]["idempotency_key"] for result in results] == list("1234567")


async def test_a_command_that_fails_leaves_the_others_alone(api: Api) -> None:
    wallet = await api.new_wallet()
    answer = await run(
        api,
        credit(wallet, "ok", 5),
        {"type": "debit", "idempotency_key": "poor", "wallet_id": wallet, "amount": 6},
        credit(UNKNOWN_ID, "nowhere"),
        credit(wallet, "late", expected_version=1),
        credit(wallet, "ok", 5),
        credit(wallet, "ok", 6),
        credit(wallet, "last"),
    )
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [201, 422, 404, 409, 201, 422, 201]
    assert [result["replayed"] for result in results] == [False, False, False, False, True, False, False]
    slugs = [result["problem"]["type"].removeprefix("/problems/") for result in results if "problem" in result]
    assert slugs == ["insufficient-funds", "wallet-not-found", "version-conflict", "idempotency-key-reused"]
    assert results[4]["transaction"] == results[0]["transaction"]
    assert answer.headers["idempotent-replayed"] == "false"
    assert (await api.wallet(wallet))["balance"] == 6


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("7", ""),
        ("null", ""),
        ("{}", "type"),
        ('{"type": "open"}', "type"),
        ('{"type": 1}', "type"),
        ('{"type": "credit", "wallet_id": "W", "amount": 1}', "idempotency_key"),
        ('{"type": "credit", "idempotency_key": "", "wallet_id": "W", "amount": 1}', "idempotency_key"),
        ('{"type": "credit", "idempotency_key": "a b", "wallet_id": "W", "amount": 1}', "idempotency_key"),
        ('{"type": "credit", "idempotency_key": 1, "wallet_id": "W", "amount": 1}', "idempotency_key"),
        ('{"type": "credit", "idempotency_key": "k", "amount": 1}', "wallet_id"),
        ('{"type": "credit", "idempotency_key": "k", "wallet_id": "1", "amount": 1}', "wallet_id"),
        ('{"type": "credit", "idempotency_key": "k", "wallet_id": "W", "amount": 1.0}', "amount"),
        ('{"type": "credit", "idempotency_key": "k", "wallet_id": "W", "amount": 1, "amount": 1}', ""),
        ('{"type": "credit", "idempotency_key": "k", "wallet_id": "W", "amount": 1, "hold_id": "W"}', "hold_id"),
        ('{"type": "post", "idempotency_key": "k", "postings": [{"amount": 0}]}', "postings[0].amount"),
        ('{"type": "hold", "idempotency_key": "k", "wallet_id": "W", "amount": 1, "destination": "W"}', "destination"),
    ],
)
async def test_a_malformed_command_has_its_400_in_its_place(api: Api, text: str, field: str) -> None:
    wallet = await api.new_wallet()
    good = [json.dumps(credit(wallet, "before")), json.dumps(credit(wallet, "after"))]
    content = f'{{"commands": [{good[0]}, {text.replace("W", wallet)}, {good[1]}]}}'.encode()
    answer = await api.send("POST", "/v1/batches", content=content)
    assert answer.status_code == 200
    before, malformed, after = answer.json()["results"]
    assert (before["status"], after["status"]) == (201, 201)
    assert (malformed["status"], malformed["replayed"]) == (400, False)
    assert malformed["problem"]["type"] == "/problems/malformed-request"
    assert [error["field"] for error in malformed["problem"]["errors"]] == [field]
    assert (await api.wallet(wallet))["balance"] == 2


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("[]", ""),
        ("{}", "commands"),
        ('{"commands": {}}', "commands"),
        ('{"commands": []}', "commands"),
        ('{"commands": null}', "commands"),
        (f'{{"commands": [{",".join(["1"] * 1001)}]}}', "commands"),
        ('{"commands": [1], "atomic": true}', "atomic"),
        ('{"commands": [1], "commands": [1]}', ""),
        ('{"commands": [1]', ""),
    ],
)
async def test_a_malformed_envelope_is_a_malformed_request(api: Api, text: str, field: str) -> None:
    answer = await api.send("POST", "/v1/batches", content=text.encode())
    assert (answer.status_code, problem_of(answer)) == (400, "malformed-request")
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_thousand_commands_are_a_batch_and_a_batch_again_is_a_replay(api: Api) -> None:
    wallet = await api.new_wallet()
    commands = [credit(wallet, f"k{number}") for number in range(1000)]
    first = await run(api, *commands)
    assert [result["status"] for result in first.json()["results"]] == [201] * 1000
    again = await run(api, *commands)
    assert again.headers["idempotent-replayed"] == "true"
    assert [result["transaction"] for result in again.json()["results"]] == [
        result["transaction"] for result in first.json()["results"]
    ]
    assert (await api.wallet(wallet))["balance"] == 1000


async def test_a_batch_of_nothing_but_malformed_commands_asks_nobody() -> None:
    async with running_api(ledger=Always(AssertionError("asked"))) as api:
        answer = await run(api, {}, {})
        assert [result["status"] for result in answer.json()["results"]] == [400, 400]


@pytest.mark.parametrize(
    ("outcome", "slug"),
    [
        (Overloaded(), "overloaded"),
        (DatabaseUnavailable(), "database-unavailable"),
        (Unknown(), "database-unavailable"),
    ],
)
async def test_what_befalls_the_whole_batch_is_the_answer_to_the_request(outcome: Outcome, slug: str) -> None:
    async with running_api(ledger=Always(outcome)) as api:
        answer = await run(api, credit(str(uuid4()), "a"), credit(str(uuid4()), "b"))
        assert (answer.status_code, problem_of(answer)) == (503, slug)
        assert answer.headers["retry-after"] == "1"


async def test_contention_is_told_command_by_command() -> None:
    async with running_api(ledger=Always(Contention())) as api:
        answer = await run(api, credit(str(uuid4()), "a"), {})
        assert [result["status"] for result in answer.json()["results"]] == [409, 400]


async def test_fencing_a_key_that_nothing_used_closes_it(api: Api) -> None:
    fenced = await api.send("POST", "/v1/fences", {"key": "k"})
    assert fenced.status_code == 200
    assert fenced.json()["outcome"] == "fenced"
    assert fenced.json()["problem"]["type"] == "/problems/idempotency-key-fenced"
    assert (await api.send("POST", "/v1/fences", {"key": "k"})).content == fenced.content
    assert problem_of(await api.post("/v1/wallets", {"currency": "EUR"}, key="k")) == "idempotency-key-fenced"
    assert (await api.get("/v1/idempotency-keys?key=k")).json()["outcome"] == "fenced"


async def test_fencing_a_key_that_was_decided_tells_what_was(api: Api) -> None:
    wallet = await api.new_wallet(1)
    applied = await api.post(f"/v1/wallets/{wallet}/debits", {"amount": 1}, key="a")
    rejected = await api.post(f"/v1/wallets/{wallet}/debits", {"amount": 1}, key="r")
    for key, outcome, member, answer in (
        ("a", "applied", "transaction", applied),
        ("r", "rejected", "problem", rejected),
    ):
        fence = await api.send("POST", "/v1/fences", {"key": key})
        assert fence.json() == {"key": key, "outcome": outcome, member: answer.json()}


@pytest.mark.parametrize(
    "body", [{}, {"key": ""}, {"key": "a b"}, {"key": 1}, {"key": "ä"}, {"key": "x" * 256}, {"keys": "a"}]
)
async def test_a_fence_needs_a_key(api: Api, body: Json) -> None:
    answer = await api.send("POST", "/v1/fences", body)
    assert problem_of(answer) == "malformed-request"
    assert answer.json()["errors"][0]["field"] in ("key", "keys")


async def test_what_befalls_a_fence_is_a_problem() -> None:
    async with running_api(ledger=Always(DatabaseUnavailable())) as api:
        assert problem_of(await api.send("POST", "/v1/fences", {"key": "k"})) == "database-unavailable"
