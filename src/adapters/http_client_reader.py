"""The reader's port over HTTP."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import attrs

from adapters import http_client_told as told
from adapters.http_client_errors import NotFound, ServiceUnavailable
from adapters.http_client_reads import PAGE_ITEMS_MAX, Reads, understood
from adapters.http_client_wire import Answer, Members, Request, Wire
from wallet_core.model import Decision, Hold, Kind, Transaction, Wallet, WalletStatus
from wallet_core.money import AMOUNT_MAX
from wallet_core.ports import EntryRecord, PastWallet

CURSORS_MAX: Final = 1000
"""How many places in lists a reader remembers the cursor of."""

T = TypeVar("T")
Position = Any
"""A UUID or a version: what a list is sorted by, descending."""


@attrs.define
class HttpReader:
    """A ``Reader`` that asks a wallet service. ``api_keys``: one of each tenant, that may read.

    - What the API does not tell of a transaction, a wallet or a rejection is listed in ``adapters.http_client_told``.
    - ``decision`` cannot be asked for a key that the ledger derived for itself, which has a space in it: ``Refused``.
    - The port says where a page starts by an item, the API by a cursor that it hands out with the page before. The page
      after one that this reader has read is one request; any other place in a list is walked to from its beginning.
    """

    wire: Wire
    api_keys: Mapping[UUID, str] = attrs.field(repr=False)
    _cursors: "OrderedDict[object, str]" = attrs.field(factory=OrderedDict, init=False, repr=False)

    async def wallet(self, tenant: UUID, wallet_id: UUID) -> Wallet | None:
        """The wallet as it is now, without its head."""
        return await _or_none(self._reads(tenant).wallet(wallet_id))

    async def wallet_at_version(self, tenant: UUID, wallet_id: UUID, version: int) -> PastWallet | None:
        """The wallet as its entry of this version left it."""
        if not 1 <= version <= AMOUNT_MAX:
            return None
        return await _or_none(self._reads(tenant).wallet_at_version(wallet_id, version))

    async def wallet_at_time(self, tenant: UUID, wallet_id: UUID, at: datetime) -> PastWallet | None:
        """The wallet as its last entry at or before this time left it."""
        return await _or_none(self._reads(tenant).wallet_at_time(wallet_id, at))

    async def wallets(
        self, tenant: UUID, *, before: UUID | None, limit: int, currency: str | None, status: WalletStatus | None
    ) -> Sequence[Wallet]:
        """The tenant's wallets, by id, descending."""
        filters = _filters(currency=currency, status=status)
        return await self._list(tenant, "/v1/wallets", filters, before, limit, told.wallet, lambda wallet: wallet.id)

    async def entries(self, tenant: UUID, wallet_id: UUID, *, before: int | None, limit: int) -> Sequence[EntryRecord]:
        """A wallet's entries by version, descending."""
        path = f"/v1/wallets/{wallet_id}/entries"
        return await self._list(tenant, path, {}, before, limit, told.entry_record, lambda record: record.entry.version)

    async def transaction(self, tenant: UUID, transaction_id: UUID) -> Transaction | None:
        """An applied transaction."""
        return await _or_none(self._reads(tenant).transaction(transaction_id))

    async def transactions(
        self, tenant: UUID, *, before: UUID | None, limit: int, kind: Kind | None
    ) -> Sequence[Transaction]:
        """The tenant's applied transactions by id, descending."""
        path, filters = "/v1/transactions", _filters(kind=kind)
        return await self._list(tenant, path, filters, before, limit, told.transaction, lambda each: each.id)

    async def wallet_transactions(
        self, tenant: UUID, wallet_id: UUID, *, before: int | None, limit: int, kind: Kind | None
    ) -> Sequence[Transaction]:
        """The applied transactions that touched a wallet, by the wallet's version, descending."""

        def version(transaction: Transaction) -> int:
            return next(entry.version for entry in transaction.entries if entry.wallet_id == wallet_id)

        filters = _filters(kind=kind, wallet_id=str(wallet_id))
        return await self._list(tenant, "/v1/transactions", filters, before, limit, told.transaction, version)

    async def hold(self, tenant: UUID, hold_id: UUID) -> Hold | None:
        """A hold."""
        return await _or_none(self._reads(tenant).held(hold_id))

    async def holds(self, tenant: UUID, wallet_id: UUID, *, before: UUID | None, limit: int) -> Sequence[Hold]:
        """The holds placed on a wallet by id, descending."""
        path = f"/v1/wallets/{wallet_id}/holds"
        return await self._list(tenant, path, {}, before, limit, told.hold, lambda hold: hold.id)

    async def decision(self, tenant: UUID, key: str) -> Decision | None:
        """What was decided under a key that a client may send."""
        return await self._reads(tenant).look_up(key)

    async def ready(self) -> None:
        """Return if the service says that it can do its work. Asks once."""
        reply = await self.wire.send("", Request("GET", "/health/ready"), self.wire.retries.attempt_s)
        if not isinstance(reply, Answer):
            raise ServiceUnavailable(str(reply))

    def _reads(self, tenant: UUID) -> Reads:
        return Reads(self.wire, self.api_keys[tenant])

    async def _list(
        self,
        tenant: UUID,
        path: str,
        filters: Mapping[str, str],
        before: Position,
        limit: int,
        make: Callable[[Members], T],
        position: Callable[[T], Position],
    ) -> Sequence[T]:
        """Up to ``limit`` items of a list whose positions are below ``before``."""
        reads = self._reads(tenant)
        place = (tenant, path, *sorted(filters.items()))
        cursor = None if before is None else self._cursors.get((*place, before))
        walking = before is not None and cursor is None
        found: list[T] = []
        while len(found) < limit:
            asked = PAGE_ITEMS_MAX if walking else min(PAGE_ITEMS_MAX, limit - len(found))
            try:
                page = await reads.page(path, limit=asked, cursor=cursor, filters=filters)
            except NotFound:
                return []
            items = [understood(make, item) for item in page.items]
            if walking:
                items = [item for item in items if position(item) < before]
                walking = not items
            found += items
            cursor = page.next_cursor
            if cursor is None:
                break
        if found and cursor is not None:
            # It comes after the last item found, which is one beyond the page if that was walked to.
            self._remember((*place, position(found[-1])), cursor)
        return found[:limit]

    def _remember(self, place: object, cursor: str) -> None:
        self._cursors[place] = cursor
        self._cursors.move_to_end(place)
        if len(self._cursors) > CURSORS_MAX:
            self._cursors.popitem(last=False)


async def _or_none(answer: Awaitable[T]) -> T | None:
    try:
        return await answer
    except NotFound:
        return None


def _filters(**given: str | None) -> Mapping[str, str]:
    return {name: str(value) for name, value in given.items() if value is not None}
