"""Reads of one thing: what is committed, as of now and as of then."""

from datetime import timedelta

from tests.support.builders import NOWHERE, A, B
from tests.support.stores import World
from wallet_core import (
    CaptureHold,
    ChangeWallet,
    HoldStatus,
    Kind,
    OpenWallet,
    PlaceHold,
    credit,
    debit,
    transfer,
)
from wallet_core.ports import PastWallet

OF_READERS = True
"""These tests are about what a reader tells, wherever it has it from."""

# -------------------------------------------------------------------- single things


async def test_what_is_not_there_is_none_or_an_empty_page(world: World) -> None:
    reader, tenant = world.reader, world.tenant
    await reader.ready()
    assert await reader.wallet(tenant, NOWHERE) is None
    assert await reader.wallet_at_version(tenant, NOWHERE, 1) is None
    assert await reader.wallet_at_time(tenant, NOWHERE, (await world.load()).now) is None
    assert await reader.transaction(tenant, NOWHERE) is None
    assert await reader.hold(tenant, NOWHERE) is None
    assert await reader.decision(tenant, "none") is None
    assert list(await reader.wallets(tenant, before=None, limit=9, currency=None, status=None)) == []
    assert list(await reader.entries(tenant, NOWHERE, before=None, limit=9)) == []
    assert list(await reader.transactions(tenant, before=None, limit=9, kind=None)) == []
    assert list(await reader.wallet_transactions(tenant, NOWHERE, before=None, limit=9, kind=None)) == []
    assert list(await reader.holds(tenant, NOWHERE, before=None, limit=9)) == []


async def test_nothing_of_another_tenant_is_read(world: World) -> None:
    await world.open(A, B)
    moved = await world.apply(transfer("k", A, B, 1))
    held = await world.apply(PlaceHold("hold", A, 5))
    reader, other = world.reader, world.other_tenant
    assert await reader.wallet(other, A) is None
    assert await reader.wallet_at_version(other, A, 1) is None
    assert await reader.wallet_at_time(other, A, moved.created_at) is None
    assert await reader.transaction(other, moved.id) is None
    assert await reader.hold(other, held.id) is None
    assert await reader.decision(other, "k") is None
    assert not await reader.wallets(other, before=None, limit=9, currency=None, status=None)
    assert not await reader.entries(other, A, before=None, limit=9)
    assert not await reader.transactions(other, before=None, limit=9, kind=None)
    assert not await reader.wallet_transactions(other, A, before=None, limit=9, kind=None)
    assert not await reader.holds(other, A, before=None, limit=9)


async def test_of_two_tenants_with_the_same_ids_and_keys_each_reads_its_own(world: World) -> None:
    for tenant, amount in ((world.tenant, 1), (world.other_tenant, 2)):
        await world.do(
            OpenWallet("open", "EUR", id=A), credit("fund", A, amount), PlaceHold("hold", A, 1), tenant=tenant
        )
    for tenant, amount in ((world.tenant, 1), (world.other_tenant, 2)):
        wallet = await world.reader.wallet(tenant, A)
        assert wallet is not None
        assert (wallet.balance, wallet.version, wallet.held) == (amount, 3, 1)
        entries = await world.reader.entries(tenant, A, before=None, limit=9)
        assert [record.entry.balance_after for record in entries] == [amount, amount, 0]
        (fund,) = await world.reader.wallet_transactions(tenant, A, before=None, limit=9, kind=Kind.POST)
        assert [move.amount for move in fund.moves] == [amount]
        assert await world.reader.decision(tenant, "fund") == fund
        assert len(await world.reader.transactions(tenant, before=None, limit=9, kind=None)) == 3


# -------------------------------------------------------------------- a wallet as it was


async def test_a_wallet_as_each_of_its_versions_left_it(world: World) -> None:
    await world.open(A, balance=10)
    written = [
        await world.apply(debit("k1", A, 3)),
        await world.apply(PlaceHold("k2", A, 4)),
        await world.apply(ChangeWallet("k3", A, floor=-5)),
    ]
    wallet = await world.reader.wallet(world.tenant, A)
    assert wallet is not None
    expected = [(0, 0), (10, 0), (7, 0), (7, 4), (7, 4)]
    for version, (balance, held) in enumerate(expected, start=1):
        past = await world.reader.wallet_at_version(world.tenant, A, version)
        assert past is not None
        assert (past.id, past.currency, past.version, past.balance, past.held) == (A, "EUR", version, balance, held)
    last = await world.reader.wallet_at_version(world.tenant, A, 5)
    assert last == PastWallet(A, wallet.currency, 7, 4, 5, written[-1].created_at)
    for version in (-1, 0, 6, 2**53):
        assert await world.reader.wallet_at_version(world.tenant, A, version) is None


