"""The unit of work on PostgreSQL: optimistic, at read committed, without a lock taken before the write."""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import CompoundSelect, Insert, Select, Update
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres import statements
from adapters.postgres.errors import translating
from adapters.postgres.records import FENCE_INTENT, NO_METADATA, DecisionRecord, fetch_entries, result_of, wallet_of
from adapters.postgres.session import Columns, Session, open_session
from wallet_core.canonical import canonical_json, canonical_metadata
from wallet_core.model import Decision, Fence, Hold, HoldStatus, Kind, Rejection, Transaction, Wallet
from wallet_core.ports import Changes, Names, Snapshot, StaleSnapshot

OUTCOMES: dict[type[Decision], str] = {Transaction: "applied", Rejection: "rejected", Fence: "fenced"}


class PostgresStore:
    """A ``Store`` over a pool of connections. See ``ports.Store``."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    def begin(self, tenant: UUID) -> AbstractAsyncContextManager["PostgresUnit"]:
        """A new unit of work, on a connection of its own from the pool."""
        return self._begin(tenant)

    @asynccontextmanager
    async def _begin(self, tenant: UUID) -> AsyncIterator["PostgresUnit"]:
        async with AsyncExitStack() as stack:
            with translating():
                session = await stack.enter_async_context(open_session(self._engine))
                await session.begin()
            yield PostgresUnit(session, tenant)


class PostgresUnit:
    """One transaction. See ``ports.UnitOfWork``."""

    def __init__(self, session: Session, tenant: UUID) -> None:
        self._session = session
        self._tenant = tenant

    async def load(self, names: Names, *, lock: bool = False) -> Snapshot:
        with translating():
            return await self._load(names, lock)

    async def append(self, changes: Changes) -> None:
        with translating():
            await self._append(changes)

    async def commit(self) -> None:
        with translating(committing=True):
            await self._session.commit()

    async def _load(self, names: Names, lock: bool) -> Snapshot:
        wallet_of_hold: dict[UUID, UUID] = {}
        records: list[DecisionRecord] = []
        wallet_ids = dict.fromkeys(names.wallets)
        if names.holds:
            for row in await self._rows(statements.LOAD_HOLD_WALLETS, id=names.holds):
                wallet_of_hold[row["id"]] = row["wallet_id"]
                wallet_ids.update(dict.fromkeys(id for id in (row["wallet_id"], row["destination"]) if id is not None))
        if names.transactions:
            rows = await self._rows(statements.LOAD_TRANSACTIONS, id=names.transactions)
            records = [DecisionRecord(row) for row in rows]
            wallet_ids.update((wallet_id, None) for record in records for wallet_id, _ in record.entry_ids)
        if lock and wallet_ids:
            await self._session.write(
                statements.LOCK_WALLETS, statements.parameters(self._tenant, {"id": sorted(wallet_ids)})
            )
        now, wallets, holds, known = await self._load_batch(wallet_ids, wallet_of_hold, names.keys)
        # After the wallets, so that what is not reversed here was not when the wallets were seen either.
        reversed_ids: set[UUID] = set()
        if records:
            rows = await self._rows(statements.LOAD_REVERSED, id=[record.id for record in records])
            reversed_ids = {row["reverses"] for row in rows}
        entries = await fetch_entries(self._session, self._tenant, [*records, *known])
        transactions = {record.id: record.decision(entries) for record in records}
        return Snapshot(
            now,
            wallets,
            holds,
            {id: transaction for id, transaction in transactions.items() if isinstance(transaction, Transaction)},
            reversed_ids,
            {record.key: record.decision(entries) for record in known},
        )

    async def _load_batch(
        self, wallet_ids: Iterable[UUID], wallet_of_hold: dict[UUID, UUID], keys: Sequence[str]
    ) -> tuple[datetime, dict[UUID, Wallet], dict[UUID, Hold], list[DecisionRecord]]:
        pairs: list[tuple[UUID, UUID | None]] = [(id, None) for id in wallet_ids]
        pairs += [(wallet_id, hold_id) for hold_id, wallet_id in wallet_of_hold.items()]
        wallets: dict[UUID, Wallet] = {}
        holds: dict[UUID, Hold] = {}
        known: list[DecisionRecord] = []
        times: list[datetime] = []
        for row in await self._rows(
            statements.LOAD_BATCH,
            wallet_id=[wallet_id for wallet_id, _ in pairs],
            hold_id=[hold_id for _, hold_id in pairs],
            key=keys,
        ):
            if (id := row["id"]) is not None:
                if id not in wallets:
                    wallets[id] = wallet_of(row)
                if row["hold_id"] is not None:
                    holds[row["hold_id"]] = _held(row)
            elif row["decision_id"] is not None:
                known.append(DecisionRecord(row, statements.DECISION))
            else:
                times.append(row["now"])
        return times[0], wallets, holds, known

    async def _append(self, changes: Changes) -> None:
        # Wallets first, because those may be locked before anything is written, then transactions, then entries; each
        # in one order of keys in every process, so that two batches which share wallets, keys or reversed transactions
        # wait for one another instead of dead-locking.
        await self._write_wallets(changes)
        decisions = sorted(changes.decisions, key=_order_of_writing)
        await self._write_decisions(decisions)
        await self._write_entries([decision for decision in decisions if isinstance(decision, Transaction)])
        await self._write_holds(changes)

    async def _write_decisions(self, decisions: Sequence[Decision]) -> None:
        await self._write(
            statements.INSERT_TRANSACTIONS,
            decisions,
            id=[decision.id for decision in decisions],
            created_at=[decision.created_at for decision in decisions],
            reverses=[decision.reverses if isinstance(decision, Transaction) else None for decision in decisions],
            idempotency_key=[decision.key for decision in decisions],
            outcome=[OUTCOMES[type(decision)] for decision in decisions],
            kind=["fence" if isinstance(decision, Fence) else decision.kind.value for decision in decisions],
            intent=[FENCE_INTENT if isinstance(decision, Fence) else decision.intent for decision in decisions],
            result=[result_of(decision) for decision in decisions],
        )

    async def _write_wallets(self, changes: Changes) -> None:
        updated = sorted(changes.updated_wallets, key=lambda guarded: guarded[1].id)
        if updated:
            # One statement for all of them: two could lock wallets in another order than other writers do.
            changed = any(isinstance(d, Transaction) and d.kind is Kind.CHANGE for d in changes.decisions)
            wallets = [wallet for _, wallet in updated]
            await self._write(
                statements.UPDATE_WALLETS if changed else statements.UPDATE_BALANCES,
                updated,
                loaded_version=[loaded_version for loaded_version, _ in updated],
                **_moving(wallets),
                **(_settings(wallets) if changed else {}),
            )
        opened = sorted(changes.opened_wallets, key=attrgetter("id"))
        if opened:
            await self._write(
                statements.INSERT_WALLETS,
                opened,
                currency=[wallet.currency for wallet in opened],
                created_at=[wallet.created_at for wallet in opened],
                **_moving(opened),
                **_settings(opened),
            )

    async def _write_entries(self, transactions: Sequence[Transaction]) -> None:
        rows = [(entry, transaction) for transaction in transactions for entry in transaction.entries]
        if rows:
            await self._write(
                statements.INSERT_ENTRIES,
                rows,
                wallet_id=[entry.wallet_id for entry, _ in rows],
                version=[entry.version for entry, _ in rows],
                transaction_id=[transaction.id for _, transaction in rows],
                change=[entry.change for entry, _ in rows],
                held_change=[entry.held_change for entry, _ in rows],
                balance_after=[entry.balance_after for entry, _ in rows],
                held_after=[entry.held_after for entry, _ in rows],
                created_at=[transaction.created_at for _, transaction in rows],
                hash=[entry.hash for entry, _ in rows],
            )

    async def _write_holds(self, changes: Changes) -> None:
        placed, updated = changes.placed_holds, changes.updated_holds
        if placed:
            await self._write(
                statements.INSERT_HOLDS,
                placed,
                id=[hold.id for hold in placed],
                wallet_id=[hold.wallet_id for hold in placed],
                destination=[hold.destination for hold in placed],
                amount=[hold.amount for hold in placed],
                captured=[hold.captured for hold in placed],
                expires_at=[hold.expires_at for hold in placed],
                created_at=[hold.created_at for hold in placed],
                status=[hold.status.value for hold in placed],
            )
        if updated:
            await self._write(
                statements.UPDATE_HOLDS,
                updated,
                id=[hold.id for hold in updated],
                captured=[hold.captured for hold in updated],
                status=[hold.status.value for hold in updated],
            )

    async def _rows(self, statement: Select[Any] | CompoundSelect[Any], **columns: Sequence[Any]) -> Sequence[Columns]:
        return await self._session.fetch(statement, statements.parameters(self._tenant, columns))

    async def _write(self, statement: Insert | Update, rows: Collection[Any], **columns: Sequence[Any]) -> None:
        """Run one set-based write. A row that was not written means that a guard did not hold."""
        written = await self._session.write(statement, statements.parameters(self._tenant, columns))
        if written != len(rows):
            raise StaleSnapshot


def _order_of_writing(decision: Decision) -> tuple[bytes, str]:
    # A reversal takes two unique values: its key, and what it reverses, of which there is one row whatever the key.
    reverses = decision.reverses if isinstance(decision, Transaction) else None
    return b"" if reverses is None else reverses.bytes, decision.key


def _held(row: Columns) -> Hold:
    """The hold that a row has beside its wallet."""
    return Hold(
        row["hold_id"],
        row["id"],
        row["hold_destination"],
        row["hold_amount"],
        row["hold_captured"],
        HoldStatus(row["hold_status"]),
        row["hold_expires_at"],
        row["hold_created_at"],
    )


def _moving(wallets: Sequence[Wallet]) -> dict[str, Sequence[Any]]:
    return {
        "id": [wallet.id for wallet in wallets],
        "version": [wallet.version for wallet in wallets],
        "balance": [wallet.balance for wallet in wallets],
        "held": [wallet.held for wallet in wallets],
        "updated_at": [wallet.updated_at for wallet in wallets],
        "head": [wallet.head for wallet in wallets],
    }


def _settings(wallets: Sequence[Wallet]) -> dict[str, Sequence[Any]]:
    return {
        "floor": [wallet.floor for wallet in wallets],
        "ceiling": [wallet.ceiling for wallet in wallets],
        "status": [wallet.status.value for wallet in wallets],
        "metadata": [
            canonical_json({**canonical_metadata(wallet.metadata)}) if wallet.metadata else NO_METADATA
            for wallet in wallets
        ],
    }
