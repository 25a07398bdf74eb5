"""The real service in a process of its own, and customers who insist: each write is sent again under its key until it
is settled."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import asyncpg
import attrs
import httpx

from adapters.postgres.admin import tenant_id_of
from tests.concurrency.contents import Contents, read_contents
from tests.concurrency.proof import prove
from tests.concurrency.violations import AcknowledgedLost, DoubleEffect
from tests.http.process import Running, serving
from tests.support.proxy.rules import Firings

TENANT: Final = tenant_id_of("default")
RETRY_S: Final = 0.05


@asynccontextmanager
async def served(database_url: str | None = None, **settings: str) -> AsyncIterator[Running]:
    """The service over this database, or its own. Started and stopped beside the event loop, where proxies may run."""
    context = serving(database_url, **settings)
    running = await asyncio.to_thread(context.__enter__)
    try:
        yield running
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


@attrs.define
class Customers:
    """Customers of one wallet, who credit it with 1 under a new key each time, and what they were told."""

    client: httpx.AsyncClient
    wallet: str
    settled: list[str] = attrs.field(factory=list)
    """The keys whose credit was acknowledged."""
    answers: Counter[int] = attrs.field(factory=Counter)
    told: Firings = attrs.field(factory=Firings)
    """Counts acknowledgements."""
    _sent: int = 0
    _leaving: bool = False

    @classmethod
    async def enter(cls, client: httpx.AsyncClient, key: str = "open") -> "Customers":
        opened = await client.post("/v1/wallets", json={"currency": "EUR"}, headers={"idempotency-key": key})
        opened.raise_for_status()
        return cls(client, opened.json()["id"])

    async def credit(self, key: str) -> httpx.Response:
        """Send one credit, once."""
        path = f"/v1/wallets/{self.wallet}/credits"
        answer = await self.client.post(path, json={"amount": 1}, headers={"idempotency-key": key})
        self.answers[answer.status_code] += 1
        return answer

    async def insist(self, key: str) -> httpx.Response:
        """Send one credit until it is settled."""
        answer = await self.credit(key)
        while answer.status_code in (503, 504):
            await asyncio.sleep(RETRY_S)
            answer = await self.credit(key)
        if answer.status_code == 201:
            self.settled.append(key)
            self.told.add()
        return answer

    @asynccontextmanager
    async def shopping(self, customers: int = 8) -> AsyncIterator[None]:
        """Customers come as fast as they are served. At the end each settles what it has begun."""
        self._leaving = False
        tasks = [asyncio.create_task(self._shop()) for _ in range(customers)]
        try:
            yield
            self._leaving = True
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _shop(self) -> None:
        while not self._leaving:
            self._sent += 1
            await self.insist(f"credit-{self._sent}")

    async def require_true(self, dsn: str, tenant: UUID = TENANT) -> Contents:
        """Raise a ``Violation`` unless each acknowledged credit is in the ledger once, and nothing else is."""
        contents = await read_contents(dsn, tenant)
        prove(contents)
        keys = [row.idempotency_key for row in contents.transactions if row.kind == "post"]
        lost = set(self.settled) - set(keys)
        if lost:
            raise AcknowledgedLost(f"{len(lost)} of {len(self.settled)} acknowledged credits are not in the ledger")
        if sorted(keys) != sorted(self.settled):
            raise DoubleEffect(f"{len(keys)} credits in the ledger, {len(self.settled)} were acknowledged")
        return contents


async def sessions_in(dsn: str, states: Sequence[str]) -> int:
    """How many of the service's sessions are in one of these states."""
    owner = await asyncpg.connect(dsn)
    try:
        found = await owner.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'wallet-service' AND state = ANY($1)"
            " AND datname = current_database()",
            list(states),
        )
        return int(found)
    finally:
        await owner.close()
