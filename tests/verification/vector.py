"""The test vector of the hash chain: the ledger in memory carries out one of everything, at foreseeable times."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from adapters.memory import MemoryStore
from tests.support.book import run
from tests.support.ids import CountingIds, id_number
from tests.support.time import Clock
from wallet_core import (
    Applied,
    BatchLedger,
    CaptureHold,
    ChangeWallet,
    Command,
    NewCeiling,
    OpenWallet,
    PlaceHold,
    ReleaseHold,
    Reverse,
    Transaction,
    WalletStatus,
    credit,
    transfer,
)
from wallet_core.audit import AuditEntry
from wallet_core.canonical import transaction_digest
from wallet_core.model import Kind

Json = Any

START = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
TENANT, ALICE, BOB = id_number(1), id_number(0xA), id_number(0xB)


def play() -> list[AuditEntry]:
    """One of every kind, in two wallets; the entries of each wallet in order, as they are stored."""
    clock = Clock(START)
    store = MemoryStore(clock)
    ledger = BatchLedger(store, CountingIds(0x100))

    def apply(command: Command) -> Transaction:
        clock.advance(1)
        (outcome,) = run(ledger.execute(TENANT, [command]))
        if not isinstance(outcome, Applied):
            raise AssertionError(f"not applied: {outcome}")
        return outcome.transaction

    apply(OpenWallet("open-alice", "EUR", ALICE, floor=-100, metadata={"name": 'Zoë "Z"', "note": "a\\b\n"}))
    apply(OpenWallet("open-bob", "EUR", BOB, ceiling=9_007_199_254_740_991))
    apply(credit("pay-in", ALICE, 1000))
    rent = apply(transfer("rent", ALICE, BOB, 250, metadata={"\U0001f600": "1", "\ufb33": "2", "€": "3"}))
    hold = apply(PlaceHold("hold", ALICE, 300, destination=BOB, expires_in_s=3600))
    apply(CaptureHold("capture", hold.id, 100, final=False))
    clock.advance(7200)
    # What is left of the hold expires with this.
    apply(ChangeWallet("change", ALICE, WalletStatus.ACTIVE, -50, NewCeiling(5000), {"name": "Zoe"}))
    other = apply(PlaceHold("hold-2", BOB, 50))
    apply(ReleaseHold("release", other.id))
    apply(Reverse("refund", rent.id, metadata={"why": "mistake"}))

    async def entries() -> list[AuditEntry]:
        async with store.view(TENANT) as view:
            return [entry async for portion in view.entries({str(ALICE): 1, str(BOB): 1}) for entry in portion]

    return run(entries())


def members() -> Json:
    """The vector as JSON values."""
    entries = play()
    transactions = {entry.transaction_id: entry for entry in entries}
    return {
        "transactions": [
            {
                "id": each.transaction_id,
                "key": each.key,
                "kind": each.kind,
                "created_at": each.created_at,
                "intent": each.intent,
                "result": each.result,
                "digest": _digest(each),
            }
            for each in sorted(transactions.values(), key=lambda each: each.transaction_id)
        ],
        "entries": [
            {
                "wallet_id": entry.wallet_id,
                "version": entry.version,
                "change": entry.change,
                "held_change": entry.held_change,
                "balance_after": entry.balance_after,
                "held_after": entry.held_after,
                "transaction_id": entry.transaction_id,
                "hash": entry.hash,
            }
            for entry in entries
        ],
    }


def _digest(entry: AuditEntry) -> str:
    time = datetime.fromisoformat(entry.created_at)
    id = UUID(entry.transaction_id)
    return transaction_digest(id, entry.key, Kind(entry.kind), time, entry.intent, entry.result).hex()


def text() -> str:
    """The vector as it stands in the document, in ASCII, so that nothing which handles text can alter it."""
    vector = members()
    entries = ",\n".join("  " + json.dumps(entry) for entry in vector["entries"])
    transactions = json.dumps({"transactions": vector["transactions"]}, indent=1)
    opening = transactions.removesuffix("\n}")
    return f'{opening},\n "entries": [\n{entries}\n ]\n}}'
