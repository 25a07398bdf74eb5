"""Lists: in pages from the newest on, and stable while others write."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

import pytest

from tests.support.builders import NOWHERE, A, B, C
from tests.support.ids import id_number
from tests.support.stores import World
from wallet_core import (
    CaptureHold,
    ChangeWallet,
    Kind,
    OpenWallet,
    PlaceHold,
    ReleaseHold,
    Reverse,
    Transaction,
    WalletStatus,
    credit,
    debit,
    transfer,
)

OF_READERS = True
"""These tests are about what a reader tells, wherever it has it from."""

MANY = [id_number(number) for number in range(500, 525)]

Cursor = TypeVar("Cursor")


async def pages(
    read: Callable[[Cursor | None], Awaitable[Sequence[Cursor]]], during: Callable[[], Awaitable[object]] | None = None
) -> list[Cursor]:
    """The cursors of all items, page by page; ``during`` is what happens between two pages."""
    found: list[Cursor] = []
    while page := await read(found[-1] if found else None):
        found += page
        if during is not None:
            await during()
    return found


@pytest.mark.parametrize("limit", [1, 7, 25, 100])
async def test_wallets_are_listed_by_id_descending(world: World, limit: int) -> None:
    await world.open(*MANY)

    async def page(before: UUID | None) -> list[UUID]:
        found = await world.reader.wallets(world.tenant, before=before, limit=limit, currency=None, status=None)
        assert len(found) <= limit
        for wallet in found:
            assert wallet == await world.reader.wallet(world.tenant, wallet.id)
        return [wallet.id for wallet in found]

    assert await pages(page) == MANY[::-1]


async def test_wallets_are_filtered_by_currency_and_status(world: World) -> None:
    await world.do(
        OpenWallet("k1", "EUR", id=A),
        OpenWallet("k2", "USD", id=B),
        OpenWallet("k3", "EUR", id=C),
        ChangeWallet("k4", A, WalletStatus.FROZEN),
        ChangeWallet("k5", B, WalletStatus.CLOSED),
    )

    async def ids(
        currency: str | None, status: WalletStatus | None, before: UUID | None = None, limit: int = 9
    ) -> list[UUID]:
        found = await world.reader.wallets(world.tenant, before=before, limit=limit, currency=currency, status=status)
        return [wallet.id for wallet in found]

    assert await ids(None, None) == [C, B, A]
    assert await ids("EUR", None) == [C, A]
    assert await ids("EUR", None, limit=1) == [C]
    assert await ids("EUR", None, before=C) == [A]
    assert await ids(None, WalletStatus.FROZEN) == [A]
    assert await ids("EUR", WalletStatus.FROZEN) == [A]
    assert await ids("USD", WalletStatus.CLOSED) == [B]
    assert await ids("USD", WalletStatus.ACTIVE) == []
    assert await ids("XXX", None) == []


@pytest.mark.parametrize("limit", [1, 4, 100])
async def test_entries_are_listed_by_version_descending_and_stay_so_while_others_write(
    world: World, limit: int
) -> None:
    """What is written between two pages is newer than both: it appears in neither, and pushes nothing over the edge."""
    await world.open(A)
    written = [await world.apply(credit(f"k{number}", A, 1)) for number in range(10)]
    more = 0

    async def write() -> None:
        nonlocal more
        more += 1
        await world.apply(credit(f"more-{more}", A, 1))

    async def page(before: int | None) -> list[int]:
        found = await world.reader.entries(world.tenant, A, before=before, limit=limit)
        assert len(found) <= limit
        return [record.entry.version for record in found]

    assert await pages(page, write) == list(range(12, 0, -1))
    records = await world.reader.entries(world.tenant, A, before=13, limit=10)
    assert [record.entry for record in records] == [transaction.entries[0] for transaction in written[::-1]]
    assert [(record.transaction_id, record.kind, record.created_at) for record in records] == [
        (transaction.id, transaction.kind, transaction.created_at) for transaction in written[::-1]
    ]


@pytest.mark.parametrize("limit", [1, 4, 100])
async def test_transactions_are_listed_newest_first_and_stay_so_while_others_write(world: World, limit: int) -> None:
    await world.do(OpenWallet("open", "EUR", id=A))
    written = [await world.apply(credit(f"k{number}", A, 1)) for number in range(10)]
    await world.do(debit("rejected", A, 99), transfer("not-found", A, NOWHERE, 1))
    more = 0

    async def write() -> None:
        nonlocal more
        more += 1
        await world.apply(debit(f"more-{more}", A, 1))

    async def page(before: UUID | None) -> list[UUID]:
        found = await world.reader.transactions(world.tenant, before=before, limit=limit, kind=Kind.POST)
        assert [transaction.kind for transaction in found] == [Kind.POST] * len(found)
        return [transaction.id for transaction in found]

    assert await pages(page, write) == [transaction.id for transaction in written[::-1]]
    everything = await world.reader.transactions(world.tenant, before=None, limit=99, kind=None)
    assert list(everything[-11:-1]) == written[::-1]
    assert everything[-1].kind is Kind.OPEN
    assert len(await world.reader.transactions(world.tenant, before=None, limit=99, kind=Kind.OPEN)) == 1


async def all_kinds(world: World) -> list[Transaction]:
    """Transactions of every kind, each of which touches wallet A, in the order of its versions."""
    then = world.an_hour_ago
    await world.open(B)
    return [
        await then.apply(OpenWallet("k1", "EUR", id=A)),
        await then.apply(transfer("k2", B, A, 50)),
        await then.apply(PlaceHold("k3", A, 5, expires_in_s=60)),
        held := await then.apply(PlaceHold("k4", A, 5, destination=B)),
        captured := await then.apply(CaptureHold("k5", held.id, 2, final=False)),
        await then.apply(ReleaseHold("k6", held.id)),
        await then.apply(Reverse("k7", captured.id)),
        await world.apply(ChangeWallet("k8", A, floor=-1)),
    ]


@pytest.mark.parametrize("limit", [1, 4, 100])
async def test_the_transactions_of_a_wallet_are_listed_by_its_versions_descending(world: World, limit: int) -> None:
    written = await all_kinds(world)
    found: list[Transaction] = []
    before: int | None = None
    while page := await world.reader.wallet_transactions(world.tenant, A, before=before, limit=limit, kind=None):
        found += page
        before = next(entry.version for entry in page[-1].entries if entry.wallet_id == A)
    expiry = found.pop(1)
    assert expiry.kind is Kind.EXPIRY
    assert found == written[::-1]
    assert {transaction.kind for transaction in (expiry, *found)} == set(Kind)


@pytest.mark.parametrize("kind", Kind)
async def test_the_transactions_of_a_wallet_are_filtered_by_kind(world: World, kind: Kind) -> None:
    await all_kinds(world)
    read = world.reader.wallet_transactions
    everything = await read(world.tenant, A, before=None, limit=99, kind=None)
    expected = [transaction for transaction in everything if transaction.kind is kind]
    assert list(await read(world.tenant, A, before=None, limit=99, kind=kind)) == expected
    assert expected
    (*_, oldest) = expected
    version = next(entry.version for entry in oldest.entries if entry.wallet_id == A)
    assert list(await read(world.tenant, A, before=version, limit=99, kind=kind)) == []
    assert list(await read(world.tenant, A, before=version + 1, limit=1, kind=kind)) == [oldest]
    of_tenant = await world.reader.transactions(world.tenant, before=None, limit=99, kind=kind)
    assert {transaction.id for transaction in expected} <= {transaction.id for transaction in of_tenant}


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_the_holds_of_a_wallet_are_listed_newest_first(world: World, limit: int) -> None:
    await world.open(A, B)
    placed = [(await world.apply(PlaceHold(f"k{number}", A, 1, destination=B))).hold for number in range(8)]
    await world.do(PlaceHold("other", B, 1))

    async def page(before: UUID | None) -> list[UUID]:
        return [hold.id for hold in await world.reader.holds(world.tenant, A, before=before, limit=limit)]

    assert await pages(page) == [hold.id for hold in placed[::-1] if hold is not None]
