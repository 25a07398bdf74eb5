"""What is written is what is read: to the byte, the microsecond and the order of members."""

from typing import cast

import attrs
import pytest

from tests.core.reason_rows import ROWS
from tests.support.builders import A, B, C, outcome_of
from tests.support.ids import id_number
from tests.support.stores import World
from wallet_core import (
    AMOUNT_MAX,
    Applied,
    CaptureHold,
    ChangeWallet,
    Command,
    Fenced,
    FenceKey,
    HoldStatus,
    Kind,
    NewCeiling,
    OpenWallet,
    PlaceHold,
    Post,
    Posting,
    Reason,
    Rejected,
    Rejection,
    ReleaseHold,
    Replayed,
    Reverse,
    Transaction,
    WalletStatus,
    credit,
    debit,
    transfer,
)
from wallet_core.ports import Changes

OF_LEDGERS = True
"""These tests are about what a ledger answers, which a cache in front of it must not change."""

STRANGE = {
    "quotes": "\"'`\\/",
    "\U0001f600 beyond the basic plane": "\U0001f4b6\U0010ffff",
    "\ufb33": "\u2028\u2029\ufeff",
    "controls": "\x01\b\t\n\f\r\x1f\x7f",
    "": "",
    "sql": "'; DROP TABLE wallets; -- $1 :tenant %s {}",
    "json": '{"a": [1, null]}',
}


async def test_every_kind_of_transaction_comes_back_exactly_as_it_was_decided(world: World) -> None:
    then = world.an_hour_ago
    await world.open(A, B, C)
    decided: list[Transaction] = [
        await then.apply(OpenWallet("open", "X9Z", floor=-AMOUNT_MAX, ceiling=AMOUNT_MAX, metadata=STRANGE)),
        await then.apply(credit("credit", A, 5, metadata=STRANGE)),
        await then.apply(debit("debit", A, 5)),
        await then.apply(Post("post", [Posting(A, B, 1), Posting(B, C, 2), Posting(None, A, 3), Posting(A, C, 4)])),
        held := await then.apply(PlaceHold("hold", A, 9, destination=B, metadata=STRANGE)),
        due := await then.apply(PlaceHold("due", C, 7, expires_in_s=60)),
        await then.apply(CaptureHold("capture-part", held.id, 2, final=False)),
        captured := await then.apply(CaptureHold("capture", held.id)),
        await then.apply(ReleaseHold("release", (await then.apply(PlaceHold("hold-2", A, 9))).id)),
        await then.apply(Reverse("reverse", captured.id, metadata=STRANGE)),
        await then.apply(ChangeWallet("change", A, WalletStatus.FROZEN, -5, NewCeiling(1000), metadata=STRANGE)),
        await then.apply(ChangeWallet("no-ceiling", A, ceiling=NewCeiling(None))),
        await world.apply(credit("after", C, 1)),
    ]
    keys = [transaction.key for transaction in decided]
    snapshot = await world.load(keys=keys, transactions=[transaction.id for transaction in decided])
    assert snapshot.decisions == {transaction.key: transaction for transaction in decided}
    assert snapshot.transactions == {transaction.id: transaction for transaction in decided}
    assert snapshot.reversed == {captured.id}
    for transaction in decided:
        assert await world.reader.transaction(world.tenant, transaction.id) == transaction
        assert await world.reader.decision(world.tenant, transaction.key) == transaction
    expiry = await world.reader.decision(world.tenant, f"expiry {due.id}")
    assert isinstance(expiry, Transaction)
    assert expiry.kind is Kind.EXPIRY
    assert {transaction.kind for transaction in (*decided, expiry)} == set(Kind)


async def test_a_wallet_comes_back_exactly_as_it_was_decided(world: World) -> None:
    await world.do(
        OpenWallet("k1", "ABCDEFGHIJKL", id=A, floor=-AMOUNT_MAX, ceiling=AMOUNT_MAX, metadata=STRANGE),
        credit("k2", A, AMOUNT_MAX),
        PlaceHold("k3", A, AMOUNT_MAX),
    )
    wallet = (await world.load(wallets=[A])).wallets[A]
    assert (wallet.balance, wallet.held, wallet.floor, wallet.ceiling) == (
        AMOUNT_MAX,
        AMOUNT_MAX,
        -AMOUNT_MAX,
        AMOUNT_MAX,
    )
    assert (wallet.currency, wallet.status, wallet.version) == ("ABCDEFGHIJKL", WalletStatus.ACTIVE, 3)
    assert wallet.metadata == STRANGE
    (last,) = await world.reader.entries(world.tenant, A, before=None, limit=1)
    assert (wallet.head, wallet.updated_at) == (last.entry.hash, last.created_at)
    assert await world.reader.wallet(world.tenant, A) == wallet
    change = await world.apply(ChangeWallet("k4", A, WalletStatus.FROZEN, 0, NewCeiling(None), {}))
    changed = (await world.load(wallets=[A])).wallets[A]
    assert changed == attrs.evolve(
        wallet,
        status=WalletStatus.FROZEN,
        floor=0,
        ceiling=None,
        metadata={},
        version=4,
        updated_at=change.created_at,
        head=change.entries[0].hash,
    )


