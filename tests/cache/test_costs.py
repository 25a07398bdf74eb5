"""What the cache saves, and what it costs when Redis is not there."""

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import attrs
import pytest

from adapters.ids import UuidV7
from adapters.memory import MemoryStore
from adapters.redis import breaker
from adapters.redis.cache import RedisReplayCache
from adapters.redis.client import RedisStore
from tests.cache.ways import PlainRelay
from tests.databases import Databases
from tests.support.builders import A
from tests.support.cached import CachedWorld, Told, cached_world
from tests.support.ids import id_number
from tests.support.redis import RedisServer
from tests.support.waits import until
from wallet_core import Applied, BatchLedger, OpenWallet, Replayed, credit
from wallet_core.ports import Ledger
from wallet_core.replays import CachedLedger

REPLAYS = 500
TRIALS = 7
WRITES = 300
TENANT = id_number(1)
FIRST_S_MAX = 0.060
OPEN_S_MAX = 0.001

USE_OF_TABLES = """
    SELECT sum(coalesce(seq_scan, 0) + coalesce(idx_scan, 0) + n_tup_ins + n_tup_upd)::bigint
    FROM pg_stat_user_tables WHERE relname <> 'replay_secret'"""
OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


async def use_of_tables(dsn: str) -> int:
    """How often the ledger's tables were looked into or written to. Sessions tell at their end, so they are ended."""
    connection = await asyncpg.connect(dsn)
    try:
        ending = [row["pid"] for row in await connection.fetch(f"SELECT pid, pg_terminate_backend(pid) {OTHERS}")]

        async def ended() -> bool:
            return not await connection.fetchval(f"SELECT count(*) {OTHERS} AND pid = ANY($1::int[])", ending)

        await until(ended)
        used: int = await connection.fetchval(USE_OF_TABLES)
        return used
    finally:
        await connection.close()


async def replay_all(world: CachedWorld, ledger: Ledger) -> None:
    for number in range(REPLAYS):
        (outcome,) = await ledger.execute(world.tenant, [credit(f"k{number}", A, 1)])
        assert isinstance(outcome, Replayed)


async def test_replays_from_the_cache_do_not_touch_the_database(databases: Databases, redis: RedisServer) -> None:
    dsn = databases.create()
    async with cached_world(dsn, redis.url) as world:
        await world.open(A)
        await world.settled()
        await world.do(*(credit(f"k{number}", A, 1) for number in range(REPLAYS)))
        await world.settled()
        before = await use_of_tables(dsn)
        await world.settled()
        await replay_all(world, world.ledger())
        after = await use_of_tables(dsn)
        assert world.redis.state.hits == REPLAYS
        assert after == before
        # That this would have been seen: the same without the cache.
        await replay_all(world, BatchLedger(world.store, world.ids))
        assert await use_of_tables(dsn) >= after + REPLAYS
    databases.drop(dsn)


@attrs.define
class Pair:
    """A ledger with a cache and one without, over stores that take no time."""

    cached: CachedLedger
    plain: BatchLedger
    cache: RedisReplayCache
    _keys: int = 0

    async def extra_s(self) -> float:
        """How much longer one write takes with the cache than without."""
        self._keys += 1
        took = []
        for ledger in (self.cached, self.plain):
            started = time.perf_counter()
            (outcome,) = await ledger.execute(TENANT, [credit(f"k{self._keys}", A, 1)])
            took.append(time.perf_counter() - started)
            assert isinstance(outcome, Applied)
        return took[0] - took[1]

    async def until_back(self) -> None:
        async def back() -> bool:
            return not self.cache.state.away

        await until(back)


@asynccontextmanager
async def pair(url: str) -> AsyncIterator[Pair]:
    cache = RedisReplayCache(RedisStore(url), Told())
    cache.start()
    plain, behind = BatchLedger(MemoryStore(), UuidV7()), BatchLedger(MemoryStore(), UuidV7())
    made = Pair(CachedLedger(behind, cache), plain, cache)
    for ledger in (plain, behind):
        await ledger.execute(TENANT, [OpenWallet("open", "EUR", id=A)])
    try:
        yield made
    finally:
        await cache.close()


async def absent(redis: RedisServer, way: PlainRelay) -> None:
    way.refuse()
    way.cut_all()


async def hung(redis: RedisServer, way: PlainRelay) -> None:
    redis.freeze()


async def slow(redis: RedisServer, way: PlainRelay) -> None:
    way.shape.delay_ms = 100


async def heal(redis: RedisServer, way: PlainRelay) -> None:
    await way.listen()
    redis.thaw()
    way.shape.delay_ms = 0


@pytest.mark.parametrize("state", [absent, hung, slow], ids=lambda state: state.__name__)
async def test_a_cache_that_is_away_costs_one_short_wait_and_then_nothing(
    redis: RedisServer,
    state: Callable[[RedisServer, PlainRelay], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Medians, because the machine has other work too."""
    monkeypatch.setattr(breaker, "PROBE_S", 0.05)
    first_s: list[float] = []
    open_s: list[float] = []
    async with PlainRelay(("127.0.0.1", redis.port)) as way, pair(f"redis://127.0.0.1:{way.port}") as ledgers:
        for _ in range(TRIALS):
            await ledgers.extra_s()
            await ledgers.cache.written()
            await ledgers.until_back()
            await state(redis, way)
            first_s.append(await ledgers.extra_s())
            assert ledgers.cache.state.away
            open_s += [await ledgers.extra_s() for _ in range(WRITES // TRIALS)]
            assert ledgers.cache.state.away
            await heal(redis, way)
            await ledgers.until_back()
    assert statistics.median(first_s) < FIRST_S_MAX
    assert statistics.median(open_s) < OPEN_S_MAX
