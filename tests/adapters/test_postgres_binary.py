"""What is sent in PostgreSQL's binary format is what the server reads, and what the driver would have sent."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from asyncpg.pgproto import pgproto
from sqlalchemy import ARRAY, JSON, BigInteger, Boolean, DateTime, LargeBinary, Text, Uuid
from sqlalchemy.types import TypeEngine

from adapters.postgres.binary import encoder
from adapters.postgres.engine import create_engine
from adapters.postgres.pipeline import Pipeline, Statement, encoded
from adapters.postgres.session import open_session
from tests.adapters.test_postgres_pipeline import patiently

EAST: Final = timezone(timedelta(hours=5, minutes=45))

VALUES: Final[dict[str, tuple[TypeEngine[Any], list[Any]]]] = {
    "bigint": (BigInteger(), [0, 1, -1, 2**63 - 1, -(2**63), None]),
    "uuid": (Uuid(), [UUID(int=0), UUID(int=2**128 - 1), pgproto.UUID(str(uuid4())), None]),
    "text": (Text(), ["", "a,b", "{x}", '"\\', "NULL", "ö", "漢字", "\U0001f4b6" * 100, None]),
    "json": (JSON(), ["{}", '{"a":"ö","b":[null]}', "[1, 2,\n 3]", '"\\u00e9,}"', "null", None]),
    "bytea": (LargeBinary(), [b"", b"\0", bytes(range(256)), None]),
    "timestamptz": (
        DateTime(timezone=True),
        [
            datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC),
            datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
            # The driver takes the first and the last that there is for infinity.
            datetime(1, 1, 2, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, 59, 999_998, tzinfo=UTC),
            datetime(2026, 7, 1, 0, 30, tzinfo=EAST),
            None,
        ],
    ),
}


@pytest.mark.parametrize("name", VALUES)
async def test_arrays_are_written_as_they_are_read(database: str, name: str) -> None:
    type_, values = VALUES[name]
    arrays = [values, values[:-1], [None, None], [], [value for value in values for _ in range(40)], tuple(values)]
    encoders = [encoder(Uuid()), encoder(ARRAY(type_))]
    engine = create_engine(database, pool_size=1)
    async with open_session(engine) as session:
        driver: Any = session._driver
        await driver.execute(f"CREATE TEMP TABLE kept (id uuid, ahead {name}[], by_driver {name}[])")
        ids = [uuid4() for _ in arrays]
        inserts: list[Statement] = [
            (f"INSERT INTO kept (id, ahead) VALUES ($1::uuid, $2::{name}[])", encoded((id, array), encoders))
            for id, array in zip(ids, arrays, strict=True)
        ]
        await Pipeline(driver, sends_ahead=True).run(inserts, patiently)
        for id, array in zip(ids, arrays, strict=True):
            await driver.execute("UPDATE kept SET by_driver = $1 WHERE id = $2", array, id)
            # As text: values of JSON are not compared otherwise.
            compared = "SELECT ahead, ahead::text IS NOT DISTINCT FROM by_driver::text AS same FROM kept WHERE id = $1"
            row = await driver.fetchrow(compared, id)
            assert row["same"]
            assert row["ahead"] == list(array)
    await engine.dispose()


@pytest.mark.parametrize("type_", [Boolean(), Text(), ARRAY(Boolean())], ids=str)
def test_a_type_that_no_batch_carries_is_refused(type_: TypeEngine[Any]) -> None:
    with pytest.raises(KeyError):
        encoder(type_)