async def test_a_hold_comes_back_in_every_state_exactly_as_it_was_decided(world: World) -> None:
    await world.open(A, B, C)
    then = world.an_hour_ago
    ids = [
        (await then.apply(PlaceHold(f"hold-{number}", A, 10, destination=B, expires_in_s=seconds))).id
        for number, seconds in enumerate((None, 7200, None, None, 60))
    ]
    last = [
        (await then.apply(CaptureHold("part", ids[1], 3, final=False))).hold,
        (await then.apply(CaptureHold("all", ids[2], 4))).hold,
        (await then.apply(ReleaseHold("release", ids[3]))).hold,
    ]
    await world.apply(credit("after", A, 1))
    expiry = await world.reader.decision(world.tenant, f"expiry {ids[4]}")
    assert isinstance(expiry, Transaction)
    placed = await world.reader.decision(world.tenant, "hold-0")
    assert isinstance(placed, Transaction)
    expected = {hold.id: hold for hold in (placed.hold, *last, expiry.hold) if hold is not None}
    assert (await world.load(holds=ids)).holds == expected
    assert [expected[id].status for id in ids] == [
        HoldStatus.ACTIVE,
        HoldStatus.ACTIVE,
        HoldStatus.CAPTURED,
        HoldStatus.RELEASED,
        HoldStatus.EXPIRED,
    ]
    for id in ids:
        assert await world.reader.hold(world.tenant, id) == expected[id]


async def test_a_rejection_for_every_reason_comes_back_exactly_as_it_was_decided(world: World) -> None:
    rejections: list[Rejection] = []
    for number, row in enumerate(ROWS):
        outcome = outcome_of(row.given, row.command)
        assert isinstance(outcome, Rejected)
        rejections.append(attrs.evolve(outcome.rejection, id=id_number(5000 + number), key=f"row-{number}"))
    async with world.store.begin(world.tenant) as unit:
        await unit.append(Changes(rejections, [], [], [], []))
        await unit.commit()
    loaded = (await world.load(keys=[rejection.key for rejection in rejections])).decisions
    assert loaded == {rejection.key: rejection for rejection in rejections}
    for rejection in rejections:
        found = loaded[rejection.key]
        assert isinstance(found, Rejection)
        assert list(found.details.items()) == list(rejection.details.items())
        assert await world.reader.decision(world.tenant, rejection.key) == rejection
        assert await world.reader.transaction(world.tenant, rejection.id) is None
    assert {rejection.reason for rejection in rejections} == set(Reason)
    assert not (await world.load(transactions=[rejection.id for rejection in rejections])).transactions


async def test_a_fence_comes_back_exactly_as_it_was_decided(world: World) -> None:
    (fenced,) = await world.do(FenceKey("k"))
    assert isinstance(fenced, Fenced)
    assert (await world.load(keys=["k"])).decisions == {"k": fenced.fence}
    assert await world.reader.decision(world.tenant, "k") == fenced.fence
    assert await world.reader.transaction(world.tenant, fenced.fence.id) is None
    assert list(await world.do(FenceKey("k"))) == [fenced]


@pytest.mark.parametrize("key", ["!", "~" * 255, "';--", '"k"', "%s", "$1", ":tenant", "\\", "{}", "NULL"])
async def test_a_key_may_be_any_that_a_command_may_have(world: World, key: str) -> None:
    await world.open(A, B, C)
    applied = await world.apply(credit(key, A, 1))
    assert applied.key == key
    assert list(await world.do(credit(key, A, 1))) == [Replayed(applied)]


async def test_a_replay_is_the_receipt_of_the_first_time(world: World) -> None:
    await world.open(A, B, C)
    batch: list[Command] = [transfer("k1", A, B, 5, metadata=STRANGE), debit("k2", A, 999), PlaceHold("k3", A, 5)]
    first = await world.do(*batch)
    for again in (await world.do(*batch), (await world.do(*batch[::-1]))[::-1]):
        assert [outcome.decision for outcome in again if isinstance(outcome, Replayed)] == [
            outcome.transaction if isinstance(outcome, Applied) else cast(Rejected, outcome).rejection
            for outcome in first
        ]


async def test_metadata_has_one_order_when_it_is_first_told_and_when_it_is_read_again(world: World) -> None:
    """An answer is bytes: members in the client's order first, and in the stored order later, would be two answers."""
    await world.open(A, B)
    unsorted = {"z": "1", "a": "2", "m": "3"}
    for command in (
        OpenWallet("open-unsorted", "EUR", metadata=unsorted),
        credit("credit", A, 5, metadata=unsorted),
        PlaceHold("hold", A, 1, metadata=unsorted),
        ChangeWallet("change", A, metadata=unsorted),
    ):
        first = await world.apply(command)
        [again] = await world.do(command)
        assert isinstance(again, Replayed)
        assert isinstance(again.decision, Transaction)
        assert list(again.decision.metadata.items()) == list(first.metadata.items()) == sorted(unsorted.items())
