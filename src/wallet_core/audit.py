"""The proof of a wallet: checks that its entries, their transactions, its holds and its row all say the same.

Everything here is pure and works on text as it is stored, so that a ledger is proved at the speed of hashing. Nothing
that the writing side computed is trusted: each number and each hash is worked out again. ``docs/hash-chain.md``
specifies the bytes.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import attrs

from wallet_core.findings import Check, Findings
from wallet_core.model import CHAIN_START, HoldStatus, Kind
from wallet_core.receipts import Members, Receipt, Terms, Unreadable, read_members, read_receipt

# Beyond any balance: what has no limit has these.
_NO_FLOOR = -(2**64)
_NO_CEILING = 2**64


class AuditEntry(NamedTuple):
    """An entry and its transaction, as stored: ids and JSON as text, hashes in hex, times in RFC 3339.

    Streams of entries may consist of any sequences with these members in this order.
    """

    wallet_id: str
    version: int
    change: int
    held_change: int
    balance_after: int
    held_after: int
    hash: str
    agrees: bool
    """Whether what no hash covers agrees with what the hash covers: the entry has the time of its transaction, which is
    applied, and reverses what its intent names, or nothing."""
    transaction_id: str
    key: str
    kind: str
    created_at: str
    intent: str
    result: str
    hold: str | None
    """The hold that the transaction placed or changed, as its row is now, with the members that a result has of it.
    None if there is no such row, or the transaction is of another kind."""


@attrs.frozen
class AuditWallet:
    """A wallet's row, as stored, and its holds: ``reserved`` is what the active ones reserve in all."""

    id: str
    currency: str
    balance: int
    held: int
    floor: int
    ceiling: int | None
    status: str
    version: int
    head: str
    metadata: str
    created_at: str
    updated_at: str
    reserved: int
    holds: int


@attrs.frozen
class ChainHead:
    """How far a wallet's chain is proved: its last entry, by version, and what all entries up to it left.

    Amounts are in minor units; ``holds`` is the number of holds placed; ``terms`` are None before it was opened.
    """

    version: int = 0
    balance: int = 0
    held: int = 0
    hash: str = CHAIN_START.hex()
    time: str = ""
    holds: int = 0
    terms: Terms | None = None


@attrs.define
class Flows:
    """Sums over proved transactions: per currency what came from outside and what left; how many transactions there
    were, how many entries they name, and how many entries were there."""

    entered: Counter[str] = attrs.field(factory=Counter)
    left: Counter[str] = attrs.field(factory=Counter)
    transactions: int = 0
    named: int = 0
    entries: int = 0


