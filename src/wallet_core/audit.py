"""The proof of a ledger: checks that an entry stream, its transactions, wallets and holds all say the same.

Everything here is pure and works on text as it is stored, so that a ledger is proved at the speed of hashing. Nothing
that the writing side computed is trusted: each number and each hash is worked out again. ``docs/hash-chain.md``
specifies the bytes.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import attrs

from wallet_core.model import CHAIN_START, Kind

_decode = json.JSONDecoder().raw_decode

FINDINGS_MAX = 100
"""How many findings are kept in words; all are counted."""


class Check(StrEnum):
    """What is checked. The first seven are about one wallet, the others about a tenant."""

    VERSIONS = "versions-contiguous"
    BALANCES = "running-balances"
    CHAIN = "hash-chain"
    RECEIPTS = "entries-match-receipts"
    HEAD = "wallet-matches-last-entry"
    HOLDS = "holds-match-held"
    LIMITS = "limits-kept"
    COMPLETE = "nothing-unaccounted"
    CONSERVED = "money-conserved"
    CHECKPOINT = "checkpoint-kept"


WALLET_CHECKS = (Check.VERSIONS, Check.BALANCES, Check.CHAIN, Check.RECEIPTS, Check.HEAD, Check.HOLDS, Check.LIMITS)


class AuditEntry(NamedTuple):
    """An entry and its transaction, as stored: ids and JSON as text, hashes in hex, times in RFC 3339."""

    wallet_id: str
    version: int
    change: int
    held_change: int
    balance_after: int
    held_after: int
    hash: str
    same_time: bool
    """Whether the entry has the time of its transaction."""
    transaction_id: str
    key: str
    kind: str
    created_at: str
    intent: str
    result: str


@attrs.frozen
class AuditWallet:
    """A wallet's row, and what its active holds reserve in all."""

    id: str
    currency: str
    balance: int
    held: int
    floor: int
    ceiling: int | None
    version: int
    head: str
    reserved: int


@attrs.frozen
class ChainHead:
    """How far a wallet's chain is proved: its last entry, by version, and what it left. Amounts in minor units."""

    version: int = 0
    balance: int = 0
    held: int = 0
    hash: str = CHAIN_START.hex()
    time: str = ""


@attrs.frozen
class Finding:
    """Something that does not hold, and where."""

    check: Check
    wallet_id: str | None
    version: int | None
    detail: str


@attrs.define
class Findings:
    """What was found wrong, over any number of wallets: counted by check, and the first ones kept in words."""

    counts: Counter[Check] = attrs.field(factory=Counter)
    kept: list[Finding] = attrs.field(factory=list)

    def add(self, check: Check, detail: str, wallet_id: str | None = None, version: int | None = None) -> None:
        """Note a finding."""
        self.counts[check] += 1
        if len(self.kept) < FINDINGS_MAX:
            self.kept.append(Finding(check, wallet_id, version, detail))


@attrs.define
class Flows:
    """Sums over proved transactions, per currency: what came from outside, and what left."""

    entered: Counter[str] = attrs.field(factory=Counter)
    left: Counter[str] = attrs.field(factory=Counter)
    transactions: int = 0
    entries: int = 0


