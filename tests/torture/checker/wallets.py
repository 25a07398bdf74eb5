"""The third pass: every wallet's entries in the order that its versions give them; what the reads saw; the holds."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg
import attrs

from tests.concurrency.violations import (
    AcknowledgedLost,
    DoubleEffect,
    LimitCrossed,
    LostUpdate,
    MoneyLost,
    Unexplained,
    WrongOrder,
)
from tests.torture.checker.findings import Findings
from tests.torture.checker.history import History
from tests.torture.checker.keys import NEVER, Look
from tests.torture.checker.transactions import PREFETCH, Transactions

ENTRIES: Final = (
    "SELECT wallet_id, version, transaction_id, change, held_change, balance_after, held_after, hash FROM entries"
    " WHERE tenant_id = $1 ORDER BY wallet_id, version"
)
WALLETS: Final = "SELECT id, currency, balance, held, floor, ceiling, version FROM wallets WHERE tenant_id = $1"
HOLDS: Final = "SELECT id, wallet_id, amount, captured, status, expires_at FROM holds WHERE tenant_id = $1"


@attrs.define
class _Walk:
    """One wallet's entries so far. The lists have a place for each version."""

    wallet_id: UUID
    balance: int = 0
    held: int = 0
    floor: int = 0
    ceiling: int | None = None
    frozen: bool = False
    invoked_ns_max: int = 0
    rows: list[tuple[int, int, int, bytes]] = attrs.field(factory=list)
    """Change, balance, held and hash."""
    invoked_ns: list[int] = attrs.field(factory=list)
    told_ns: list[int] = attrs.field(factory=list)


async def check_wallets(
    connection: asyncpg.Connection, tenant: UUID, history: History, transactions: Transactions, findings: Findings
) -> None:
    """Check all wallets, and every read of them. ``connection`` is in a snapshot."""
    wallets = {row["id"]: row for row in await connection.fetch(WALLETS, tenant)}
    holds = await connection.fetch(HOLDS, tenant)
    expiring = {hold["wallet_id"] for hold in holds if hold["expires_at"] is not None}
    checker = _Checker(history, transactions, findings, wallets, expiring)
    walk: _Walk | None = None
    async for row in connection.cursor(ENTRIES, tenant, prefetch=PREFETCH):
        if walk is None or walk.wallet_id != row["wallet_id"]:
            if walk is not None:
                checker.end(walk)
            walk = _Walk(row["wallet_id"])
        checker.step(walk, row)
    if walk is not None:
        checker.end(walk)
    for wallet_id in wallets.keys() - checker.ended:
        findings.add(LostUpdate, wallet_id, f"wallet {wallet_id} has no entry")
    _check_sums(wallets, transactions, findings)
    _check_holds(holds, wallets, history, transactions, findings)


