"""What positions of events are counted from (``docs/decisions/0015``).

Ids of transactions belong to a server. A database that was dumped and loaded into another one brings its positions
along, and would go on from lower ones. Then the base is raised past all that there are.
"""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# By the index of events, for each tenant: there is none over all tenants.
_LATEST: Final = """
    SELECT coalesce(max(latest.position), -1)
    FROM tenants CROSS JOIN LATERAL (
        SELECT position FROM transactions
        WHERE tenant_id = tenants.id AND outcome = 'applied' AND position >= 0
        ORDER BY position DESC, lsn DESC, id DESC
        LIMIT 1
    ) AS latest
"""

# What was committed by transactions of this server has positions below this, at any time.
_FALLEN_BACK: Final = text(
    f"""
    SELECT ({_LATEST}) >= base + pg_snapshot_xmax(pg_current_snapshot())::text::bigint
    FROM event_clock WHERE id = 1
    """  # noqa: S608 - a constant
)

_RAISE: Final = text(f"UPDATE event_clock SET base = ({_LATEST}) + 1 WHERE id = 1")  # noqa: S608 - a constant

_NO_WRITERS: Final = text("LOCK TABLE transactions IN SHARE ROW EXCLUSIVE MODE")


async def has_fallen_back(connection: AsyncConnection) -> bool:
    """Whether new events would come before, or among, those that are there."""
    fallen_back: bool | None = await connection.scalar(_FALLEN_BACK)
    return bool(fallen_back)


async def catch_up(connection: AsyncConnection) -> None:
    """Raise the base if it is too low, as the owner of the tables. Cursors stay good."""
    if await has_fallen_back(connection):
        # Whoever began to write before this would write positions that count from the old base.
        await connection.execute(_NO_WRITERS)
        await connection.execute(_RAISE)
    await connection.commit()
