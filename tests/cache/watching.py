"""A watch of a database's history that looks all the time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import create_engine
from adapters.postgres.history import HistoryWatch
from adapters.postgres.schema import SERVICE_ROLE
from tests.support.waits import until
from wallet_core.ports import History

SOON_S = 0.05


@asynccontextmanager
async def watched(dsn: str) -> AsyncIterator[tuple[HistoryWatch, AsyncEngine]]:
    """A watch, and the engine of a ledger whose connections it watches."""
    ledger = create_engine(dsn, pool_size=2, role=SERVICE_ROLE)
    watch = HistoryWatch(create_engine(dsn, pool_size=1, role=SERVICE_ROLE), [ledger])
    watch.start()
    try:
        yield watch, ledger
    finally:
        await watch.close()
        await ledger.dispose()


async def told(watch: HistoryWatch) -> History:
    """The history, once it is known."""

    async def known() -> bool:
        return watch.known is not None

    await until(known)
    assert watch.known is not None
    return watch.known


async def value(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()