class ChainAudit:
    """Proves the entries of one wallet, in order of version, from ``start`` on."""

    def __init__(self, wallet: AuditWallet, findings: Findings, flows: Flows, start: ChainHead) -> None:
        self._wallet = wallet
        self._findings = findings
        self._flows = flows
        self.head = start

    def feed(self, entries: Iterable[AuditEntry]) -> None:
        """Prove the next entries. May be called with any number of them at a time."""
        last_version, balance, held, last_hash, last_time = attrs.astuple(self.head)
        sha256 = hashlib.sha256
        count = 0
        # Unpacked into locals: this loop is what proving costs, and reading attributes would be a third of it.
        for (
            wallet_id,
            version,
            change,
            held_change,
            balance_after,
            held_after,
            hash,
            same_time,
            transaction_id,
            key,
            kind,
            created_at,
            intent,
            result,
        ) in entries:
            count += 1
            digest = sha256(
                f"wallet transaction 1\n{transaction_id}\n{key}\n{kind}\n{created_at}\n{intent}\n{result}".encode()
            ).hexdigest()
            expected = sha256(
                f"wallet entry 1\n{last_hash}\n{wallet_id}\n{version}\n{change}\n{held_change}\n"
                f"{balance_after}\n{held_after}\n{digest}".encode()
            ).hexdigest()
            if expected != hash:
                self._find(Check.CHAIN, version, "the hash does not follow from entry, transaction and last hash")
            if version != last_version + 1:
                self._find(Check.VERSIONS, version, f"follows version {last_version}")
            if balance_after != balance + change or held_after != held + held_change:
                detail = f"{balance} {change:+} is not {balance_after}, or held {held} {held_change:+} not {held_after}"
                self._find(Check.BALANCES, version, detail)
            if not same_time or created_at < last_time:
                self._find(Check.RECEIPTS, version, "its time is not its transaction's, or before the last entry's")
            self._prove_receipt(version, change, held_change, kind, transaction_id, result)
            # From the stored hash, so that one wrong entry is found once and not for ever after.
            last_version, balance, held, last_hash, last_time = version, balance_after, held_after, hash, created_at
        self._flows.entries += count
        self.head = ChainHead(last_version, balance, held, last_hash, last_time)

    def finish(self) -> None:
        """Compare the wallet's row with where its chain ended."""
        wallet, head = self._wallet, self.head
        add = self._findings.add
        if (wallet.version, wallet.balance, wallet.held) != (head.version, head.balance, head.held):
            add(
                Check.HEAD,
                f"the wallet says version {wallet.version}, balance {wallet.balance}, held {wallet.held}; "
                f"its entries end at version {head.version}, balance {head.balance}, held {head.held}",
                wallet.id,
            )
        elif wallet.head != head.hash:
            add(Check.HEAD, "the wallet's head is not the hash of its last entry", wallet.id)
        if wallet.reserved != wallet.held:
            add(Check.HOLDS, f"active holds reserve {wallet.reserved}, the wallet says {wallet.held}", wallet.id)
        if wallet.balance - wallet.held < wallet.floor or wallet.held < 0:
            add(Check.LIMITS, f"balance {wallet.balance}, held {wallet.held} are below floor {wallet.floor}", wallet.id)
        if wallet.ceiling is not None and wallet.balance > wallet.ceiling:
            add(Check.LIMITS, f"balance {wallet.balance} is above ceiling {wallet.ceiling}", wallet.id)

    def _prove_receipt(
        self, version: int, change: int, held_change: int, kind: str, transaction_id: str, text: str
    ) -> None:
        wallet_id = self._wallet.id
        try:
            result, _ = _decode(text)
            ids = result["entries"]
            first = ids[0] == [wallet_id, version]
            listed = first or [wallet_id, version] in ids
            by_receipt = _receipt_changes(wallet_id, kind, result)
            if first:
                self._flows.transactions += 1
                self._count(result["postings"])
        except (ValueError, LookupError, TypeError):
            self._find(Check.RECEIPTS, version, f"transaction {transaction_id} cannot be read")
            return
        if not listed:
            self._find(Check.RECEIPTS, version, f"transaction {transaction_id} does not name it")
        if by_receipt != (change, held_change):
            says = f"{by_receipt[0]:+}, held {by_receipt[1]:+}"
            detail = f"changes {change:+}, held {held_change:+}; by transaction {transaction_id} it is {says}"
            self._find(Check.RECEIPTS, version, detail)

    def _count(self, postings: Iterable[Mapping[str, Any]]) -> None:
        for posting in postings:
            if posting["source"] is None:
                self._flows.entered[posting["currency"]] += posting["amount"]
            elif posting["destination"] is None:
                self._flows.left[posting["currency"]] += posting["amount"]

    def _find(self, check: Check, version: int, detail: str) -> None:
        self._findings.add(check, detail, self._wallet.id, version)


def _receipt_changes(wallet_id: str, kind: str, result: Mapping[str, Any]) -> tuple[int, int]:
    """By how much a transaction's receipt says that balance and held amount of the wallet change."""
    change = 0
    for posting in result["postings"]:
        if posting["source"] == wallet_id:
            change -= posting["amount"]
        if posting["destination"] == wallet_id:
            change += posting["amount"]
    hold = result.get("hold")
    if hold is None or hold["wallet_id"] != wallet_id:
        return change, 0
    if kind == Kind.HOLD:
        return change, hold["amount"]
    if kind == Kind.CAPTURE:
        taken = -change
        rest = hold["amount"] - hold["captured"]
        return change, -(taken if hold["status"] == "active" else taken + rest)
    return change, -(hold["amount"] - hold["captured"])
