"""That the suite runs where it says it does: a level that silently fell back would make its rows copies of another."""

import pytest
from sqlalchemy import text

from adapters.postgres.engine import create_engine
from adapters.postgres.session import open_session
from tests.support.stores import ISOLATIONS


@pytest.mark.parametrize("name", ISOLATIONS)
async def test_a_unit_of_work_runs_at_the_isolation_level_of_its_engine(ledger_database: str, name: str) -> None:
    engine = create_engine(ledger_database, pool_size=1, isolation=ISOLATIONS[name])
    async with open_session(engine) as session:
        await session.begin()
        (row,) = await session.fetch(text("SHOW transaction_isolation"), {})
        assert row["transaction_isolation"] == ISOLATIONS[name].lower()
    await engine.dispose()
