"""Traffic that comes to every outcome there is, through the real service."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final

import attrs
import httpx

from entrypoints import bootstrap, composition
from entrypoints.settings import Settings
from tests.http.api import client_of

API_KEY: Final = "api-key-of-the-observed-service"
NOBODY: Final = "0190a0a0-0000-7000-8000-000000000000"
FAULT: Final = "wallet-lab-fault"


@asynccontextmanager
async def observed(dsn: str, **settings: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service in this process, over a migrated database."""
    given = Settings.from_environment({"WALLET_DATABASE_URL": dsn, "WALLET_BOOTSTRAP_API_KEY": API_KEY, **settings})
    async with bootstrap.administration(dsn) as admin:
        await admin.ensure_key(bootstrap.DEFAULT_TENANT, "bootstrap", API_KEY, bootstrap.SCOPES)
    app = composition.application(given, dsn)
    async with lifespan_of(app), client_of(app) as client:
        client.headers["authorization"] = f"Bearer {API_KEY}"
        yield client


@asynccontextmanager
async def lifespan_of(app: Any) -> AsyncIterator[None]:
    """What a server does of the ASGI lifespan."""
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan", "state": {}}, told.get, heard.put))
    await told.put({"type": "lifespan.startup"})
    assert (await heard.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await told.put({"type": "lifespan.shutdown"})
        assert (await heard.get())["type"] == "lifespan.shutdown.complete"
        await task


@attrs.define
class Traffic:
    """Sends writes, and keeps account of what they were answered."""

    client: httpx.AsyncClient
    outcomes: Counter[str] = attrs.field(factory=Counter)
    reasons: Counter[str] = attrs.field(factory=Counter)
    answers: Counter[tuple[str, str, str]] = attrs.field(factory=Counter)
    """By method, route and status."""
    problems: Counter[str] = attrs.field(factory=Counter)
    _numbers: "count[int]" = attrs.field(factory=count)

    async def send(
        self,
        outcome: str,
        route: str,
        body: Any,
        id: str = "",
        *,
        method: str = "POST",
        key: str | None = None,
        **headers: str,
    ) -> httpx.Response:
        """Send a write that comes to this outcome."""
        named = {} if route == "/v1/fences" else {"idempotency-key": key or f"key-{next(self._numbers)}"}
        path = route.replace("{id}", id)
        answer = await self.client.request(method, path, json=body, headers={**named, **headers})
        problem = answer.json()["type"].removeprefix("/problems/") if answer.status_code >= 400 else ""
        self.outcomes[outcome] += 1
        if outcome == "rejected":
            self.reasons[problem] += 1
        self.answers[method, route, str(answer.status_code)] += 1
        if problem:
            self.problems[problem] += 1
        return answer

    async def every_outcome(self) -> None:
        """Come to each that needs no crowd, and no database that fails."""
        wallets, credits, debits = "/v1/wallets", "/v1/wallets/{id}/credits", "/v1/wallets/{id}/debits"
        one = {"amount": 1}
        wallet = (await self.send("applied", wallets, {"currency": "EUR"}, key="opened")).json()["id"]
        dollars = (await self.send("applied", wallets, {"currency": "USD"})).json()["id"]
        for amount in (5, 6, 7):
            await self.send("applied", credits, {"amount": amount}, wallet, key=f"credit-{amount}")
        await self.send("replayed", credits, {"amount": 5}, wallet, key="credit-5")
        await self.send("replayed", wallets, {"currency": "EUR"}, key="opened")
        await self.send("key_reused", credits, {"amount": 8}, wallet, key="credit-5")
        await self.send("rejected", debits, {"amount": 100}, wallet, key="too-much")
        await self.send("replayed", debits, {"amount": 100}, wallet, key="too-much")
        between = {"postings": [{"source": wallet, "destination": dollars, "amount": 1}]}
        await self.send("rejected", "/v1/transactions", between)
        await self.send("rejected", wallets + "/{id}", {"status": "closed"}, wallet, method="PATCH")
        await self.send("not_found", credits, one, NOBODY)
        await self.send("version_conflict", credits, {"amount": 1, "expected_version": 1}, wallet)
        await self.send("wallet_exists", wallets, {"currency": "EUR", "id": wallet})
        await self.send("fenced", "/v1/fences", {"key": "never"})
        await self.send("key_fenced", credits, one, wallet, key="never")

    async def every_failure(self) -> None:
        """Come to what only a database that fails can lead to."""
        opened = await self.send("applied", "/v1/wallets", {"currency": "EUR"})
        wallet, credits, one = opened.json()["id"], "/v1/wallets/{id}/credits", {"amount": 1}
        await self.send("unavailable", credits, one, wallet, **{FAULT: "before-load=error*3"})
        await self.send("unknown", credits, one, wallet, **{FAULT: "before-commit=error*3"})
        # The answer to its COMMIT gets lost, and it finds out that it was committed.
        await self.send("applied", credits, one, wallet, **{FAULT: "after-commit=error"})
