"""The second pass: every stored transaction against what was asked for under its key, what was told of it, and its
entries. Both are streamed in order of transactions, so that nothing but a few words of each is kept."""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg
import attrs
import msgspec

from tests.concurrency.violations import AcknowledgedLost, DoubleEffect, Phantom, Unexplained, WrongReceipt
from tests.torture.checker.findings import Findings
from tests.torture.checker.history import History
from tests.torture.checker.keys import KeyHistory
from tests.torture.checker.places import Places
from tests.torture.intents import decode, stored
from wallet_core.canonical import time_text

EXPIRY_PREFIX: Final = "expiry "
PREFETCH: Final = 5_000

TRANSACTIONS: Final = (
    "SELECT id, idempotency_key, outcome, kind, intent::text, result::text, reverses, created_at FROM transactions"
    " WHERE tenant_id = $1 ORDER BY id"
)
ENTRIES: Final = (
    "SELECT transaction_id, wallet_id, version, change, held_change, balance_after, held_after, hash FROM entries"
    " WHERE tenant_id = $1 ORDER BY transaction_id"
)


class _Posting(msgspec.Struct):
    source: UUID | None
    destination: UUID | None
    amount: int
    currency: str


class _HoldResult(msgspec.Struct):
    id: UUID
    wallet_id: UUID
    amount: int
    captured: int
    status: str


class _Result(msgspec.Struct):
    entries: list[tuple[UUID, int]]
    postings: list[_Posting]
    hold: _HoldResult | None = None


_result = msgspec.json.Decoder(_Result).decode


@attrs.define
class HoldHistory:
    """What transactions did to a hold."""

    amount: int = 0
    captured: int = 0
    ended: int = 0
    placed: int = 0


@attrs.define
class Transactions:
    """What the later passes need of all transactions."""

    keys: dict[UUID, KeyHistory | None] = attrs.field(factory=dict)
    """By transaction; None for what nobody asked for but the passing of time."""
    terms: dict[UUID, Mapping[str, Any]] = attrs.field(factory=dict)
    """The intents of openings and changes, which set a wallet's limits."""
    holds: dict[UUID, HoldHistory] = attrs.field(factory=lambda: defaultdict(HoldHistory))
    sums: dict[str, int] = attrs.field(factory=lambda: defaultdict(int))
    """What went out less what came in, per currency."""
    applied: int = 0
    entries: int = 0


async def check_transactions(
    connection: asyncpg.Connection, tenant: UUID, history: History, findings: Findings
) -> Transactions:
    """Check every transaction, and that nothing which was told is missing. ``connection`` is in a snapshot."""
    seen = Transactions()
    reversed_ids: set[UUID] = set()
    orders: dict[str, list[str]] = defaultdict(list)
    with Places(history.paths) as places:
        checker = _Checker(history, places, findings, seen, reversed_ids, orders)
        groups = _groups(connection.cursor(ENTRIES, tenant, prefetch=PREFETCH))
        group = await anext(groups, None)
        async for row in connection.cursor(TRANSACTIONS, tenant, prefetch=PREFETCH):
            while group is not None and group[0] < row["id"]:
                findings.add(Unexplained, group[0], f"entries of transaction {group[0]}, which is not there")
                group = await anext(groups, None)
            entries: Sequence[Any] = ()
            if group is not None and group[0] == row["id"]:
                entries = group[1]
                group = await anext(groups, None)
            checker.check(row, entries)
    _check_absent(history, findings)
    for order, keys in orders.items():
        state = history.keys.get(order)
        applied = len(keys) + (state is not None and state.rows > 0 and state.outcome != "rejected")
        if applied > 1:
            findings.add(DoubleEffect, keys[0], f"order {order} was carried out {applied} times, also under {keys}")
    return seen


async def _groups(rows: Any) -> AsyncIterator[tuple[UUID, list[Any]]]:
    id: UUID | None = None
    group: list[Any] = []
    async for row in rows:
        if row["transaction_id"] != id:
            if id is not None:
                yield id, group
            id, group = row["transaction_id"], []
        group.append(row)
    if id is not None:
        yield id, group


def _check_absent(history: History, findings: Findings) -> None:
    """What the database does not have nobody may have been told of."""
    for key, state in history.keys.items():
        if state.rows:
            continue
        if state.outcome:
            findings.add(AcknowledgedLost, key, f"{key} was told to be {state.outcome}, and is not in the ledger")
        if state.told_fenced or state.told_reused:
            findings.add(AcknowledgedLost, key, f"{key} was told to be used or fenced, and is not in the ledger")


