"""A consistent view of a tenant in memory, for its proof. See ``verify.AuditView``."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from wallet_core.audit import AuditEntry, AuditWallet
from wallet_core.canonical import canonical_json, canonical_metadata, hold_members, result_json, time_text
from wallet_core.model import Hold, Kind, Transaction, Wallet
from wallet_core.ports import EntryRecord
from wallet_core.verify import AuditTotals, Unaccounted


class MemoryView:
    """What a tenant held when the view was made: the values are immutable, so holding on to them is enough."""

    def __init__(
        self,
        wallets: Mapping[UUID, Wallet],
        holds: Mapping[UUID, Hold],
        transactions: Mapping[UUID, Transaction],
        entries: Mapping[UUID, Sequence[EntryRecord]],
        now: datetime,
    ) -> None:
        self._now = now
        self._wallets = dict(wallets)
        self._holds = dict(holds)
        self._transactions = dict(transactions)
        self._entries = {wallet_id: list(records) for wallet_id, records in entries.items()}

    async def totals(self) -> AuditTotals:
        entries = sum(len(records) for records in self._entries.values())
        return AuditTotals(len(self._wallets), entries, len(self._transactions), self._now)

    async def wallets(self, *, after: UUID | None, limit: int) -> Sequence[AuditWallet]:
        ids = sorted(id for id in self._wallets if after is None or id > after)
        return [self._wallet(self._wallets[id]) for id in ids[:limit]]

    async def wallet(self, wallet_id: UUID) -> AuditWallet | None:
        wallet = self._wallets.get(wallet_id)
        return None if wallet is None else self._wallet(wallet)

    async def entries(self, first_versions: Mapping[str, int]) -> AsyncGenerator[Sequence[AuditEntry], None]:
        for wallet_id, first_version in first_versions.items():
            records = self._entries.get(UUID(wallet_id), [])
            yield [self._entry(record) for record in records if record.entry.version >= first_version]

    async def unaccounted(self, limit: int) -> Unaccounted:
        present = {
            (record.entry.wallet_id, record.entry.version, record.transaction_id)
            for records in self._entries.values()
            for record in records
        }
        missing = [
            (str(transaction.id), str(entry.wallet_id), entry.version)
            for transaction in self._transactions.values()
            for entry in transaction.entries
            if (entry.wallet_id, entry.version, transaction.id) not in present
        ]
        ownerless = [(str(id), len(records)) for id, records in self._entries.items() if id not in self._wallets]
        return Unaccounted(missing[:limit], ownerless[:limit])

    def _wallet(self, wallet: Wallet) -> AuditWallet:
        holds = [hold for hold in self._holds.values() if hold.wallet_id == wallet.id]
        return AuditWallet(
            str(wallet.id),
            wallet.currency,
            wallet.balance,
            wallet.held,
            wallet.floor,
            wallet.ceiling,
            wallet.status.value,
            wallet.version,
            wallet.head.hex(),
            canonical_json({**canonical_metadata(wallet.metadata)}),
            time_text(wallet.created_at),
            time_text(wallet.updated_at),
            sum(hold.remaining for hold in holds),
            len(holds),
        )

    def _entry(self, record: EntryRecord) -> AuditEntry:
        entry, transaction = record.entry, self._transactions[record.transaction_id]
        versions = [(other.wallet_id, other.version) for other in transaction.entries]
        reverses = json.loads(transaction.intent)["transaction"] if transaction.kind is Kind.REVERSAL else None
        agrees = (record.created_at, transaction.reverses) == (
            transaction.created_at,
            None if reverses is None else UUID(reverses),
        )
        hold = None if transaction.hold is None else self._holds.get(transaction.hold.id)
        return AuditEntry(
            str(entry.wallet_id),
            entry.version,
            entry.change,
            entry.held_change,
            entry.balance_after,
            entry.held_after,
            entry.hash.hex(),
            agrees,
            str(transaction.id),
            transaction.key,
            transaction.kind.value,
            time_text(transaction.created_at),
            transaction.intent,
            result_json(transaction.moves, versions, transaction.hold),
            None if hold is None else canonical_json(hold_members(hold)),
        )