async def test_a_wallet_as_of_a_time_is_as_its_last_entry_until_then_left_it(world: World) -> None:
    await world.open(A, balance=10)
    for number in range(5):
        await world.do(credit(f"k{number}-1", A, 1), credit(f"k{number}-2", A, 1))
    records = (await world.reader.entries(world.tenant, A, before=None, limit=99))[::-1]
    assert len(records) == 12
    microsecond = timedelta(microseconds=1)
    at_time = world.reader.wallet_at_time
    for record in records:
        last = [other for other in records if other.created_at <= record.created_at][-1]
        for at in (record.created_at, record.created_at + microsecond):
            past = await at_time(world.tenant, A, at)
            assert past is not None
            assert (past.version, past.balance, past.at) == (
                last.entry.version,
                last.entry.balance_after,
                last.created_at,
            )
        before = [other for other in records if other.created_at < record.created_at]
        past = await at_time(world.tenant, A, record.created_at - microsecond)
        assert (past.version if past else None) == (before[-1].entry.version if before else None)
    now = await at_time(world.tenant, A, records[-1].created_at + timedelta(days=1))
    assert now is not None
    assert now.version == 12
    assert await at_time(world.tenant, A, records[0].created_at - timedelta(days=1)) is None


# -------------------------------------------------------------------- what has lapsed


async def test_what_has_lapsed_is_shown_as_expired_before_and_after_it_is_written_down(world: World) -> None:
    await world.open(A, B, balance=100)
    then = world.an_hour_ago
    lapsed = await then.apply(PlaceHold("lapsed", A, 10, expires_in_s=60))
    partly = await then.apply(PlaceHold("partly", A, 20, expires_in_s=60))
    await then.apply(CaptureHold("part", partly.id, 5, final=False))
    active = await world.apply(PlaceHold("active", A, 7, expires_in_s=3600))
    # Placing that one wrote down what had lapsed on wallet A. Nothing writes to wallet B any more.
    unwritten = await then.apply(PlaceHold("unwritten", B, 30, expires_in_s=60))
    captured = await then.apply(PlaceHold("captured", B, 9, expires_in_s=60))
    await then.apply(CaptureHold("all", captured.id))
    reader, tenant = world.reader, world.tenant

    written = await reader.wallet(tenant, A)
    shown = await reader.wallet(tenant, B)
    assert written is not None
    assert shown is not None
    assert (written.held, shown.held) == (7, 0)
    assert (shown.available, shown.balance) == (91, 91)
    raw = (await world.load(wallets=[B])).wallets[B]
    assert (raw.held, raw.version) == (30, shown.version), "nothing has been written down"
    listed = {
        wallet.id: wallet for wallet in await reader.wallets(tenant, before=None, limit=9, currency=None, status=None)
    }
    assert listed == {A: written, B: shown}

    statuses = {
        lapsed.id: HoldStatus.EXPIRED,
        partly.id: HoldStatus.EXPIRED,
        active.id: HoldStatus.ACTIVE,
        unwritten.id: HoldStatus.EXPIRED,
        captured.id: HoldStatus.CAPTURED,
    }
    for id, status in statuses.items():
        hold = await reader.hold(tenant, id)
        assert hold is not None
        assert hold.status is status
        of_wallet = await reader.holds(tenant, hold.wallet_id, before=None, limit=9)
        assert hold in of_wallet
        assert hold.remaining == (7 if id == active.id else 0)
    part = await reader.hold(tenant, partly.id)
    assert part is not None
    assert part.captured == 5


async def test_a_receipt_never_changes_not_even_that_of_a_hold_that_has_lapsed(world: World) -> None:
    await world.open(A)
    placed = await world.an_hour_ago.apply(PlaceHold("k", A, 10, expires_in_s=60))
    await world.do(credit("k2", A, 1))
    assert await world.reader.transaction(world.tenant, placed.id) == placed
    assert placed.hold is not None
    assert placed.hold.status is HoldStatus.ACTIVE
