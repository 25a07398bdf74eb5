"""Runs one load of wrk against services on a ledger: measures it, and compares what was told with what is there."""

from collections.abc import Sequence
from typing import Literal

import attrs

from adapters.embedded_postgres import EmbeddedPostgres
from benchmarks.ledger import Ledger
from benchmarks.meter import Meter
from benchmarks.redis import Redis
from benchmarks.rows import HOT, SPREAD, Report, Row
from benchmarks.service import Service
from benchmarks.truth import Told, Untrue, witnessed
from benchmarks.wrk import Load, Measured

Effect = Literal["credits", "contended credits", "writes", "nothing", "refused"]
"""What a load does: credits of 1; the same, but some may be told to try again; writes of all kinds; nothing, with
success; nothing, since all of it is refused."""


@attrs.frozen
class Stage:
    """A ledger on a server, and the report that rows and failures go to. ``keys``: the kind of idempotency keys."""

    server: EmbeddedPostgres
    ledger: Ledger
    report: Report
    seconds: int
    keys: str = "random"

    def load(
        self,
        script: str,
        connections: int,
        *arguments: str,
        wallets: int | None = None,
        seconds: int | None = None,
    ) -> Load:
        """A load on this ledger's wallets, or the first few of them."""
        wallets = self.ledger.wallets if wallets is None else wallets
        return Load(script, connections, seconds or self.seconds, wallets, self.keys, arguments)

    def row(
        self,
        key: str,
        name: str,
        services: Sequence[Service],
        load: Load,
        *,
        effect: Effect = "credits",
        size: int = 1,
        alone: str | None = None,
        redis: Redis | None = None,
    ) -> Row:
        """Run a load, whose requests have ``size`` commands each. Failures go to the report, and the row comes back."""
        try:
            with witnessed(self.ledger) as witness:
                with Meter(self.server, services, redis).measured() as costs:
                    measured = load.run(*services)
                witness.tell(_told(measured, effect, size, load.connections))
        except Untrue as wrong:
            self.report.fail(f"{name}: {wrong}")
        refused = 0 if effect == "refused" else measured.refused
        unexpected = measured.unexpected if effect == "contended credits" else refused
        if unexpected:
            self.report.fail(f"{name}: {unexpected} answers were not of success")
        succeeded = measured.requests - refused
        if effect == "refused" and measured.refused != measured.requests:
            self.report.fail(f"{name}: {measured.requests - measured.refused} answers were no refusals")
        return Row(
            key,
            name,
            succeeded * size / (measured.duration_us / 1e6),
            measured.p50_us / 1000,
            measured.p99_us / 1000,
            costs,
            yardstick=HOT if load.wallets == 1 else SPREAD,
            alone=alone,
            without_effect=refused,
            seconds=measured.duration_us / 1e6,
        )


def _told(measured: Measured, effect: Effect, size: int, connections: int) -> Told:
    if effect in ("nothing", "refused"):
        return Told(0)
    succeeded = measured.requests - measured.refused
    # A connection has one request at a time.
    return Told(succeeded * size, measured.replays, connections * size, credits_only=effect != "writes")
