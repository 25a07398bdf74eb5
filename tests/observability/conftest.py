"""The service, observed."""

import asyncio
from collections.abc import Iterator

import attrs
import pytest

from adapters.metrics.exposition import REUSED_S
from tests.databases import Databases
from tests.observability.scrape import Scrape, scraped_from
from tests.observability.traffic import Traffic, observed
from tests.support.redis import redis_server

SETTLE_S_MAX = 30


@attrs.frozen
class Observed:
    """What traffic of every outcome left in the metrics, and what it was."""

    scrape: Scrape
    traffic: Traffic
    dsn: str
    cached: int
    """How many replays were sent besides, until one came from the cache."""


@pytest.fixture(scope="session")
def seen(databases: Databases) -> Iterator[Observed]:
    dsn = databases.create()
    with redis_server() as redis:
        yield asyncio.run(_observe(dsn, redis.url))
    databases.drop(dsn)


async def _observe(dsn: str, redis_url: str) -> Observed:
    async with observed(dsn, WALLET_REDIS_URL=redis_url, WALLET_LAB="on") as client:
        traffic = Traffic(client)
        await traffic.every_outcome()
        replays = 0
        async with asyncio.timeout(SETTLE_S_MAX):
            # Receipts are written behind the answers.
            while (scrape := await scraped_from(client))("wallet_replays_total", source="cache") < 1:
                replays += 1
                again = {"idempotency-key": "opened"}
                answer = await client.post("/v1/wallets", json={"currency": "EUR"}, headers=again)
                assert answer.headers["idempotent-replayed"] == "true"
                # An answer of the metrics is given again for a moment.
                await asyncio.sleep(REUSED_S * 1.1)
        assert scrape("wallet_cache_state", state="closed") == 1
        await traffic.every_failure()
        await client.get("/v1/wallets")
        await client.get("/v1/nowhere")
        await client.get("/v1/wallets", headers={"authorization": "Bearer of-nobody"})
        await client.get("/health/live")
        await asyncio.sleep(REUSED_S * 1.1)
        scrape = await scraped_from(client)
        return Observed(scrape, traffic, dsn, replays)
