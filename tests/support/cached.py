"""A ledger on PostgreSQL with its replay cache in Redis, as the service has it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from uuid import UUID

import attrs

from adapters.ids import UuidV7
from adapters.postgres.engine import create_engine
from adapters.postgres.history import HistoryWatch
from adapters.postgres.reader import PostgresReader
from adapters.postgres.schema import SERVICE_ROLE
from adapters.postgres.unit_of_work import PostgresStore
from adapters.redis.cache import RedisReplayCache
from adapters.redis.client import RedisStore
from adapters.redis.store import KeyValues
from tests.support.stores import POOL_SIZE, World, new_tenants
from tests.support.waits import until
from wallet_core.ports import History

CACHED: Final = "postgres behind redis"

UNHURRIED_S: Final = 5.0
"""A limit of calls for tests that are not about time: no busy machine makes the cache give up."""


@attrs.define
class Told:
    """A history that changes when a test says so."""

    known: History | None = attrs.field(factory=lambda: History("h1", b"s" * 32))

    def start(self) -> None:
        pass

    async def close(self) -> None:
        pass


@attrs.define
class CachedWorld(World):
    """A world whose cache a test looks into."""

    @property
    def redis(self) -> RedisReplayCache:
        if not isinstance(self.cache, RedisReplayCache):
            raise TypeError("the cache was replaced by another one")
        return self.cache

    async def settled(self) -> None:
        """Return when the history is known and what was to be written is."""

        async def settled() -> bool:
            await self.redis.written()
            return self.redis.history() is not None

        await until(settled)


@asynccontextmanager
async def cached_world(
    dsn: str, redis: str | KeyValues, call_s_max: float = UNHURRIED_S, tenants: Sequence[UUID] | None = None
) -> AsyncIterator[CachedWorld]:
    """A world in a migrated database, with a cache in the Redis of a URL or in another store; of new tenants, unless
    two are given."""
    tenant, other_tenant = tenants or await new_tenants(dsn, 2)
    engine = create_engine(dsn, pool_size=POOL_SIZE, pool_timeout_ms=30_000, role=SERVICE_ROLE)
    histories = HistoryWatch(create_engine(dsn, pool_size=1, role=SERVICE_ROLE), [engine])
    cache = RedisReplayCache(RedisStore(redis) if isinstance(redis, str) else redis, histories, call_s_max)
    cache.start()
    try:
        world = CachedWorld(PostgresStore(engine), PostgresReader(engine), tenant, other_tenant, UuidV7(), cache)
        # A connection that is made puts the history in doubt for a moment, in which nothing is remembered.
        async with AsyncExitStack() as connections:
            for _ in range(POOL_SIZE):
                await connections.enter_async_context(engine.connect())
        await world.settled()
        yield world
    finally:
        await cache.close()
        await engine.dispose()
