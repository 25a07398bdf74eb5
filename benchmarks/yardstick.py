"""The yardstick: pgbench with the transaction that anyone would write first.

Select the key, select the wallet, update it if its version is still the same, insert the transaction, commit. It runs
in C, without a client's parsing of requests; a transaction that loses the race for its wallet rolls back, and counts
as one without effect, since whoever sent it would have to send it again.
"""

import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

import attrs

from adapters.embedded_postgres import EmbeddedPostgres
from benchmarks.database import PGBENCH, WALLETS, execute, fetch_row
from benchmarks.meter import Meter
from benchmarks.rows import HOT, SPREAD, Row

CLIENTS = (1, 8, 32)
DATABASE = "yardstick"
GRACE_S_MAX = 60
WARM_UP_S = 2

SCHEMA = (
    """CREATE TABLE wallet (
        id bigint PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0), version bigint NOT NULL
    ) WITH (fillfactor = 70)""",
    """CREATE TABLE transaction (
        key text PRIMARY KEY, wallet bigint NOT NULL REFERENCES wallet, amount bigint NOT NULL, version bigint NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    )""",
    f"INSERT INTO wallet SELECT n, 0, 1 FROM generate_series(1, {WALLETS}) AS n",
    "VACUUM ANALYZE",
    "CHECKPOINT",
)

SCRIPT = r"""
\set wallet random(1, :wallets)
\set key random(1, 9223372036854775807)
\set done 0
BEGIN;
SELECT wallet, amount, version AS version_then FROM transaction WHERE key = :key::bigint::text \aset
SELECT balance, version FROM wallet WHERE id = :wallet \gset
UPDATE wallet SET balance = balance + 1, version = version + 1
    WHERE id = :wallet AND version = :version RETURNING 1 AS done \aset
\if :done
INSERT INTO transaction (key, wallet, amount, version) VALUES (:key::bigint::text, :wallet, 1, :version + 1);
COMMIT;
\else
ROLLBACK;
\endif
"""


@attrs.frozen
class Yardstick:
    """The database of the yardstick, made and warmed up, in which each run goes on where the last one ended."""

    server: EmbeddedPostgres
    dsn: str

    @classmethod
    def prepared(cls, server: EmbeddedPostgres) -> Self:
        """Make it on this server."""
        execute(server.url("postgres"), f"CREATE DATABASE {DATABASE}")
        dsn = server.url(DATABASE)
        execute(dsn, *SCHEMA)
        made = cls(server, dsn)
        made.run(WALLETS, max(CLIENTS), WARM_UP_S)
        return made

    def runs(self, seconds: int) -> Iterator[Row]:
        """One row for each number of clients, spread over all wallets and on one."""
        for wallets in (WALLETS, 1):
            for clients in CLIENTS:
                yield self.run(wallets, clients, seconds)

    def again(self, seconds: int) -> Iterator[Row]:
        """What the ratios are made with, once more: the machine may have become faster or slower since."""
        for wallets, clients in ((WALLETS, max(CLIENTS)), (1, max(CLIENTS)), (WALLETS, 1), (1, 1)):
            yield attrs.evolve(self.run(wallets, clients, seconds), note="again")

    def run(self, wallets: int, clients: int, seconds: int) -> Row:
        """Run it once."""
        before = self._effects()
        with tempfile.TemporaryDirectory(prefix="wallet-bench-") as folder:
            with Meter(self.server).measured() as costs:
                self._pgbench(Path(folder), wallets, clients, seconds)
            # Each line: client, its transactions so far, microseconds, script, and when.
            lines = [line for log in Path(folder).glob("log*") for line in log.read_text().splitlines()]
        latencies_ms = [int(line.split()[2]) / 1000 for line in lines]
        effects = self._effects() - before
        percentiles = statistics.quantiles(latencies_ms, n=100)
        kind = "spread" if wallets > 1 else "hot"
        return Row(
            f"pgbench-{kind}-{clients}",
            f"pgbench, {clients} client{'s' * (clients > 1)}, {kind}",
            effects / seconds,
            percentiles[49],
            percentiles[98],
            costs,
            yardstick=SPREAD if wallets > 1 else HOT,
            without_effect=len(latencies_ms) - effects,
            seconds=seconds,
        )

    def _pgbench(self, folder: Path, wallets: int, clients: int, seconds: int) -> None:
        script = folder / "transaction.sql"
        script.write_text(SCRIPT)
        where = parse_qs(urlsplit(self.dsn).query)
        command = [
            *(str(PGBENCH), "--no-vacuum", "--protocol", "prepared", "--file", str(script)),
            *("--define", f"wallets={wallets}", "--client", str(clients), "--jobs", str(min(2, clients))),
            *("--time", str(seconds), "--log", "--log-prefix", f"{folder}/log"),
            *("--host", where["host"][0], "--port", where["port"][0], "--username", "postgres", DATABASE),
        ]
        run = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + GRACE_S_MAX, check=False, env=_environment()
        )
        if run.returncode != 0:
            raise RuntimeError(f"pgbench failed: {run.stderr.strip()}")

    def _effects(self) -> int:
        return int(fetch_row(self.dsn, "SELECT sum(version - 1)::bigint FROM wallet")[0])


def _environment() -> dict[str, str]:
    # PG… variables would redirect it.
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