class ChainAudit:
    """Proves the entries of one wallet, in order of version, from ``start`` on."""

    def __init__(self, wallet: AuditWallet, findings: Findings, flows: Flows, start: ChainHead) -> None:
        self._wallet = wallet
        self._findings = findings
        self._flows = flows
        self._holds = start.holds
        self._terms = start.terms
        self.head = start

    def feed(self, entries: Iterable[AuditEntry]) -> None:
        """Prove the next entries. May be called with any number of them at a time."""
        head = self.head
        last_version, balance, held, last_hash, last_time = head.version, head.balance, head.held, head.hash, head.time
        floor, ceiling = self._limits()
        wallet, sha256 = self._wallet, hashlib.sha256
        own_entry = f'{{"entries":[["{wallet.id}",'
        credited = f',"currency":"{wallet.currency}","destination":"{wallet.id}","source":null}}]}}'
        debited = f',"currency":"{wallet.currency}","destination":null,"source":"{wallet.id}"}}]}}'
        count = simple = entered = left = 0
        # Unpacked into locals: this loop is what proving costs, and reading attributes would be a third of it.
        for (
            wallet_id,
            version,
            change,
            held_change,
            balance_after,
            held_after,
            hash,
            agrees,
            transaction_id,
            key,
            kind,
            created_at,
            intent,
            result,
            hold,
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
            if not agrees or created_at < last_time:
                detail = f"time, outcome or reversal are not as transaction {transaction_id} or the last entry say"
                self._find(Check.RECEIPTS, version, detail)
            # Most transactions are a credit or a debit. What such a receipt has to be is written out, and compared;
            # parsing it would take as long as all else.
            if kind == "post" and held_change == 0 and change > 0 and version > 1:
                known = result == f'{own_entry}{version}]],"postings":[{{"amount":{change}{credited}'
                entered += change if known else 0
            elif kind == "post" and held_change == 0 and change < 0 and version > 1:
                known = result == f'{own_entry}{version}]],"postings":[{{"amount":{-change}{debited}'
                left -= change if known else 0
            else:
                known = False
            if known:
                simple += 1
            else:
                self._prove_receipt(
                    version, change, held_change, kind, transaction_id, created_at, intent, result, hold
                )
                floor, ceiling = self._limits()
            if balance_after - held_after < floor or balance_after > ceiling:
                detail = f"balance {balance_after}, held {held_after} are outside of floor {floor}, ceiling {ceiling}"
                self._find(Check.LIMITS, version, detail)
            # From the stored hash, so that one wrong entry is found once and not for ever after.
            last_version, balance, held, last_hash, last_time = version, balance_after, held_after, hash, created_at
        flows = self._flows
        flows.entries += count
        flows.transactions += simple
        flows.named += simple
        if entered:
            flows.entered[wallet.currency] += entered
        if left:
            flows.left[wallet.currency] += left
        self.head = ChainHead(last_version, balance, held, last_hash, last_time, self._holds, self._terms)

    def finish(self) -> None:
        """Compare the wallet's row, and its holds in sum, with where its chain ended."""
        wallet, head = self._wallet, self.head
        add = self._findings.add
        if (wallet.version, wallet.balance, wallet.held) != (head.version, head.balance, head.held):
            add(
                Check.HEAD,
                f"the wallet says version {wallet.version}, balance {wallet.balance}, held {wallet.held}; "
                f"its entries end at version {head.version}, balance {head.balance}, held {head.held}",
                wallet.id,
            )
        elif (wallet.head, wallet.updated_at) != (head.hash, head.time):
            add(Check.HEAD, "its head or time are not those of its last entry", wallet.id)
        if head.terms is not None:
            for difference in head.terms.differences(_terms_of(wallet)):
                add(Check.TERMS, difference, wallet.id)
        if wallet.reserved != head.held:
            add(Check.HOLDS, f"active holds reserve {wallet.reserved}, its entries leave {head.held} held", wallet.id)
        if wallet.holds != head.holds:
            add(Check.HOLDS, f"{wallet.holds} holds are there, {head.holds} were placed", wallet.id)
        if wallet.balance - wallet.held < wallet.floor or wallet.held < 0:
            add(Check.LIMITS, f"balance {wallet.balance}, held {wallet.held} are below floor {wallet.floor}", wallet.id)
        if wallet.ceiling is not None and wallet.balance > wallet.ceiling:
            add(Check.LIMITS, f"balance {wallet.balance} is above ceiling {wallet.ceiling}", wallet.id)

    def _prove_receipt(
        self,
        version: int,
        change: int,
        held_change: int,
        kind: str,
        transaction_id: str,
        created_at: str,
        intent: str,
        result: str,
        hold: str | None,
    ) -> None:
        wallet_id = self._wallet.id
        try:
            receipt = read_receipt(wallet_id, kind, result)
            if kind == Kind.OPEN or kind == Kind.CHANGE:
                self._amend(version, kind, created_at, intent)
        except Unreadable:
            self._find(Check.RECEIPTS, version, f"transaction {transaction_id} cannot be read")
            return
        if version == 1 and kind != Kind.OPEN:
            self._find(Check.TERMS, version, f"the first entry is of a transaction of the kind {kind}")
        if [wallet_id, version] not in receipt.entries:
            self._find(Check.RECEIPTS, version, f"transaction {transaction_id} does not name it")
        elif receipt.entries[0] == [wallet_id, version]:
            self._count(receipt)
        if (receipt.change, receipt.held_change) != (change, held_change):
            detail = (
                f"changes {change:+}, held {held_change:+}; by transaction {transaction_id} it is "
                f"{receipt.change:+}, held {receipt.held_change:+}"
            )
            self._find(Check.RECEIPTS, version, detail)
        if receipt.hold is not None:
            self._prove_hold(version, kind, transaction_id, receipt.hold, hold)

    def _amend(self, version: int, kind: str, created_at: str, intent: str) -> None:
        if kind == Kind.OPEN:
            self._terms = Terms.opened(intent, created_at)
            if version != 1:
                self._find(Check.TERMS, version, "a wallet is opened by its first entry only")
        elif self._terms is not None:
            self._terms = self._terms.changed(intent)

    def _prove_hold(self, version: int, kind: str, transaction_id: str, then: Members, row: str | None) -> None:
        """Compare a hold as a receipt says that it was left with its row, which may have moved on if it was active.

        That it has not moved on further than history says follows in the end, from the sum that active holds reserve
        and from their number: a row that captured more, or is active no longer, would be missing in one of them.
        """
        if kind == Kind.HOLD:
            self._holds += 1
        try:
            now: Members = {} if row is None else read_members(row)
            ended = then["status"] != HoldStatus.ACTIVE
            fixed = ("amount", "created_at", "destination", "expires_at", "id", "wallet_id")
            same = all(now.get(name, "") == then[name] for name in (*fixed, *(("captured", "status") if ended else ())))
            same = same and now["captured"] >= then["captured"] and (kind != Kind.HOLD or then["id"] == transaction_id)
        except (Unreadable, LookupError, TypeError):
            same = False
        if not same:
            detail = f"the hold of transaction {transaction_id} is " + (
                "not there" if row is None else "not as it says"
            )
            self._find(Check.HOLDS, version, detail)

    def _count(self, receipt: Receipt) -> None:
        flows = self._flows
        flows.transactions += 1
        flows.named += len(receipt.entries)
        for currency, amount in receipt.entered:
            flows.entered[currency] += amount
        for currency, amount in receipt.left:
            flows.left[currency] += amount

    def _limits(self) -> tuple[int, int]:
        terms = self._terms
        if terms is None:
            return _NO_FLOOR, _NO_CEILING
        return terms.floor, _NO_CEILING if terms.ceiling is None else terms.ceiling

    def _find(self, check: Check, version: int, detail: str) -> None:
        self._findings.add(check, detail, self._wallet.id, version)


def _terms_of(wallet: AuditWallet) -> Terms:
    metadata_sha256 = hashlib.sha256(wallet.metadata.encode()).hexdigest()
    return Terms(wallet.currency, wallet.floor, wallet.ceiling, wallet.status, metadata_sha256, wallet.created_at)
