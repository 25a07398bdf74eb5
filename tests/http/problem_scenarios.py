"""Each problem, made to happen over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from uuid import UUID

import httpx

from entrypoints.http.buckets import Buckets
from entrypoints.http.rate_limits import RateLimits
from tests.http.api import UNKNOWN_ID, Api, running_api
from wallet_core.commands import Command
from wallet_core.money import AMOUNT_MAX
from wallet_core.outcomes import Contention, DatabaseUnavailable, Outcome, Overloaded

Scenario = Callable[[Api], Awaitable[httpx.Response]]


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


async def tenant_suspended(api: Api) -> httpx.Response:
    return await api.post("/v1/wallets", {"currency": "EUR"}, api_key="suspended")


async def rate_limited(api: Api) -> httpx.Response:
    async with running_api(limits=RateLimits(Buckets(), 1, 1.0)) as limited:
        await limited.get("/v1/wallets")
        return await limited.post("/v1/wallets", {"currency": "EUR"})


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
        tenant_suspended,
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
        rate_limited,
        overloaded,
        database_unavailable,
        outcome_unknown,
        internal_error,
    )
}
