"""Events of a ledger that was imported: in the order of the file, whatever ids they had where they were made."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.postgres.engine import create_engine
from adapters.postgres.schema import SERVICE_ROLE
from adapters.postgres.transfer import PostgresTransfer, Writing
from tests.support.ids import id_number
from tests.support.stores import World, postgres_world

RESULT = '{"entries":[],"postings":[]}'
KEYS = ("first", "second", "third")


@pytest.fixture
async def world(database: str) -> AsyncIterator[World]:
    async with postgres_world(database, "READ COMMITTED") as world:
        yield world


def rows(keys: tuple[str, ...], first_id: int) -> dict[str, list[Any]]:
    """Transactions whose ids descend, as those of a process do whose transaction had to wait for another one's."""
    amount = len(keys)
    return {
        "id": [id_number(first_id - place) for place in range(amount)],
        "created_at": [datetime(2026, 1, 2, tzinfo=UTC)] * amount,
        "reverses": [None] * amount,
        "idempotency_key": list(keys),
        "outcome": ["applied"] * amount,
        "kind": ["post"] * amount,
        "intent": ["{}"] * amount,
        "result": [RESULT] * amount,
    }


async def test_what_is_imported_is_told_in_the_order_of_the_file(world: World, database: str) -> None:
    engine = create_engine(database, pool_size=1, role=SERVICE_ROLE)
    try:
        transfer = PostgresTransfer(engine)
        for number, part in enumerate((KEYS, ("fourth", "fifth"))):
            await transfer.write(world.tenant, Writing({}, {}, rows(part, 1000 - 100 * number), {}, {}, {}))
    finally:
        await engine.dispose()
    told = [event.transaction.key for event in (await world.told()).items]
    assert told == [*KEYS, "fourth", "fifth"]
