"""Events after the faults: every applied transaction once, and each wallet's in the order of its versions."""

from collections import defaultdict
from uuid import UUID

import asyncpg

from adapters.postgres.engine import INDEX_ONLY_PLANS, create_engine
from adapters.postgres.events import PostgresEvents
from tests.concurrency.violations import AcknowledgedLost, DoubleEffect, WrongOrder
from tests.torture.checker.findings import Findings
from wallet_core.events import PAGE_EVENTS_MAX, EventReader

APPLIED = "SELECT count(*) FROM transactions WHERE tenant_id = $1 AND outcome = 'applied'"


async def events_are_the_ledger(dsn: str, findings: Findings) -> int:
    """Read all events of all tenants from the beginning, and compare them with the tables. Returns how many."""
    engine = create_engine(dsn, pool_size=1, planner=INDEX_ONLY_PLANS)
    owner = await asyncpg.connect(dsn)
    told = 0
    try:
        for row in await owner.fetch("SELECT id FROM tenants"):
            found = await _read(PostgresEvents(engine), row["id"], findings)
            applied = await owner.fetchval(APPLIED, row["id"])
            if found != applied:
                findings.add(AcknowledgedLost, "", f"{found} events, and {applied} applied transactions")
            told += found
    finally:
        await owner.close()
        await engine.dispose()
    return told


async def _read(events: EventReader, tenant: UUID, findings: Findings) -> int:
    versions: defaultdict[UUID, int] = defaultdict(int)
    seen: set[UUID] = set()
    cursor: str | None = None
    while items := (page := await events.events(tenant, after=cursor, limit=PAGE_EVENTS_MAX)).items:
        for event in items:
            if event.transaction.id in seen:
                findings.add(DoubleEffect, event.transaction.key, "is told twice among the events")
            seen.add(event.transaction.id)
            for entry in event.transaction.entries:
                if entry.version != versions[entry.wallet_id] + 1:
                    findings.add(WrongOrder, event.transaction.key, f"is told before version {entry.version - 1}")
                versions[entry.wallet_id] = entry.version
        cursor = page.next_cursor
    return len(seen)
