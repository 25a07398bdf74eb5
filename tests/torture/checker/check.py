"""Checks a campaign: what the clients asked for and were told, against what the ledger holds.

Linear, without a search, since each wallet's versions give its writes their order. One pass over the journals, and two
over the rows, which are streamed; what is kept is some hundred bytes for each key and entry.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import attrs

from tests.torture.checker.findings import Findings
from tests.torture.checker.history import History
from tests.torture.checker.keys import KeyHistory
from tests.torture.checker.transactions import Transactions, check_transactions
from tests.torture.checker.wallets import check_wallets


@attrs.frozen
class Verdict:
    """What the check came to."""

    history: History
    transactions: Transactions
    findings: Findings

    def resolved(self) -> dict[str, int]:
        """What became of the keys of which somebody could not tell: how many of each."""
        counts: dict[str, int] = {"applied": 0, "not applied": 0, "rejected": 0, "fenced": 0, "never used again": 0}
        for state in self.history.keys.values():
            if state.in_doubt:
                counts[_resolution(state)] += 1
        return counts


def _resolution(state: KeyHistory) -> str:
    match state.outcome:
        case "applied":
            # If the first who was told was told of a replay, it had been applied when somebody could not tell.
            return "applied" if state.told_replayed else "not applied"
        case "rejected" | "fenced":
            return state.outcome
        case _:
            return "never used again"


async def check(dsn: str, tenant: UUID, journals: Sequence[Path]) -> Verdict:
    """Check everything that the journals and the tenant's rows say."""
    with _without_collector():
        findings = Findings()
        history = History.read(journals, findings)
        connection = await asyncpg.connect(dsn)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                transactions = await check_transactions(connection, tenant, history, findings)
                await check_wallets(connection, tenant, history, transactions, findings)
        finally:
            await connection.close()
        return Verdict(history, transactions, findings)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Nothing here refers to itself, and looking for cycles in millions of objects takes longer than the check."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
