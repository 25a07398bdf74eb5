"""The ledger in memory: for tests, examples and whoever embeds the rules without a database. Durable for no longer
than the process.

It holds copies, not references, and the races of the real store: between load and commit other tasks run, and the
first to commit wins. The contract tests run on it as they run on PostgreSQL.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

import attrs

from adapters.memory_audit import MemoryView
from wallet_core.model import (
    Decision,
    Fence,
    Hold,
    HoldStatus,
    Kind,
    Rejection,
    Transaction,
    Wallet,
    WalletStatus,
)
from wallet_core.ports import DUE_HOLDS_MAX, Changes, EntryRecord, Names, PastWallet, Snapshot, StaleSnapshot


def _utc_now() -> datetime:
    return datetime.now(UTC)


@attrs.define
class _Tenant:
    wallets: dict[UUID, Wallet] = attrs.field(factory=dict)
    holds: dict[UUID, Hold] = attrs.field(factory=dict)
    transactions: dict[UUID, Transaction] = attrs.field(factory=dict)
    reversals: set[UUID] = attrs.field(factory=set)
    decisions: dict[str, Decision] = attrs.field(factory=dict)
    entries: dict[UUID, list[EntryRecord]] = attrs.field(factory=dict)
    committed: list[Transaction] = attrs.field(factory=list)

    def due(self, wallet_ids: Iterable[UUID], now: datetime) -> list[Hold]:
        named = set(wallet_ids)
        return [hold for hold in self.holds.values() if hold.wallet_id in named and hold.is_due(now)]


class MemoryStore:
    """A ``Store``, a ``Reader`` and an ``AuditSource``. ``clock`` stands in for the database's."""

    def __init__(self, clock: Callable[[], datetime] = _utc_now) -> None:
        self._clock = clock
        self._tenants: dict[UUID, _Tenant] = {}

    def begin(self, tenant: UUID) -> AbstractAsyncContextManager["MemoryUnit"]:
        """A new unit of work; see ``ports.Store``."""
        return self._unit(tenant)

    @asynccontextmanager
    async def _unit(self, tenant: UUID) -> AsyncIterator["MemoryUnit"]:
        yield MemoryUnit(self._tenant(tenant), self._clock)

    def _tenant(self, tenant: UUID) -> _Tenant:
        return self._tenants.setdefault(tenant, _Tenant())

    @asynccontextmanager
    async def view(self, tenant: UUID) -> AsyncIterator[MemoryView]:
        """A consistent view; see ``verify.AuditSource``."""
        data = self._tenant(tenant)
        yield MemoryView(data.wallets, data.holds, data.transactions, data.entries, self._clock())

    def committed(self, tenant: UUID) -> Sequence[Transaction]:
        """The tenant's transactions in the order in which they were committed; see ``memory_events``."""
        return self._tenant(tenant).committed

    # ------------------------------------------------------------------ Reader

    async def ready(self) -> None:
        """Memory is always there."""

    async def wallet(self, tenant: UUID, wallet_id: UUID) -> Wallet | None:
        data = self._tenant(tenant)
        wallet = data.wallets.get(wallet_id)
        return None if wallet is None else self._as_of_now(wallet, data)

    async def wallet_at_version(self, tenant: UUID, wallet_id: UUID, version: int) -> PastWallet | None:
        records = self._tenant(tenant).entries.get(wallet_id, [])
        return self._past(tenant, records[version - 1]) if 1 <= version <= len(records) else None

    async def wallet_at_time(self, tenant: UUID, wallet_id: UUID, at: datetime) -> PastWallet | None:
        records = self._tenant(tenant).entries.get(wallet_id, [])
        past = [record for record in records if record.created_at <= at]
        return self._past(tenant, past[-1]) if past else None

    async def wallets(
        self, tenant: UUID, *, before: UUID | None, limit: int, currency: str | None, status: WalletStatus | None
    ) -> Sequence[Wallet]:
        data = self._tenant(tenant)
        found = [
            wallet
            for id, wallet in data.wallets.items()
            if (before is None or id < before)
            and (currency is None or wallet.currency == currency)
            and (status is None or wallet.status is status)
        ]
        found.sort(key=lambda wallet: wallet.id, reverse=True)
        return [self._as_of_now(wallet, data) for wallet in found[:limit]]

    async def entries(self, tenant: UUID, wallet_id: UUID, *, before: int | None, limit: int) -> Sequence[EntryRecord]:
        return self._entries_before(tenant, wallet_id, before)[:limit]

    async def transaction(self, tenant: UUID, transaction_id: UUID) -> Transaction | None:
        transaction = self._tenant(tenant).transactions.get(transaction_id)
        return None if transaction is None else _copy_transaction(transaction)

    async def transactions(
        self, tenant: UUID, *, before: UUID | None, limit: int, kind: Kind | None
    ) -> Sequence[Transaction]:
        found = [
            transaction
            for id, transaction in self._tenant(tenant).transactions.items()
            if (before is None or id < before) and (kind is None or transaction.kind is kind)
        ]
        found.sort(key=lambda transaction: transaction.id, reverse=True)
        return [_copy_transaction(transaction) for transaction in found[:limit]]

    async def wallet_transactions(
        self, tenant: UUID, wallet_id: UUID, *, before: int | None, limit: int, kind: Kind | None
    ) -> Sequence[Transaction]:
        transactions = self._tenant(tenant).transactions
        records = self._entries_before(tenant, wallet_id, before)
        found = [transactions[record.transaction_id] for record in records if kind is None or record.kind is kind]
        return [_copy_transaction(transaction) for transaction in found[:limit]]

    async def hold(self, tenant: UUID, hold_id: UUID) -> Hold | None:
        hold = self._tenant(tenant).holds.get(hold_id)
        return None if hold is None else self._hold_as_of_now(hold)

    async def holds(self, tenant: UUID, wallet_id: UUID, *, before: UUID | None, limit: int) -> Sequence[Hold]:
        found = [
            hold
            for id, hold in self._tenant(tenant).holds.items()
            if hold.wallet_id == wallet_id and (before is None or id < before)
        ]
        found.sort(key=lambda hold: hold.id, reverse=True)
        return [self._hold_as_of_now(hold) for hold in found[:limit]]

    async def decision(self, tenant: UUID, key: str) -> Decision | None:
        decision = self._tenant(tenant).decisions.get(key)
        return None if decision is None else _copy_decision(decision)

    def _entries_before(self, tenant: UUID, wallet_id: UUID, before: int | None) -> list[EntryRecord]:
        records = self._tenant(tenant).entries.get(wallet_id, [])
        return [record for record in reversed(records) if before is None or record.entry.version < before]

    def _past(self, tenant: UUID, record: EntryRecord) -> PastWallet:
        entry = record.entry
        currency = self._tenant(tenant).wallets[entry.wallet_id].currency
        return PastWallet(
            entry.wallet_id, currency, entry.balance_after, entry.held_after, entry.version, record.created_at
        )

    def _as_of_now(self, wallet: Wallet, data: _Tenant) -> Wallet:
        lapsed = sum(hold.remaining for hold in data.due((wallet.id,), self._clock()))
        return attrs.evolve(wallet, held=wallet.held - lapsed, metadata=dict(wallet.metadata))

    def _hold_as_of_now(self, hold: Hold) -> Hold:
        return attrs.evolve(hold, status=HoldStatus.EXPIRED) if hold.is_due(self._clock()) else hold


