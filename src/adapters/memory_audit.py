"""A consistent view of a tenant in memory, for its proof. See ``verify.AuditView``."""

from collections.abc import AsyncIterator, Mapping, Sequence
from uuid import UUID

from wallet_core.audit import AuditEntry, AuditWallet
from wallet_core.canonical import result_json, time_text
from wallet_core.model import Hold, Transaction, Wallet
from wallet_core.ports import EntryRecord
from wallet_core.verify import AuditTotals


class MemoryView:
    """What a tenant held when the view was made: the values are immutable, so holding on to them is enough."""

    def __init__(
        self,
        wallets: Mapping[UUID, Wallet],
        holds: Mapping[UUID, Hold],
        transactions: Mapping[UUID, Transaction],
        entries: Mapping[UUID, Sequence[EntryRecord]],
    ) -> None:
        self._wallets = dict(wallets)
        self._holds = list(holds.values())
        self._transactions = dict(transactions)
        self._entries = {wallet_id: list(records) for wallet_id, records in entries.items()}

    async def totals(self) -> AuditTotals:
        entries = sum(len(records) for records in self._entries.values())
        return AuditTotals(len(self._wallets), entries, len(self._transactions))

    async def wallets(self, *, after: UUID | None, limit: int) -> Sequence[AuditWallet]:
        ids = sorted(id for id in self._wallets if after is None or id > after)
        return [self._wallet(self._wallets[id]) for id in ids[:limit]]

    async def wallet(self, wallet_id: UUID) -> AuditWallet | None:
        wallet = self._wallets.get(wallet_id)
        return None if wallet is None else self._wallet(wallet)

    async def entries(self, first_versions: Mapping[str, int]) -> AsyncIterator[Sequence[AuditEntry]]:
        for wallet_id, first_version in first_versions.items():
            records = self._entries.get(UUID(wallet_id), [])
            yield [self._entry(record) for record in records if record.entry.version >= first_version]

    def _wallet(self, wallet: Wallet) -> AuditWallet:
        reserved = sum(hold.remaining for hold in self._holds if hold.wallet_id == wallet.id)
        return AuditWallet(
            str(wallet.id),
            wallet.currency,
            wallet.balance,
            wallet.held,
            wallet.floor,
            wallet.ceiling,
            wallet.version,
            wallet.head.hex(),
            reserved,
        )

    def _entry(self, record: EntryRecord) -> AuditEntry:
        entry, transaction = record.entry, self._transactions[record.transaction_id]
        versions = [(other.wallet_id, other.version) for other in transaction.entries]
        return AuditEntry(
            str(entry.wallet_id),
            entry.version,
            entry.change,
            entry.held_change,
            entry.balance_after,
            entry.held_after,
            entry.hash.hex(),
            record.created_at == transaction.created_at,
            str(transaction.id),
            transaction.key,
            transaction.kind.value,
            time_text(transaction.created_at),
            transaction.intent,
            result_json(transaction.moves, versions, transaction.hold),
        )
