"""Arrays reach the server the same whether or not the driver asks for lists only."""

import json
import subprocess
import sys
from typing import Final

SCRIPT: Final = """
import asyncio, datetime, json, sys, uuid
import asyncpg
from adapters.postgres.arrays import ask_for_lists_only
from asyncpg.pgproto import pgproto

VALUES = {
    "int8": [1, None, -(2**53)],
    "uuid": [uuid.UUID(int=1), pgproto.UUID(str(uuid.UUID(int=2))), None],
    "text": ["", "a,b", "{x}", 'q"', None],
    "bytea": [b"", b"\\\\x00", bytes(range(256)), None],
    "timestamptz": [datetime.datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=datetime.UTC), None],
}

async def main():
    connection = await asyncpg.connect(sys.argv[1])
    told = {}
    for type_, values in VALUES.items():
        for given in (values, [], [values, values], tuple(values)):
            if given == [values, values] and None in values:
                given = [values[:1], values[:1]]
            told[f"{type_} {given}"] = await connection.fetchval(f"SELECT $1::{type_}[]::text", given)
    try:
        await connection.fetchval("SELECT $1::text[]", "not an array")
    except asyncpg.DataError:
        told["a string"] = "refused"
    print(json.dumps(told))
    await connection.close()

if sys.argv[2] == "lists":
    assert ask_for_lists_only()
asyncio.run(main())
"""


def told(dsn: str, asked: str) -> dict[str, str]:
    run = subprocess.run([sys.executable, "-c", SCRIPT, dsn, asked], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    answers: dict[str, str] = json.loads(run.stdout)
    return answers


def test_arrays_are_the_same_to_the_server(database: str) -> None:
    assert told(database, "lists") == told(database, "anything")
