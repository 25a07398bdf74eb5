"""The reads. Each answers what is committed, and changes nothing."""

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar
from uuid import UUID

from litestar.types import HTTPScope, Receive

from entrypoints.http import problem_types as types
from entrypoints.http import shapes
from entrypoints.http.answers import JSON, Answer, decided, path_of
from entrypoints.http.decode import uuid_or_none
from entrypoints.http.paging import PAGE_PARAMETERS, Page, integer, version_or_none
from entrypoints.http.problems import Refused, malformed, refusal
from entrypoints.http.requests import header_values, path_id, query_parameters, visible_ascii
from entrypoints.http.service import Service
from entrypoints.http.verification import verify_wallet
from wallet_core.checks import KEY_LENGTH_MAX
from wallet_core.model import Kind, Transaction, Wallet, WalletStatus
from wallet_core.money import AMOUNT_MAX, is_currency
from wallet_core.outcomes import Thing
from wallet_core.ports import PastWallet

RFC_3339: Final = re.compile(r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
ENTITY_TAG: Final = re.compile(rb'(?:W/)?("[!#-~\x80-\xff]*")')

E = TypeVar("E", bound=str)

Read = Callable[[Service, UUID, HTTPScope], Awaitable[Answer]]


async def get_wallet(service: Service, tenant: UUID, scope: HTTPScope) -> Answer:
    """A wallet as it is, or, with ``version`` or ``at``, as it was."""
    parameters = query_parameters(scope, ("version", "at"))
    wallet_id = path_id(scope, Thing.WALLET)
    if parameters:
        return await _past_wallet(service, tenant, wallet_id, parameters)
    wallet = await service.read(service.reader.wallet(tenant, wallet_id))
    if wallet is None:
        raise _missing(Thing.WALLET, wallet_id)
    known = _entity_tags(scope)
    tag = b'"%d"' % wallet.version
    if (tag in known or b"*" in known) and not await _has_lapsed(service, tenant, wallet):
        return Answer(304, ((b"etag", tag),), b"")
    return Answer(200, (JSON, (b"etag", tag)), shapes.encode(shapes.wallet(wallet)))


async def list_wallets(service: Service, tenant: UUID, scope: HTTPScope) -> Answer:
    """The tenant's wallets."""
    parameters = query_parameters(scope, (*PAGE_PARAMETERS, "currency", "status"))
    currency = parameters.get("currency")
    if currency is not None and not is_currency(currency):
        raise malformed("currency", "must be 3 to 12 of A-Z 0-9, starting with a letter")
    status = _one_of(parameters, "status", WalletStatus)
    page = Page.of(parameters, "wallets")
    found = await service.read(
        service.reader.wallets(
            tenant, before=page.before(uuid_or_none), limit=page.limit + 1, currency=currency, status=status
        )
    )
    items = [shapes.wallet(wallet) for wallet in found[: page.limit]]
    return _ok(shapes.WalletPage(items, page.next_cursor(found, lambda wallet: wallet.id)))


async def list_entries(service: Service, tenant: UUID, scope: HTTPScope) -> Answer:
    """A wallet's entries, newest first."""
    parameters = query_parameters(scope, PAGE_PARAMETERS)
    wallet_id = path_id(scope, Thing.WALLET)
    page = Page.of(parameters, "entries", str(wallet_id))
    found = await service.read(
        service.reader.entries(tenant, wallet_id, before=page.before(version_or_none), limit=page.limit + 1)
    )
    if not found:
        await _require_wallet(service, tenant, wallet_id)
    items = [shapes.wallet_entry(record) for record in found[: page.limit]]
    return _ok(shapes.EntryPage(items, page.next_cursor(found, lambda record: record.entry.version)))


async def list_holds(service: Service, tenant: UUID, scope: HTTPScope) -> Answer:
    """A wallet's holds, newest first."""
    parameters = query_parameters(scope, PAGE_PARAMETERS)
    wallet_id = path_id(scope, Thing.WALLET)
    page = Page.of(parameters, "holds", str(wallet_id))
    found = await service.read(
        service.reader.holds(tenant, wallet_id, before=page.before(uuid_or_none), limit=page.limit + 1)
    )
    if not found:
        await _require_wallet(service, tenant, wallet_id)
    items = [shapes.hold(hold) for hold in found[: page.limit]]
    return _ok(shapes.HoldPage(items, page.next_cursor(found, lambda hold: hold.id)))


async def get_transaction(service: Service, tenant: UUID, scope: HTTPScope) -> Answer:
    """A receipt."""
    query_parameters(scope, ())
    transaction_id = path_id(scope, Thing.TRANSACTION)
    transaction = await service.read(service.reader.transaction(tenant, transaction_id))
    if transaction is None:
        raise _missing(Thing.TRANSACTION, transaction_id)
    return _ok(shapes.transaction(transaction))


async def list_transactions(service: Service, tenant: UUID, scope: HTTPScope) -> Answer:
    """The tenant's transactions, or those that touched one wallet, newest first."""
    parameters = query_parameters(scope, (*PAGE_PARAMETERS, "kind", "wallet_id"))
    kind = _one_of(parameters, "kind", Kind)
    page = Page.of(parameters, "transactions")
    wallet_id = _optional_id(parameters, "wallet_id")
    if wallet_id is None:
        found = await service.read(
            service.reader.transactions(tenant, before=page.before(uuid_or_none), limit=page.limit + 1, kind=kind)
        )
        next_cursor = page.next_cursor(found, lambda transaction: transaction.id)
    else:
        found = await service.read(
            service.reader.wallet_transactions(
                tenant, wallet_id, before=page.before(version_or_none), limit=page.limit + 1, kind=kind
            )
        )
        next_cursor = page.next_cursor(found, lambda transaction: _version_in(transaction, wallet_id))
    items = [shapes.transaction(transaction) for transaction in found[: page.limit]]
    return _ok(shapes.TransactionPage(items, next_cursor))


async def get_hold(service: Service, tenant: UUID, scope: HTTPScope) -> Answer:
    """A hold as it is: expired once its time has passed, whether or not a write has put that down yet."""
    query_parameters(scope, ())
    hold_id = path_id(scope, Thing.HOLD)
    hold = await service.read(service.reader.hold(tenant, hold_id))
    if hold is None:
        raise _missing(Thing.HOLD, hold_id)
    return _ok(shapes.hold(hold))


async def get_decision(service: Service, tenant: UUID, scope: HTTPScope) -> Answer:
    """What was decided under an idempotency key."""
    parameters = query_parameters(scope, ("key",))
    key = visible_ascii(parameters.get("key", "").encode(), KEY_LENGTH_MAX)
    if key is None:
        raise malformed("key", f"must be 1 to {KEY_LENGTH_MAX} visible ASCII characters")
    decision = await service.read(service.reader.decision(tenant, key))
    if decision is None:
        raise refusal(types.NOT_FOUND)
    return _ok(decided(key, decision, path_of(scope)))


READS: Final[Mapping[str, Read]] = {
    "getWallet": get_wallet,
    "listWallets": list_wallets,
    "listEntries": list_entries,
    "verifyWallet": verify_wallet,
    "listHolds": list_holds,
    "getTransaction": get_transaction,
    "listTransactions": list_transactions,
    "getHold": get_hold,
    "getDecision": get_decision,
}
"""By operation id."""


async def read(kind: Read, service: Service, tenant: UUID, scope: HTTPScope, receive: Receive) -> Answer:
    """Answer one read. Nobody asks for the body of a read."""
    return await kind(service, tenant, scope)


def parse_time(text: str) -> datetime | None:
    """A moment in RFC 3339; None if the text is none. Digits beyond the microsecond are cut off."""
    match = RFC_3339.fullmatch(text)
    if match is None:
        return None
    day, time, fraction, offset = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{time}{(fraction or '')[:7]}{offset.upper()}")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


async def _past_wallet(service: Service, tenant: UUID, wallet_id: UUID, parameters: Mapping[str, str]) -> Answer:
    if len(parameters) > 1:
        raise malformed("at", "must not be given together with version")
    past: PastWallet | None
    version = integer(parameters, "version", AMOUNT_MAX)
    if version is not None:
        past = await service.read(service.reader.wallet_at_version(tenant, wallet_id, version))
    else:
        at = parse_time(parameters["at"])
        if at is None:
            raise malformed("at", "must be a time of RFC 3339, such as 2026-01-31T12:00:00Z")
        past = await service.read(service.reader.wallet_at_time(tenant, wallet_id, at))
    if past is None:
        await _require_wallet(service, tenant, wallet_id)
        raise refusal(types.NOT_FOUND)
    return _ok(shapes.past_wallet(past))


async def _has_lapsed(service: Service, tenant: UUID, wallet: Wallet) -> bool:
    """Whether a hold has lapsed since the wallet's last entry.

    What is available has changed then, but nothing has written that down: the version is still the one that the client
    knows, and would pass for the wallet as it was before.
    """
    past = await service.read(service.reader.wallet_at_version(tenant, wallet.id, wallet.version))
    return past is not None and past.held != wallet.held


def _entity_tags(scope: HTTPScope) -> list[bytes]:
    """The tags of If-None-Match, which are compared weakly (RFC 9110, section 13.1.2); ``*`` stands for any."""
    value = b",".join(header_values(scope, b"if-none-match"))
    return [b"*"] if value == b"*" else ENTITY_TAG.findall(value)


async def _require_wallet(service: Service, tenant: UUID, wallet_id: UUID) -> None:
    if await service.read(service.reader.wallet(tenant, wallet_id)) is None:
        raise _missing(Thing.WALLET, wallet_id)


def _missing(thing: Thing, id: UUID) -> Refused:
    return refusal(types.OF_MISSING[thing], **{f"{thing.value}_id": str(id)})


def _one_of(parameters: Mapping[str, str], name: str, values: Callable[[str], E]) -> E | None:
    text = parameters.get(name)
    if text is None:
        return None
    try:
        return values(text)
    except ValueError:
        raise malformed(name, "is not one of the known values") from None


def _optional_id(parameters: Mapping[str, str], name: str) -> UUID | None:
    text = parameters.get(name)
    if text is None:
        return None
    id = uuid_or_none(text)
    if id is None:
        raise malformed(name, "must be a UUID of 36 characters")
    return id


def _version_in(transaction: Transaction, wallet_id: UUID) -> int:
    return next(entry.version for entry in transaction.entries if entry.wallet_id == wallet_id)


def _ok(shape: object) -> Answer:
    return Answer(200, (JSON,), shapes.encode(shape))
