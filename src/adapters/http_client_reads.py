"""The reads of the API, with one API key. A read changes nothing, so it is asked again until it is answered."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar
from uuid import UUID

import attrs

from adapters import http_client_told as told
from adapters.http_client_errors import NotFound, NotUnderstood, Refused, ServiceUnavailable
from adapters.http_client_intents import THING_OF_SLUG
from adapters.http_client_told import Unreadable, Verification
from adapters.http_client_wire import Answer, Members, NoAnswer, Problem, Reply, Request, Wire
from wallet_core.model import Decision, Hold, Kind, Transaction, Wallet, WalletStatus
from wallet_core.ports import EntryRecord, PastWallet

PAGE_ITEMS_MAX: Final = 500

T = TypeVar("T")


@attrs.frozen
class Page:
    """A part of a list, and the cursor of the next one; None if there is none."""

    items: Sequence[Members]
    next_cursor: str | None


@attrs.define(eq=False)
class Reads:
    """What may be asked. All of it raises ``ServiceUnavailable``, ``Refused`` and ``NotUnderstood``."""

    wire: Wire
    api_key: str = attrs.field(repr=False)

    async def wallet(self, wallet_id: UUID) -> Wallet:
        """A wallet as it is, without its ``head``. Raises ``NotFound``."""
        return await self.get(f"/v1/wallets/{wallet_id}", told.wallet)

    async def wallet_at_version(self, wallet_id: UUID, version: int) -> PastWallet:
        """A wallet as its entry of this version left it. Raises ``NotFound``."""
        return await self.get(f"/v1/wallets/{wallet_id}", told.past_wallet, version=str(version))

    async def wallet_at_time(self, wallet_id: UUID, at: datetime) -> PastWallet:
        """A wallet as it was at this time. Raises ``NotFound``."""
        text = at.astimezone(UTC).isoformat(timespec="microseconds")
        return await self.get(f"/v1/wallets/{wallet_id}", told.past_wallet, at=text)

    async def transaction(self, transaction_id: UUID) -> Transaction:
        """A transaction, without its ``intent``. Raises ``NotFound``."""
        return await self.get(f"/v1/transactions/{transaction_id}", told.transaction)

    async def held(self, hold_id: UUID) -> Hold:
        """A hold as it is. Raises ``NotFound``."""
        return await self.get(f"/v1/holds/{hold_id}", told.hold)

    async def look_up(self, key: str) -> Decision | None:
        """What was decided under a key; None where nothing is, which an attempt under way may change."""
        try:
            return await self.get("/v1/idempotency-keys", told.decision, key=key)
        except NotFound:
            return None

    async def verification(self, wallet_id: UUID) -> Verification:
        """The proof of a wallet's whole history. Raises ``NotFound``."""
        return await self.get(f"/v1/wallets/{wallet_id}/verification", told.verification)

    def wallets(self, *, currency: str | None = None, status: WalletStatus | None = None) -> AsyncIterator[Wallet]:
        """All wallets, by id, descending."""
        return self._items("/v1/wallets", told.wallet, currency=currency, status=status)

    def entries(self, wallet_id: UUID) -> AsyncIterator[EntryRecord]:
        """All entries of a wallet, newest first. What is written meanwhile is not among them. Raises ``NotFound``."""
        return self._items(f"/v1/wallets/{wallet_id}/entries", told.entry_record)

    def holds(self, wallet_id: UUID) -> AsyncIterator[Hold]:
        """All holds placed on a wallet, newest first. Raises ``NotFound``."""
        return self._items(f"/v1/wallets/{wallet_id}/holds", told.hold)

    def transactions(self, *, kind: Kind | None = None, wallet_id: UUID | None = None) -> AsyncIterator[Transaction]:
        """All transactions, or those that touched one wallet, newest first."""
        touched = None if wallet_id is None else str(wallet_id)
        return self._items("/v1/transactions", told.transaction, kind=kind, wallet_id=touched)

    async def page(self, path: str, *, limit: int, cursor: str | None, filters: Mapping[str, str]) -> Page:
        """A page of a list. Raises ``NotFound``."""
        query = {"limit": str(limit), **filters, **({} if cursor is None else {"cursor": cursor})}
        return await self.get(path, lambda members: Page(list(members["items"]), members["next_cursor"]), **query)

    async def _items(self, path: str, make: Callable[[Members], T], **filters: str | None) -> AsyncIterator[T]:
        """All items of a list, page by page, each page when it is needed."""
        given = {name: value for name, value in filters.items() if value is not None}
        cursor: str | None = None
        while True:
            page = await self.page(path, limit=PAGE_ITEMS_MAX, cursor=cursor, filters=given)
            for item in page.items:
                yield understood(make, item)
            if page.next_cursor is None:
                return
            cursor = page.next_cursor

    async def get(self, path: str, make: Callable[[Members], T], **query: str) -> T:
        """What a path answers, as ``make`` has it. Raises ``NotFound``."""
        request = Request("GET", path, query=query)

        async def attempt(timeout_s: float) -> Reply:
            return await self.wire.send(self.api_key, request, timeout_s)

        match await self.wire.retries.insist(attempt):
            case Answer(members):
                return understood(make, members)
            case NoAnswer(why):
                raise ServiceUnavailable(why)
            case Problem() as problem:
                raise _error(problem)


def understood(make: Callable[[Members], T], members: Members) -> T:
    """What the members say. Raises ``NotUnderstood``."""
    try:
        return told.read(make, members)
    except Unreadable as error:
        raise NotUnderstood(str(error)) from error


def _error(problem: Problem) -> Exception:
    if problem.again:
        return ServiceUnavailable(str(problem))
    if problem.slug == "not-found":
        return NotFound()
    thing = THING_OF_SLUG.get(problem.slug)
    if thing is None:
        return Refused(problem)
    id = problem.details.get(f"{thing.value}_id")
    return NotFound(thing, UUID(id) if isinstance(id, str) else None)
