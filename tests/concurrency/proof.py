"""Proves the rows of a ledger against one another: versions, balances, limits, hashes, holds, and the sum of it all.

Linear in the number of rows, and independent of the code that wrote them: only the canonical bytes are shared.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from uuid import UUID

from tests.concurrency.contents import Contents, EntryRow, HoldRow, TransactionRow, WalletRow
from tests.concurrency.violations import (
    BrokenChain,
    DoubleEffect,
    LimitCrossed,
    LostUpdate,
    MoneyLost,
    Unexplained,
)
from wallet_core.canonical import entry_hash, transaction_digest
from wallet_core.model import CHAIN_START, Kind


def prove(contents: Contents) -> None:
    """Raise the ``Violation`` that the rows show, if they show any."""
    _once((row.idempotency_key for row in contents.transactions), "key")
    _once((row.reverses for row in contents.transactions if row.reverses is not None), "reversal of")
    transactions = {row.id: row for row in contents.transactions}
    histories = {
        wallet_id: list(entries) for wallet_id, entries in groupby(contents.entries, lambda entry: entry.wallet_id)
    }
    _prove_wallets(contents.wallets, histories, transactions)
    _prove_transactions(contents.transactions, contents.entries)
    _prove_holds(contents)
    _prove_sums(contents)


def _once(things: Iterable[object], what: str) -> None:
    thing, times = max(Counter(things).items(), key=lambda item: item[1], default=(None, 0))
    if times > 1:
        raise DoubleEffect(f"{what} {thing} took effect {times} times")


def _prove_wallets(
    wallets: Sequence[WalletRow],
    histories: Mapping[UUID, Sequence[EntryRow]],
    transactions: Mapping[UUID, TransactionRow],
) -> None:
    for wallet in wallets:
        history = histories.get(wallet.id, ())
        _prove_balances(wallet, history, transactions)
        _prove_chain(wallet, history, transactions)
    unknown = histories.keys() - {wallet.id for wallet in wallets}
    if unknown:
        raise Unexplained(f"entries of wallets that are not there: {unknown}")


def _prove_balances(
    wallet: WalletRow, history: Sequence[EntryRow], transactions: Mapping[UUID, TransactionRow]
) -> None:
    """Every entry follows from the one before it, within the limits of its time, and the wallet from the last."""
    balance = held = floor = version = 0
    ceiling: int | None = None
    for version, entry in enumerate(history, start=1):
        if entry.version != version:
            raise LostUpdate(f"wallet {wallet.id} has the version {entry.version} where {version} is due")
        balance += entry.change
        held += entry.held_change
        if (entry.balance_after, entry.held_after) != (balance, held):
            raise LostUpdate(f"{entry} does not follow from a balance of {balance} with {held} held")
        transaction = transactions.get(entry.transaction_id)
        if transaction is None:
            raise Unexplained(f"{entry} is of a transaction that is not there")
        if transaction.kind in (Kind.OPEN, Kind.CHANGE):
            floor = transaction.asked.get("floor", floor)
            ceiling = transaction.asked.get("ceiling", ceiling)
        if balance - held < floor or (ceiling is not None and balance > ceiling):
            raise LimitCrossed(f"{entry} is outside of {floor} and {ceiling}")
    if (wallet.version, wallet.balance, wallet.held) != (version, balance, held):
        raise LostUpdate(f"{wallet} has {version} entries, which come to {balance} with {held} held")


def _prove_chain(wallet: WalletRow, history: Sequence[EntryRow], transactions: Mapping[UUID, TransactionRow]) -> None:
    head = CHAIN_START
    for entry in history:
        if entry.hash != _hash(entry, head, transactions[entry.transaction_id]):
            raise BrokenChain(f"the hash of {entry} does not follow")
        head = entry.hash
    if wallet.head != head:
        raise BrokenChain(f"the head of wallet {wallet.id} is not the hash of its last entry")


def _hash(entry: EntryRow, previous: bytes, transaction: TransactionRow) -> bytes:
    digest = transaction_digest(
        transaction.id,
        transaction.idempotency_key,
        Kind(transaction.kind),
        transaction.created_at,
        transaction.intent,
        transaction.result,
    )
    return entry_hash(
        previous,
        entry.wallet_id,
        entry.version,
        entry.change,
        entry.held_change,
        entry.balance_after,
        entry.held_after,
        digest,
    )


def _prove_transactions(transactions: Sequence[TransactionRow], entries: Sequence[EntryRow]) -> None:
    """Each transaction has the entries that it names and no others, and they move what it says was moved."""
    written: dict[UUID, dict[tuple[UUID, int], int]] = defaultdict(dict)
    for entry in entries:
        written[entry.transaction_id][entry.wallet_id, entry.version] = entry.change
    for transaction in transactions:
        result = transaction.came_to
        named = {(UUID(wallet_id), version) for wallet_id, version in result.get("entries", ())}
        changes = written.pop(transaction.id, {})
        if changes.keys() != named:
            raise Unexplained(f"{transaction} has the entries {changes.keys()}")
        net = dict.fromkeys((wallet_id for wallet_id, _ in named), 0)
        for posting in result.get("postings", ()):
            for end, sign in (("source", -1), ("destination", 1)):
                if posting[end] is not None:
                    net[UUID(posting[end])] += sign * posting["amount"]
        if net != {wallet_id: change for (wallet_id, _), change in changes.items()}:
            raise Unexplained(f"{transaction} moved {changes}")
    if written:
        raise Unexplained(f"entries of transactions that are not there: {written}")


def _prove_holds(contents: Contents) -> None:
    captured: dict[UUID, int] = defaultdict(int)
    ended: Counter[UUID] = Counter()
    for transaction in contents.transactions:
        hold = transaction.came_to.get("hold")
        if hold is None or transaction.kind == Kind.HOLD:
            continue
        id = UUID(hold["id"])
        captured[id] += sum(posting["amount"] for posting in transaction.came_to["postings"])
        ended[id] += hold["status"] != "active"
    held: dict[UUID, int] = defaultdict(int)
    for row in contents.holds:
        _prove_hold(row, captured[row.id], ended[row.id])
        held[row.wallet_id] += row.amount - row.captured if row.status == "active" else 0
    for wallet in contents.wallets:
        if wallet.held != held[wallet.id]:
            raise Unexplained(f"{wallet} has active holds of {held[wallet.id]}")


def _prove_hold(hold: HoldRow, captured: int, ended: int) -> None:
    if captured > hold.amount or ended > 1:
        raise DoubleEffect(f"{hold} was ended {ended} times, and {captured} of it was captured")
    if captured != hold.captured or ended != (hold.status != "active"):
        raise Unexplained(f"{hold} was ended {ended} times, and {captured} of it was captured")


def _prove_sums(contents: Contents) -> None:
    sums: dict[str, int] = defaultdict(int)
    for transaction in contents.transactions:
        for posting in transaction.came_to.get("postings", ()):
            if posting["source"] is None:
                sums[posting["currency"]] -= posting["amount"]
            if posting["destination"] is None:
                sums[posting["currency"]] += posting["amount"]
    for wallet in contents.wallets:
        sums[wallet.currency] += wallet.balance
    wrong = {currency: rest for currency, rest in sums.items() if rest != 0}
    if wrong:
        raise MoneyLost(f"the wallets hold so much more than came in less what went out: {wrong}")
