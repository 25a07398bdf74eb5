"""Events: every applied transaction of a tenant once, in one order, in which each wallet's versions ascend."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

import pytest

from tests.support.builders import A, B, C
from tests.support.stores import World
from wallet_core import (
    FenceKey,
    OpenWallet,
    PlaceHold,
    Transaction,
    credit,
    debit,
    transfer,
)
from wallet_core.events import BadCursor

OF_READERS = True
"""These tests are about what a reader tells, wherever it has it from."""


async def transactions(world: World, limit: int = 500) -> list[Transaction]:
    """All that is told, page by page."""
    found: list[Transaction] = []
    page = await world.told(limit=limit)
    while page.items:
        assert len(page.items) <= limit
        assert page.next_cursor == page.items[-1].cursor
        found += [event.transaction for event in page.items]
        page = await world.told(page.next_cursor, limit)
    return found


def assert_versions_ascend(told: Sequence[Transaction]) -> None:
    versions: defaultdict[UUID, list[int]] = defaultdict(list)
    for transaction in told:
        for entry in transaction.entries:
            versions[entry.wallet_id].append(entry.version)
    for found in versions.values():
        assert found == list(range(1, len(found) + 1))


@pytest.mark.parametrize("limit", [1, 3, 500])
async def test_what_was_applied_is_told_once_in_the_order_of_versions(world: World, limit: int) -> None:
    await world.open(A, B)
    await world.do(*(credit(f"c{number}", A, 1) for number in range(4)), transfer("t", A, B, 2))
    await world.do(debit("d", B, 1))
    told = await transactions(world, limit)
    assert [transaction.key for transaction in told[-6:]] == ["c0", "c1", "c2", "c3", "t", "d"]
    assert_versions_ascend(told)
    for transaction in told:
        assert transaction == await world.reader.transaction(world.tenant, transaction.id)


async def test_refusals_fences_and_replays_are_no_events(world: World) -> None:
    await world.open(A)
    before = await transactions(world)
    await world.do(debit("too-much", A, 1_000), FenceKey("fenced"), credit(f"fund-{A}", A, 100))
    assert await transactions(world) == before


async def test_a_hold_lapses_before_what_comes_after_it_on_the_wallet(world: World) -> None:
    await world.open(A, B)
    await world.an_hour_ago.do(
        PlaceHold("first", A, 1, expires_in_s=60),
        PlaceHold("second", A, 1, expires_in_s=60),
        PlaceHold("other", B, 1, expires_in_s=60),
    )
    before = await transactions(world)
    await world.do(credit("a", A, 1), credit("a2", A, 1), transfer("t", A, B, 1), OpenWallet("open-c", "EUR", id=C))
    told = await transactions(world)
    # Where they were written by one statement nothing else tells which was decided first.
    ids = [transaction.id for transaction in told[len(before) :]]
    assert ids == sorted(ids)
    assert sum(transaction.key.startswith("expiry ") for transaction in told) == 3
    assert_versions_ascend(told)


async def test_racing_batches_are_told_in_the_order_of_each_wallets_versions(world: World) -> None:
    await world.open(A, B, C, balance=1_000)
    pairs = [(A, B), (B, C), (C, A), (A, C)]
    for number in range(5):
        await asyncio.gather(*(world.do(transfer(f"{number}-{n}", a, b, 1)) for n, (a, b) in enumerate(pairs)))
    told = await transactions(world)
    assert len(told) == 6 + 20
    assert_versions_ascend(told)


async def test_a_cursor_of_nothing_leads_to_what_comes(world: World) -> None:
    nothing = await world.told()
    assert not nothing.items
    await world.open(A, balance=0)
    (event,) = (await world.told(nothing.next_cursor)).items
    again = await world.told(event.cursor)
    assert (list(again.items), again.next_cursor) == ([], event.cursor)


async def test_from_now_on_nothing_of_before_is_told(world: World) -> None:
    await world.open(A)
    assert world.events is not None
    now = await world.events.now(world.tenant)
    assert not (await world.told(now)).items
    new = await world.apply(credit("new", A, 1))
    assert [event.transaction for event in (await world.told(now)).items] == [new]


async def test_nothing_of_another_tenant_is_told(world: World) -> None:
    await world.open(A)
    cursor = (await world.told()).next_cursor
    assert not (await world.told(tenant=world.other_tenant)).items
    with pytest.raises(BadCursor):
        await world.told(cursor, tenant=world.other_tenant)


@pytest.mark.parametrize("made", ["", "x", "a.b", "9" * 48, "é", "{}x", "x{}", "{}="])
async def test_a_cursor_that_was_not_given_out_is_none(world: World, made: str) -> None:
    await world.open(A)
    with pytest.raises(BadCursor):
        await world.told(made.format((await world.told()).next_cursor))
