"""Migrating while others write: a migration takes locks that writers wait behind, so it lets go soon and comes back."""

import asyncio
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.errors import sqlstate_of

ATTEMPTS_MAX: Final = 5
PAUSE_S: Final = 0.5
"""Between two attempts, in which those who had to wait go on."""

IN_THE_WAY: Final = frozenset(
    {
        "40P01",  # deadlock_detected: it took tables in another order than a writer did
        "55P03",  # lock_not_available: a long transaction has the table
    }
)


async def beside_writers(connection: AsyncConnection, migrate: Callable[[Connection], None]) -> None:
    """Migrate, and again where writers were in the way. What was not committed is rolled back in between."""
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            await connection.run_sync(migrate)
            return
        except DBAPIError as error:
            if sqlstate_of(error) not in IN_THE_WAY or attempt == ATTEMPTS_MAX:
                raise
        await connection.rollback()
        # A migration that makes an index has set it for itself, and may not have got to the end.
        await connection.execute(text("RESET lock_timeout"))
        await connection.commit()
        await asyncio.sleep(PAUSE_S)