class MemoryUnit:
    """A unit of work in memory; see ``ports.UnitOfWork``."""

    def __init__(self, data: _Tenant, clock: Callable[[], datetime]) -> None:
        self._data = data
        self._clock = clock
        self._staged: Changes | None = None

    async def load(self, names: Names, *, lock: bool = False) -> Snapshot:
        # Other tasks run here, as they do while a database answers.
        await asyncio.sleep(0)
        now = self._clock()
        data = self._data
        holds = _present(names.holds, data.holds)
        transactions = _present(names.transactions, data.transactions)
        wallet_ids = set(names.wallets)
        for hold in holds.values():
            wallet_ids.add(hold.wallet_id)
            if hold.destination is not None:
                wallet_ids.add(hold.destination)
        for transaction in transactions.values():
            wallet_ids.update(entry.wallet_id for entry in transaction.entries)
        wallets = _present(wallet_ids, data.wallets)
        for wallet_id in wallets:
            oldest = sorted(data.due((wallet_id,), now), key=lambda hold: (hold.expires_at, hold.id))
            holds.update({hold.id: hold for hold in oldest[: DUE_HOLDS_MAX + 1]})
        return Snapshot(
            now,
            {id: _copy_wallet(wallet) for id, wallet in wallets.items()},
            holds,
            {id: _copy_transaction(transaction) for id, transaction in transactions.items()},
            {id for id in transactions if id in data.reversals},
            {key: _copy_decision(decision) for key, decision in _present(names.keys, data.decisions).items()},
        )

    def prepare(self, changes: Changes) -> bool:
        # Nothing is sent anywhere.
        return False

    async def append(self, changes: Changes) -> None:
        await asyncio.sleep(0)
        self._check(changes)
        self._staged = changes

    async def commit(self) -> None:
        await asyncio.sleep(0)
        changes = self._staged
        if changes is None:
            return
        # Nothing is awaited from the check to the last write: that makes it atomic.
        self._check(changes)
        self._write(changes)

    def _check(self, changes: Changes) -> None:
        data = self._data
        for decision in changes.decisions:
            reversed_before = isinstance(decision, Transaction) and decision.reverses in data.reversals
            if decision.key in data.decisions or reversed_before:
                raise StaleSnapshot
        if any(wallet.id in data.wallets for wallet in changes.opened_wallets):
            raise StaleSnapshot
        if any(data.wallets[wallet.id].version != loaded for loaded, wallet in changes.updated_wallets):
            raise StaleSnapshot

    def _write(self, changes: Changes) -> None:
        data = self._data
        for decision in changes.decisions:
            kept = _copy_decision(decision)
            data.decisions[kept.key] = kept
            if not isinstance(kept, Transaction):
                continue
            data.transactions[kept.id] = kept
            data.committed.append(kept)
            if kept.reverses is not None:
                data.reversals.add(kept.reverses)
            for entry in kept.entries:
                record = EntryRecord(entry, kept.id, kept.kind, kept.created_at)
                data.entries.setdefault(entry.wallet_id, []).append(record)
        for wallet in [*changes.opened_wallets, *(wallet for _, wallet in changes.updated_wallets)]:
            data.wallets[wallet.id] = _copy_wallet(wallet)
        for hold in [*changes.placed_holds, *changes.updated_holds]:
            data.holds[hold.id] = hold


_K = TypeVar("_K")
_V = TypeVar("_V")


def _present(names: Iterable[_K], where: Mapping[_K, _V]) -> dict[_K, _V]:
    return {name: where[name] for name in names if name in where}


def _copy_wallet(wallet: Wallet) -> Wallet:
    return attrs.evolve(wallet, metadata=dict(wallet.metadata))


def _copy_transaction(transaction: Transaction) -> Transaction:
    return attrs.evolve(transaction, metadata=dict(transaction.metadata))


def _copy_decision(decision: Decision) -> Decision:
    match decision:
        case Transaction():
            return _copy_transaction(decision)
        case Rejection():
            return attrs.evolve(decision, details=dict(decision.details))
        case Fence():
            return decision
