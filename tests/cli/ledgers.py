"""Whole ledgers in files and databases, for the tests that move them."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import asyncpg

from tests.cli.people import Ended, run

Lines = list[dict[str, Any]]

TABLES: Final = {
    "wallets": "id",
    "transactions": "id",
    "entries": "wallet_id, version",
    "holds": "id",
}
NOT_MOVED: Final = ("tenant_id", "position", "lsn")


def on(dsn: str, *words: object) -> Ended:
    """Run ``wallet`` as the operator of a database."""
    return run(*words, WALLET_DATABASE_URL=dsn)


def exported(dsn: str, file: Path, *words: object) -> Path:
    """The ledger in a file."""
    done = on(dsn, "export", "--output", file, *words)
    assert done.code == 0, done
    return file


def rows(dsn: str, tenant: str = "default") -> dict[str, list[dict[str, Any]]]:
    """All that a tenant has, but for its place in the order of events."""

    async def read() -> dict[str, list[dict[str, Any]]]:
        connection = await asyncpg.connect(dsn)
        try:
            found = {}
            for table, order in TABLES.items():
                query = (
                    f"SELECT r.* FROM {table} r JOIN tenants t ON t.id = r.tenant_id WHERE t.name = $1 ORDER BY {order}"
                )
                told = await connection.fetch(query, tenant)
                found[table] = [{name: row[name] for name in row.keys() if name not in NOT_MOVED} for row in told]  # noqa: SIM118 - a record's own iteration yields its values
            return found
        finally:
            await connection.close()

    return asyncio.run(read())


def amount(dsn: str, tenant: str = "default") -> int:
    """How many decisions a tenant has."""
    return len(rows(dsn, tenant)["transactions"])


def content(file: Path) -> list[bytes]:
    """The lines of an export, without the time of its snapshot."""
    *lines, end = file.read_bytes().splitlines(keepends=True)
    told = json.loads(end)
    del told["end"]["at"]
    return [*lines, json.dumps(told).encode()]


def edited(file: Path, edit: Callable[[Lines], object]) -> Path:
    """The file with other content, whose marks and end are made anew: as somebody would who knows the format."""
    lines: Lines = [json.loads(line) for line in file.read_bytes().splitlines()]
    edit(lines)
    sha256 = hashlib.sha256()
    with file.open("wb") as out:
        for line in lines:
            for kind in ("mark", "end"):
                if kind in line:
                    line[kind]["sha256"] = sha256.hexdigest()
            text = (json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
            sha256.update(text)
            out.write(text)
    return file


def transaction(lines: Lines, key: str) -> dict[str, Any]:
    """The transaction of a key."""
    found: dict[str, Any] = next(
        line["transaction"] for line in lines if "transaction" in line and line["transaction"]["key"] == key
    )
    return found


def place(lines: Lines, key: str) -> int:
    """Where the line of a key is."""
    return next(number for number, line in enumerate(lines) if line.get("transaction", {}).get("key") == key)
