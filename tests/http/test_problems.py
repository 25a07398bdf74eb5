"""Every problem of the contract, with what it says."""

from typing import Final

import pytest

from entrypoints.http.problems import ALL
from tests.http.api import Api, problem_of, running_api
from tests.http.problem_scenarios import SCENARIOS, Always, opened_over, unauthenticated
from wallet_core.outcomes import Unknown

CONTRACT: Final = {
    "malformed-request": (400, "not_applied", "never", {"errors"}),
    "idempotency-key-missing": (400, "not_applied", "never", {"errors"}),
    "idempotency-key-invalid": (400, "not_applied", "never", {"errors"}),
    "unauthenticated": (401, "not_applied", "never", set()),
    "forbidden": (403, "not_applied", "never", set()),
    "tenant-suspended": (403, "not_applied", "never", set()),
    "wallet-not-found": (404, "not_applied", "never", set()),
    "hold-not-found": (404, "not_applied", "never", set()),
    "transaction-not-found": (404, "not_applied", "never", set()),
    "not-found": (404, "not_applied", "never", set()),
    "version-conflict": (409, "not_applied", "reread", {"wallet_id", "expected_version", "current_version"}),
    "wallet-exists": (409, "not_applied", "never", set()),
    "contention": (409, "not_applied", "same_key", set()),
    "payload-too-large": (413, "not_applied", "never", set()),
    "unsupported-media-type": (415, "not_applied", "never", set()),
    "method-not-allowed": (405, "not_applied", "never", set()),
    "insufficient-funds": (422, "rejected", "new_key", {"wallet_id", "available", "needed"}),
    "ceiling-exceeded": (422, "rejected", "new_key", {"wallet_id", "ceiling", "balance"}),
    "amount-out-of-range": (422, "rejected", "new_key", {"wallet_id", "amount_max"}),
    "wallet-frozen": (422, "rejected", "new_key", {"wallet_id", "wallet_status"}),
    "wallet-closed": (422, "rejected", "new_key", {"wallet_id", "wallet_status"}),
    "wallet-not-empty": (422, "rejected", "new_key", {"wallet_id", "balance", "held"}),
    "currency-mismatch": (422, "rejected", "new_key", {"source_currency", "destination_currency"}),
    "hold-not-active": (422, "rejected", "new_key", {"hold_id", "hold_status"}),
    "capture-exceeds-hold": (422, "rejected", "new_key", {"hold_id", "remaining", "amount"}),
    "already-reversed": (422, "rejected", "new_key", {"transaction_id"}),
    "not-reversible": (422, "rejected", "new_key", {"transaction_id", "kind"}),
    "idempotency-key-reused": (422, "not_applied", "new_key", set()),
    "idempotency-key-fenced": (422, "not_applied", "new_key", set()),
    "rate-limited": (429, "not_applied", "same_key", set()),
    "overloaded": (503, "not_applied", "same_key", set()),
    "database-unavailable": (503, "not_applied", "same_key", set()),
    "outcome-unknown": (504, "unknown", "same_key", set()),
    "internal-error": (500, "unknown", "same_key", set()),
}
"""The contract's table: status, outcome, retry, and what the problem also carries."""

RETRY_AFTER: Final = {"contention", "rate-limited", "overloaded", "database-unavailable"}


def test_every_problem_of_the_contract_is_known_and_is_made_to_happen_here() -> None:
    assert set(ALL) == set(CONTRACT)
    assert set(SCENARIOS) == set(CONTRACT)


@pytest.mark.parametrize("slug", SCENARIOS)
async def test_a_problem_says_what_became_of_the_request_and_what_to_do(api: Api, slug: str) -> None:
    answer = await SCENARIOS[slug](api)
    status, outcome, retry, members = CONTRACT[slug]
    problem = answer.json()
    assert problem_of(answer) == slug
    assert answer.status_code == problem["status"] == status
    assert (problem["outcome"], problem["retry"]) == (outcome, retry)
    assert members <= set(problem)
    assert list(problem)[:7] == ["type", "title", "status", "detail", "instance", "outcome", "retry"]
    assert "{" not in problem["detail"]
    assert answer.headers["idempotent-replayed"] == "false"
    assert answer.headers["cache-control"] == "no-store"
    assert ("retry-after" in answer.headers) == (slug in RETRY_AFTER)


@pytest.mark.parametrize("slug", CONTRACT)
async def test_a_problem_has_a_page_that_needs_no_key(api: Api, slug: str) -> None:
    page = await api.get(f"/problems/{slug}", api_key=None)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert ALL[slug].title.replace("'", "&#x27;") in page.text
    members = (await api.get(f"/problems/{slug}", headers={"accept": "application/json"})).json()
    assert members["type"] == f"/problems/{slug}"
    assert members["status"] == CONTRACT[slug][0]


async def test_there_is_no_page_for_what_is_no_problem(api: Api) -> None:
    assert problem_of(await api.get("/problems/too-rich")) == "not-found"


async def test_a_rejection_is_the_same_occurrence_wherever_it_is_told(api: Api) -> None:
    """Its instance can be followed, and has the same bytes in a replay, in a batch, and where the key is looked up."""
    wallet = await api.new_wallet()
    key = "a key/with?odd=characters&more"
    first = await api.post(f"/v1/wallets/{wallet}/debits", {"amount": 1}, key=key.replace(" ", "_"))
    instance = first.json()["instance"]
    assert instance == "/v1/idempotency-keys?key=a_key%2Fwith%3Fodd%3Dcharacters%26more"
    found = (await api.get(instance)).json()
    assert found["outcome"] == "rejected"
    assert found["problem"] == first.json()
    command = {"type": "debit", "idempotency_key": key.replace(" ", "_"), "wallet_id": wallet, "amount": 1}
    (result,) = (await api.send("POST", "/v1/batches", {"commands": [command]})).json()["results"]
    assert result == {"status": 422, "replayed": True, "problem": first.json()}


async def test_the_instance_of_any_other_problem_is_the_path_that_was_asked_for(api: Api) -> None:
    answer = await api.get("/v1/w%C3%A4llets/%20?x=1")
    assert answer.json()["instance"] == "/v1/w%C3%A4llets/%20"


async def test_a_lost_commit_is_told_as_unknown() -> None:
    answer = await opened_over(Always(Unknown()))
    assert (answer.status_code, problem_of(answer)) == (503, "database-unavailable")
    assert (answer.json()["outcome"], answer.json()["retry"]) == ("unknown", "same_key")


async def test_a_failure_tells_the_log_and_not_the_client(caplog: pytest.LogCaptureFixture) -> None:
    async with running_api(ledger=Always(ZeroDivisionError("secret"))) as api:
        answer = await api.post("/v1/wallets", {"currency": "EUR"}, headers={"x-request-id": "find-me"})
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "find-me" in caplog.text
    assert "secret" in caplog.text


async def test_unauthenticated_says_how_to_authenticate(api: Api) -> None:
    assert (await unauthenticated(api)).headers["www-authenticate"] == "Bearer"


async def test_a_method_that_is_not_allowed_is_told_which_ones_are(api: Api) -> None:
    for method in ("PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"):
        answer = await api.send(method, "/v1/wallets")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, POST"