@attrs.frozen
class _Checker:
    history: History
    places: Places
    findings: Findings
    seen: Transactions
    reversed_ids: set[UUID]
    orders: dict[str, list[str]]

    def check(self, row: Any, entries: Sequence[Any]) -> None:
        key, outcome = row["idempotency_key"], row["outcome"]
        state = self.history.keys.get(key)
        self.seen.keys[row["id"]] = state
        if outcome == "applied":
            self._check_applied(row, entries)
        elif entries:
            self.findings.add(Phantom, key, f"{key} was {outcome}, and has entries: {entries}")
        if state is None:
            if not key.startswith(EXPIRY_PREFIX):
                self.findings.add(Phantom, key, f"{key} is in the ledger, and nobody sent it")
            return
        state.rows += 1
        if state.rows > 1:
            self.findings.add(DoubleEffect, key, f"{key} is in the ledger {state.rows} times")
        self._check_asked(row, state)
        self._check_told(row, entries, state)

    def _check_applied(self, row: Any, entries: Sequence[Any]) -> None:
        """Its entries are those that it names, they are what its postings move, and nothing is reversed twice."""
        self.seen.applied += 1
        self.seen.entries += len(entries)
        result = _result(row["result"])
        net = dict.fromkeys((wallet for wallet, _ in result.entries), 0)
        for posting in result.postings:
            if posting.source is None:
                self.seen.sums[posting.currency] -= posting.amount
            else:
                net[posting.source] = net.get(posting.source, 0) - posting.amount
            if posting.destination is None:
                self.seen.sums[posting.currency] += posting.amount
            else:
                net[posting.destination] = net.get(posting.destination, 0) + posting.amount
        written = {(entry["wallet_id"], entry["version"]) for entry in entries}
        moved = {entry["wallet_id"]: entry["change"] for entry in entries}
        if written != set(result.entries) or len(written) != len(entries) or moved != net:
            says = f"transaction {row['id']} names {result.entries} and moves {net}; its entries are {entries}"
            self.findings.add(Unexplained, row["idempotency_key"], says)
        if row["reverses"] is not None:
            if row["reverses"] in self.reversed_ids:
                self.findings.add(DoubleEffect, row["idempotency_key"], f"{row['reverses']} was reversed twice")
            self.reversed_ids.add(row["reverses"])
        if result.hold is not None:
            hold = self.seen.holds[result.hold.id]
            hold.amount = result.hold.amount
            hold.placed += row["kind"] == "hold"
            hold.captured += sum(posting.amount for posting in result.postings)
            hold.ended += result.hold.status != "active"
        if row["kind"] in ("open", "change"):
            self.seen.terms[row["id"]] = decode(row["intent"])

    def _check_asked(self, row: Any, state: KeyHistory) -> None:
        """It is what somebody asked for under the key, by a call that can have come about."""
        key = row["idempotency_key"]
        if row["outcome"] == "fenced":
            if not state.fences:
                self.findings.add(Phantom, key, f"{key} is fenced, and nobody fenced it")
            return
        if not state.outcome and not state.in_doubt:
            self.findings.add(Phantom, key, f"{key} was always refused without being remembered, and is in the ledger")
        asked = [decode(self.places.intent(place)) for place in state.intents]
        if row["intent"] not in [stored(intent) for intent in asked]:
            self.findings.add(Phantom, key, f"{key} is in the ledger with an intent that nobody had: {row['intent']}")
        for place in state.told_reused:
            if stored(decode(self.places.intent(place))) == row["intent"]:
                self.findings.add(WrongReceipt, key, f"{key} was told to be used for something else, and is not")
        for intent in asked if row["outcome"] == "applied" else ():
            order = intent.get("metadata", {}).get("order", key)
            if order != key:
                self.orders[order].append(key)

    def _check_told(self, row: Any, entries: Sequence[Any], state: KeyHistory) -> None:
        """What anybody was told of it is what is stored."""
        key = row["idempotency_key"]
        if state.outcome and state.outcome != row["outcome"]:
            self.findings.add(WrongReceipt, key, f"{key} was told to be {state.outcome}, and is {row['outcome']}")
        if state.told_fenced and row["outcome"] != "fenced":
            self.findings.add(WrongReceipt, key, f"{key} was told to be fenced, and is {row['outcome']}")
        if state.receipt < 0 or state.outcome != row["outcome"] or row["outcome"] == "fenced":
            return
        told = decode(self.places.receipt(state.receipt))
        true = _receipt(row, entries) if row["outcome"] == "applied" else _refusal(row)
        wrong = {name: (told.get(name), value) for name, value in true.items() if told.get(name) != value}
        if wrong:
            self.findings.add(WrongReceipt, key, f"the answer to {key} is not what is stored (told, stored): {wrong}")


def _receipt(row: Any, entries: Sequence[Any]) -> dict[str, Any]:
    """What has to be told of an applied transaction, as far as it is stored as it is told."""
    result = decode(row["result"])
    by_wallet = {(str(entry["wallet_id"]), entry["version"]): entry for entry in entries}
    numbers = ("version", "change", "held_change", "balance_after", "held_after")
    stored = [(place, by_wallet[tuple(place)]) for place in result["entries"] if tuple(place) in by_wallet]
    return {
        "id": str(row["id"]),
        "kind": row["kind"],
        "idempotency_key": row["idempotency_key"],
        "created_at": time_text(row["created_at"]),
        "reverses": None if row["reverses"] is None else str(row["reverses"]),
        "postings": result["postings"],
        "entries": [
            {"wallet_id": wallet, **{name: entry[name] for name in numbers}, "hash": entry["hash"].hex()}
            for (wallet, _), entry in stored
        ],
        **({"hold": _hold(result["hold"])} if "hold" in result else {"hold": None}),
    }


def _hold(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A hold as it is told, of a hold as it is stored."""
    remaining = stored["amount"] - stored["captured"] if stored["status"] == "active" else 0
    return {**stored, "remaining": remaining}


def _refusal(row: Any) -> dict[str, Any]:
    result = decode(row["result"])
    # RFC 9457 has taken the member "status" for that of HTTP.
    compared = {name: value for name, value in result["details"].items() if name != "status"}
    return {"type": f"/problems/{result['reason']}", "outcome": "rejected", "retry": "new_key", **compared}
