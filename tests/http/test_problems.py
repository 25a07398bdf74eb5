"""Every problem of the contract, made to happen over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from uuid import UUID

import httpx
import pytest

from entrypoints.http.problems import ALL
from tests.http.api import UNKNOWN_ID, Api, problem_of, running_api
from wallet_core.commands import Command
from wallet_core.money import AMOUNT_MAX
from wallet_core.outcomes import Contention, DatabaseUnavailable, Outcome, Overloaded, Unknown

Scenario = Callable[[Api], Awaitable[httpx.Response]]

CONTRACT: Final = {
    "malformed-request": (400, "not_applied", "never", {"errors"}),
    "idempotency-key-missing": (400, "not_applied", "never", {"errors"}),
    "idempotency-key-invalid": (400, "not_applied", "never", {"errors"}),
    "unauthenticated": (401, "not_applied", "never", set()),
    "forbidden": (403, "not_applied", "never", set()),
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

RETRY_AFTER: Final = {"contention", "overloaded", "database-unavailable"}


class Always:
    """A ledger that comes to the same whatever it is asked, or fails, after a while."""

    def __init__(self, outcome: Outcome | Exception, after_s: float = 0.0) -> None:
        self.outcome = outcome
        self.after_s = after_s

    async def execute(self, tenant: UUID, commands: Sequence[Command]) -> Sequence[Outcome]:
        await asyncio.sleep(self.after_s)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return [self.outcome] * len(commands)


async def opened_over(ledger: Always, timeout_s: float = 5.0) -> httpx.Response:
    async with running_api(ledger=ledger, timeout_s=timeout_s) as api:
        return await api.post("/v1/wallets", {"currency": "EUR"})


async def malformed_request(api: Api) -> httpx.Response:
    return await api.post("/v1/wallets", {"currency": 1})


async def idempotency_key_missing(api: Api) -> httpx.Response:
    return await api.send("POST", "/v1/wallets", {"currency": "EUR"})


async def idempotency_key_invalid(api: Api) -> httpx.Response:
    return await api.post("/v1/wallets", {"currency": "EUR"}, key="a b")


async def unauthenticated(api: Api) -> httpx.Response:
    return await api.post("/v1/wallets", {"currency": "EUR"}, api_key="nobody's")


async def forbidden(api: Api) -> httpx.Response:
    return await api.post("/v1/wallets", {"currency": "EUR"}, api_key="reader")


async def wallet_not_found(api: Api) -> httpx.Response:
    return await api.post(f"/v1/wallets/{UNKNOWN_ID}/credits", {"amount": 1})


async def hold_not_found(api: Api) -> httpx.Response:
    return await api.post(f"/v1/holds/{UNKNOWN_ID}/release")


async def transaction_not_found(api: Api) -> httpx.Response:
    return await api.post(f"/v1/transactions/{UNKNOWN_ID}/reversal")


async def not_found(api: Api) -> httpx.Response:
    return await api.post("/v1/purses", {"currency": "EUR"})


async def method_not_allowed(api: Api) -> httpx.Response:
    return await api.patch("/v1/wallets", {"currency": "EUR"})


async def version_conflict(api: Api) -> httpx.Response:
    return await api.post(f"/v1/wallets/{await api.new_wallet()}/credits", {"amount": 1, "expected_version": 9})


async def wallet_exists(api: Api) -> httpx.Response:
    return await api.post("/v1/wallets", {"currency": "EUR", "id": await api.new_wallet()})


async def contention(api: Api) -> httpx.Response:
    return await opened_over(Always(Contention()))


async def payload_too_large(api: Api) -> httpx.Response:
    return await api.post("/v1/wallets", content=b" " * 16_385)


async def unsupported_media_type(api: Api) -> httpx.Response:
    return await api.post("/v1/wallets", content=b"<wallet/>", headers={"content-type": "application/xml"})


async def insufficient_funds(api: Api) -> httpx.Response:
    return await api.post(f"/v1/wallets/{await api.new_wallet(5)}/debits", {"amount": 6})


async def ceiling_exceeded(api: Api) -> httpx.Response:
    return await api.post(f"/v1/wallets/{await api.new_wallet(5, ceiling=9)}/credits", {"amount": 5})


async def amount_out_of_range(api: Api) -> httpx.Response:
    return await api.post(f"/v1/wallets/{await api.new_wallet(AMOUNT_MAX)}/credits", {"amount": 1})


async def wallet_frozen(api: Api) -> httpx.Response:
    wallet = await api.new_wallet(5)
    await api.patch(f"/v1/wallets/{wallet}", {"status": "frozen"})
    return await api.post(f"/v1/wallets/{wallet}/debits", {"amount": 1})


async def wallet_closed(api: Api) -> httpx.Response:
    wallet = await api.new_wallet()
    await api.patch(f"/v1/wallets/{wallet}", {"status": "closed"})
    return await api.post(f"/v1/wallets/{wallet}/credits", {"amount": 1})


async def wallet_not_empty(api: Api) -> httpx.Response:
    return await api.patch(f"/v1/wallets/{await api.new_wallet(1)}", {"status": "closed"})


async def currency_mismatch(api: Api) -> httpx.Response:
    source, destination = await api.new_wallet(5), await api.new_wallet(currency="USD")
    postings = [{"source": source, "destination": destination, "amount": 1}]
    return await api.post("/v1/transactions", {"postings": postings})


async def hold_not_active(api: Api) -> httpx.Response:
    hold = await api.new_hold(await api.new_wallet(5), 3)
    await api.post(f"/v1/holds/{hold}/release")
    return await api.post(f"/v1/holds/{hold}/capture")


async def capture_exceeds_hold(api: Api) -> httpx.Response:
    hold = await api.new_hold(await api.new_wallet(5), 3)
    return await api.post(f"/v1/holds/{hold}/capture", {"amount": 4})


async def already_reversed(api: Api) -> httpx.Response:
    wallet = await api.new_wallet()
    credited = (await api.post(f"/v1/wallets/{wallet}/credits", {"amount": 1})).json()
    await api.post(f"/v1/transactions/{credited['id']}/reversal")
    return await api.post(f"/v1/transactions/{credited['id']}/reversal")


async def not_reversible(api: Api) -> httpx.Response:
    changed = (await api.patch(f"/v1/wallets/{await api.new_wallet()}", {"floor": -1})).json()
    return await api.post(f"/v1/transactions/{changed['id']}/reversal")


async def idempotency_key_reused(api: Api) -> httpx.Response:
    await api.post("/v1/wallets", {"currency": "EUR"}, key="mine")
    return await api.post("/v1/wallets", {"currency": "USD"}, key="mine")


async def idempotency_key_fenced(api: Api) -> httpx.Response:
    await api.send("POST", "/v1/fences", {"key": "mine"})
    return await api.post("/v1/wallets", {"currency": "EUR"}, key="mine")


async def overloaded(api: Api) -> httpx.Response:
    return await opened_over(Always(Overloaded()))


async def database_unavailable(api: Api) -> httpx.Response:
    return await opened_over(Always(DatabaseUnavailable()))


async def outcome_unknown(api: Api) -> httpx.Response:
    return await opened_over(Always(DatabaseUnavailable(), after_s=0.2), timeout_s=0.02)


async def internal_error(api: Api) -> httpx.Response:
    return await opened_over(Always(ZeroDivisionError("secret")))


SCENARIOS: Final[dict[str, Scenario]] = {
    make.__name__.replace("_", "-"): make
    for make in (
        malformed_request,
        idempotency_key_missing,
        idempotency_key_invalid,
        unauthenticated,
        forbidden,
        wallet_not_found,
        hold_not_found,
        transaction_not_found,
        not_found,
        method_not_allowed,
        version_conflict,
        wallet_exists,
        contention,
        payload_too_large,
        unsupported_media_type,
        insufficient_funds,
        ceiling_exceeded,
        amount_out_of_range,
        wallet_frozen,
        wallet_closed,
        wallet_not_empty,
        currency_mismatch,
        hold_not_active,
        capture_exceeds_hold,
        already_reversed,
        not_reversible,
        idempotency_key_reused,
        idempotency_key_fenced,
        overloaded,
        database_unavailable,
        outcome_unknown,
        internal_error,
    )
}

NOT_PRODUCED: Final = {"rate-limited"}
"""Of the contract, and with a page; nothing limits rates yet."""


def test_every_problem_of_the_contract_is_known_and_is_made_to_happen_here() -> None:
    assert set(ALL) == set(CONTRACT)
    assert set(SCENARIOS) == set(CONTRACT) - NOT_PRODUCED


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