@attrs.frozen
class _Checker:
    history: History
    transactions: Transactions
    findings: Findings
    wallets: Mapping[UUID, Any]
    expiring: set[UUID]
    ended: set[UUID] = attrs.field(factory=set)

    def step(self, walk: _Walk, row: Any) -> None:
        """One entry: it follows from the one before, and is not told of before that one was asked for."""
        due = len(walk.rows) + 1
        if row["version"] != due:
            self._wrong(walk, LostUpdate, f"version {row['version']} stands where {due} is due")
        walk.balance += row["change"]
        walk.held += row["held_change"]
        if (row["balance_after"], row["held_after"]) != (walk.balance, walk.held):
            self._wrong(walk, LostUpdate, f"version {row['version']} does not follow from the one before it: {row}")
            walk.balance, walk.held = row["balance_after"], row["held_after"]
        terms = self.transactions.terms.get(row["transaction_id"])
        if terms is not None:
            walk.floor = terms.get("floor", walk.floor)
            walk.ceiling = terms.get("ceiling", walk.ceiling)
            walk.frozen = terms.get("status", "frozen" if walk.frozen else "active") == "frozen"
        if walk.balance - walk.held < walk.floor or (walk.ceiling is not None and walk.balance > walk.ceiling):
            self._wrong(walk, LimitCrossed, f"outside of {walk.floor} to {walk.ceiling}: {row}")
        if walk.frozen and (row["change"] < 0 or row["held_change"] > 0):
            self._wrong(walk, LimitCrossed, f"version {row['version']} took from it while it was frozen: {row}")
        state = self.transactions.keys.get(row["transaction_id"])
        # What the passing of time asked for has no caller, and so no time at which anybody asked.
        invoked_ns, told_ns = (0, NEVER) if state is None else (state.invoked_ns, state.told_ns)
        if told_ns < walk.invoked_ns_max:
            self._wrong(walk, WrongOrder, f"version {row['version']} was told of before an earlier one was asked for")
        walk.invoked_ns_max = max(walk.invoked_ns_max, invoked_ns)
        walk.rows.append((row["change"], row["balance_after"], row["held_after"], row["hash"]))
        walk.invoked_ns.append(invoked_ns)
        walk.told_ns.append(told_ns)

    def end(self, walk: _Walk) -> None:
        """All entries: they come to what the wallet is, and every read of it saw one of its states, in time."""
        self.ended.add(walk.wallet_id)
        wallet = self.wallets.get(walk.wallet_id)
        if wallet is None:
            self._wrong(walk, Unexplained, "it has entries, and is not there")
            return
        if (wallet["version"], wallet["balance"], wallet["held"]) != (len(walk.rows), walk.balance, walk.held):
            self._wrong(walk, LostUpdate, f"{len(walk.rows)} entries come to {walk.balance}, {walk.held}: {wallet}")
        told_ns_from = [*walk.told_ns, NEVER]
        for place in range(len(walk.rows) - 1, -1, -1):
            told_ns_from[place] = min(told_ns_from[place], told_ns_from[place + 1])
        for look in self.history.looks.get(str(walk.wallet_id), ()):
            self._check_look(walk, look, told_ns_from)

    def _check_look(self, walk: _Walk, look: Look, told_ns_from: Sequence[int]) -> None:
        if not 1 <= look.version <= len(walk.rows):
            self._wrong(walk, AcknowledgedLost, f"a read saw version {look.version} of {len(walk.rows)}")
            return
        _, balance, held, _ = walk.rows[look.version - 1]
        # A hold whose time has passed is no longer shown as held, before any write puts that down.
        lapsed = look.held < held and walk.wallet_id in self.expiring and not look.entries
        if look.balance != balance or (look.held != held and not lapsed):
            self._wrong(walk, WrongOrder, f"a read saw what never was: {look}")
        for place, entry in enumerate(look.entries):
            version = look.version - place
            seen = (entry.change, entry.balance_after, entry.held_after, bytes.fromhex(entry.hash))
            if entry.version != version or seen != walk.rows[version - 1]:
                self._wrong(walk, WrongOrder, f"a read saw an entry that is not there: {entry}")
        if told_ns_from[look.version] < look.invoked_ns:
            self._wrong(walk, WrongOrder, f"a read missed what had been acknowledged before it began: {look}")
        if walk.invoked_ns[look.version - 1] > look.completed_ns:
            self._wrong(walk, WrongOrder, f"a read saw what was asked for only after it ended: {look}")

    def _wrong(self, walk: _Walk, kind: Any, says: str) -> None:
        self.findings.add(kind, walk.wallet_id, f"wallet {walk.wallet_id}: {says}")


def _check_sums(wallets: Mapping[UUID, Any], transactions: Transactions, findings: Findings) -> None:
    rest = dict(transactions.sums)
    for wallet in wallets.values():
        rest[wallet["currency"]] = rest.get(wallet["currency"], 0) + wallet["balance"]
    for currency, amount in rest.items():
        if amount:
            says = f"the wallets hold {amount} more than came in less what went out, in {currency}"
            findings.add(MoneyLost, currency, says)


def _check_holds(
    holds: Sequence[Any],
    wallets: Mapping[UUID, Any],
    history: History,
    transactions: Transactions,
    findings: Findings,
) -> None:
    """A hold is placed once and ended at most once; what was captured is no more than it, and what is held is right."""
    held: dict[UUID, int] = defaultdict(int)
    for hold in holds:
        done = transactions.holds[hold["id"]]
        if hold["status"] == "active":
            held[hold["wallet_id"]] += hold["amount"] - hold["captured"]
        if done.captured > hold["amount"] or done.ended > 1 or done.placed > 1:
            findings.add(DoubleEffect, hold["id"], f"hold {hold['id']} has {done}")
        elif (done.placed, done.captured, done.ended, done.amount) != (
            1,
            hold["captured"],
            hold["status"] != "active",
            hold["amount"],
        ):
            findings.add(Unexplained, hold["id"], f"{hold} is not what transactions made of it: {done}")
        for look in history.hold_looks.get(str(hold["id"]), ()):
            shown = look.hold.status
            possible = shown in ("active", hold["status"]) or (shown == "expired" and hold["expires_at"] is not None)
            if look.hold.amount != hold["amount"] or look.hold.captured > hold["captured"] or not possible:
                findings.add(WrongOrder, hold["id"], f"a read of hold {hold['id']} saw what never was: {look}")
    for id in history.hold_looks.keys() - {str(hold["id"]) for hold in holds}:
        findings.add(AcknowledgedLost, id, f"hold {id} was read, and is not there")
    for wallet_id, wallet in wallets.items():
        if wallet["held"] != held[wallet_id]:
            findings.add(Unexplained, wallet_id, f"{wallet} has active holds of {held[wallet_id]}")
