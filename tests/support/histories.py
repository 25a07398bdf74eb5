"""The proof of a tenant's whole history, read back: nothing is believed that the entries do not show."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

import attrs

from tests.support import second_implementation
from wallet_core import AMOUNT_MAX, Hold, Kind, Transaction, Wallet, WalletStatus
from wallet_core.model import CHAIN_START
from wallet_core.ports import EntryRecord, Reader

PAGE = 500


@attrs.frozen
class History:
    """All of one tenant: wallets, transactions and holds by id, and each wallet's entries, oldest first."""

    wallets: Mapping[UUID, Wallet]
    transactions: Mapping[UUID, Transaction]
    holds: Mapping[UUID, Hold]
    entries: Mapping[UUID, Sequence[EntryRecord]]


async def read_history(reader: Reader, tenant: UUID) -> History:
    """Everything, page by page."""
    wallets: dict[UUID, Wallet] = {}
    while page := await reader.wallets(tenant, before=_last(wallets), limit=PAGE, currency=None, status=None):
        wallets |= {wallet.id: wallet for wallet in page}
    transactions: dict[UUID, Transaction] = {}
    while found := await reader.transactions(tenant, before=_last(transactions), limit=PAGE, kind=None):
        transactions |= {transaction.id: transaction for transaction in found}
    holds: dict[UUID, Hold] = {}
    entries: dict[UUID, Sequence[EntryRecord]] = {}
    for wallet_id in wallets:
        of_wallet: dict[UUID, Hold] = {}
        while some := await reader.holds(tenant, wallet_id, before=_last(of_wallet), limit=PAGE):
            of_wallet |= {hold.id: hold for hold in some}
        holds |= of_wallet
        records: list[EntryRecord] = []
        while more := await reader.entries(
            tenant, wallet_id, before=records[-1].entry.version if records else None, limit=PAGE
        ):
            records.extend(more)
        entries[wallet_id] = records[::-1]
    return History(wallets, transactions, holds, entries)


def _last(found: Mapping[UUID, object]) -> UUID | None:
    return list(found)[-1] if found else None


def prove(history: History) -> None:
    """Raise ``AssertionError`` unless every balance is explained by its entries, and every entry by its transaction."""
    for wallet in history.wallets.values():
        _prove_wallet(wallet, history)
    for transaction in history.transactions.values():
        _prove_transaction(transaction, history)
    _prove_conservation(history)


def _prove_wallet(wallet: Wallet, history: History) -> None:
    records = history.entries[wallet.id]
    assert [record.entry.version for record in records] == list(range(1, wallet.version + 1))
    balance = held = 0
    floor, ceiling = 0, None
    head = CHAIN_START
    time = None
    for record in records:
        entry, transaction = record.entry, history.transactions[record.transaction_id]
        assert entry in transaction.entries
        assert (record.kind, record.created_at) == (transaction.kind, transaction.created_at)
        assert time is None or record.created_at >= time, "time ran backwards"
        time = record.created_at
        balance, held = balance + entry.change, held + entry.held_change
        assert (entry.balance_after, entry.held_after) == (balance, held)
        head = second_implementation.entry_hash(head, entry, second_implementation.digest(transaction))
        assert entry.hash == head
        intent = json.loads(transaction.intent)
        if transaction.kind in (Kind.OPEN, Kind.CHANGE):
            floor, ceiling = intent.get("floor", floor), intent.get("ceiling", ceiling)
        assert floor <= balance - held
        assert 0 <= held <= AMOUNT_MAX
        assert max(abs(balance), abs(entry.change), abs(entry.held_change)) <= AMOUNT_MAX
        assert ceiling is None or balance <= ceiling
    assert (wallet.balance, wallet.floor, wallet.ceiling, wallet.head) == (balance, floor, ceiling, head)
    assert (wallet.created_at, wallet.updated_at) == (records[0].created_at, time)
    # A reader shows what has lapsed as no longer held, in the wallet as in its holds.
    holds = [hold for hold in history.holds.values() if hold.wallet_id == wallet.id]
    assert wallet.held == sum(hold.remaining for hold in holds) <= held
    if wallet.status is WalletStatus.CLOSED:
        assert (balance, held) == (0, 0)


def _prove_transaction(transaction: Transaction, history: History) -> None:
    net: Counter[UUID] = Counter()
    for move in transaction.moves:
        for end, change in ((move.source, -move.amount), (move.destination, move.amount)):
            if end is not None:
                net[end] += change
                assert history.wallets[end].currency == move.currency
    assert transaction.entries
    assert {entry.wallet_id: entry.change for entry in transaction.entries} == {
        entry.wallet_id: net[entry.wallet_id] for entry in transaction.entries
    }
    assert set(net) <= {entry.wallet_id for entry in transaction.entries}
    for entry in transaction.entries:
        assert history.entries[entry.wallet_id][entry.version - 1].transaction_id == transaction.id


def _prove_conservation(history: History) -> None:
    """What is in the wallets is what came in from outside, less what left."""
    inside: dict[str, int] = defaultdict(int)
    for wallet in history.wallets.values():
        inside[wallet.currency] += wallet.balance
    for transaction in history.transactions.values():
        for move in transaction.moves:
            if move.source is None:
                inside[move.currency] -= move.amount
            if move.destination is None:
                inside[move.currency] += move.amount
    assert not any(inside.values())
    reversals = [transaction.reverses for transaction in history.transactions.values() if transaction.reverses]
    assert len(set(reversals)) == len(reversals)
    keys = [transaction.key for transaction in history.transactions.values()]
    assert len(set(keys)) == len(keys)
