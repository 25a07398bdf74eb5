"""What a unit of work loads: all that the batch names and what that entails, and nothing of anybody else's."""

import asyncio
from collections.abc import MutableMapping
from typing import cast

import attrs

from tests.support.builders import NOWHERE, A, B, C
from tests.support.ids import id_number
from tests.support.stores import World
from wallet_core import (
    Applied,
    CaptureHold,
    FenceKey,
    HoldStatus,
    Kind,
    NotFound,
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
    Thing,
    credit,
    debit,
    transfer,
)

# -------------------------------------------------------------------- copies


async def test_a_snapshot_is_a_copy(world: World) -> None:
    """Whoever spoils what was loaded, or what was written, spoils nothing of the ledger."""
    await world.open(A, B, C)
    metadata = {"a": "1"}
    opened = await world.apply(OpenWallet("k1", "EUR", metadata=metadata))
    await world.do(debit("k2", opened.id, 5))
    expected = await world.load(keys=["k1", "k2"], wallets=[opened.id], transactions=[opened.id])
    assert expected.wallets[opened.id].metadata == {"a": "1"}
    spoilt = await world.load(keys=["k1", "k2"], wallets=[opened.id], transactions=[opened.id])
    rejection = spoilt.decisions["k2"]
    assert isinstance(rejection, Rejection)
    found = await world.reader.transaction(world.tenant, opened.id)
    read = await world.reader.wallet(world.tenant, opened.id)
    assert found is not None
    assert read is not None
    expected_text = repr(attrs.evolve(expected, now=spoilt.now))
    for mapping in (
        metadata,
        opened.metadata,
        found.metadata,
        read.metadata,
        spoilt.wallets[opened.id].metadata,
        spoilt.transactions[opened.id].metadata,
        rejection.details,
        spoilt.wallets,
        spoilt.transactions,
        spoilt.decisions,
    ):
        cast(MutableMapping[str, object], mapping).clear()
    now = await world.load(keys=["k1", "k2"], wallets=[opened.id], transactions=[opened.id])
    assert repr(attrs.evolve(now, now=spoilt.now)) == expected_text


# -------------------------------------------------------------------- what is loaded with what is named


async def test_nothing_is_loaded_that_is_not_there(world: World) -> None:
    await world.open(A, B, C)
    snapshot = await world.load(keys=["none"], wallets=[A, NOWHERE], holds=[NOWHERE], transactions=[NOWHERE])
    assert set(snapshot.wallets) == {A}
    assert not any((snapshot.holds, snapshot.transactions, snapshot.reversed, snapshot.decisions))


async def test_a_named_hold_comes_with_its_wallet_and_its_destination(world: World) -> None:
    await world.open(A, B, C)
    one = await world.apply(PlaceHold("k1", A, 5, destination=B))
    two = await world.apply(PlaceHold("k2", C, 5))
    snapshot = await world.load(holds=[one.id])
    assert (set(snapshot.holds), set(snapshot.wallets)) == ({one.id}, {A, B})
    snapshot = await world.load(holds=[one.id, two.id], wallets=[C])
    assert (set(snapshot.holds), set(snapshot.wallets)) == ({one.id, two.id}, {A, B, C})


async def test_a_named_transaction_comes_with_every_wallet_it_touched(world: World) -> None:
    await world.open(A, B, C)
    moved = await world.apply(Post("k1", [Posting(A, B, 1), Posting(None, B, 1)]))
    snapshot = await world.load(transactions=[moved.id])
    assert (set(snapshot.transactions), set(snapshot.wallets), snapshot.reversed) == ({moved.id}, {A, B}, set())
    await world.apply(Reverse("k2", moved.id))
    assert (await world.load(transactions=[moved.id])).reversed == {moved.id}


async def test_a_wallet_comes_with_its_due_holds_and_they_expire_with_the_next_write(world: World) -> None:
    await world.open(A, B, C)
    then = world.an_hour_ago
    due = [(await then.apply(PlaceHold(f"due-{number}", A, 10, expires_in_s=number))).id for number in (1, 2, 3)]
    await then.apply(PlaceHold("later", A, 10, expires_in_s=7200))
    await then.apply(PlaceHold("for-ever", A, 10))
    for_b = await then.apply(PlaceHold("for-b", B, 10, expires_in_s=1, destination=A))
    snapshot = await world.load(wallets=[A])
    assert {hold.id for hold in snapshot.holds.values() if hold.is_due(snapshot.now)} == set(due)
    assert for_b.id not in snapshot.holds
    assert snapshot.wallets[A].held == 50
    spent = await world.apply(debit("spend", A, 80))
    assert [(entry.version, entry.held_after) for entry in spent.entries] == [(snapshot.wallets[A].version + 4, 20)]
    entries = await world.reader.entries(world.tenant, A, before=None, limit=4)
    assert [record.kind for record in entries[::-1]] == [Kind.EXPIRY, Kind.EXPIRY, Kind.EXPIRY, Kind.POST]
    again = await world.load(wallets=[A], holds=due)
    assert {again.holds[id].status for id in due} == {HoldStatus.EXPIRED}
    assert again.wallets[A].held == 20


async def test_due_holds_come_also_with_wallets_that_are_not_named_themselves(world: World) -> None:
    await world.open(A, B, C)
    then = world.an_hour_ago
    moved = await then.apply(transfer("move", A, B, 1))
    due = {(await then.apply(PlaceHold(f"due-{id}", id, 10, expires_in_s=1))).id for id in (A, B)}
    other = await then.apply(PlaceHold("other", C, 1, destination=B))
    assert due <= set((await world.load(transactions=[moved.id])).holds)
    assert due & set((await world.load(holds=[other.id])).holds)


async def test_a_hold_expires_by_the_clock_of_the_store(world: World) -> None:
    await world.open(A, balance=10)
    held = await world.apply(PlaceHold("hold", A, 10, expires_in_s=1))
    assert held.hold is not None
    assert held.hold.expires_at is not None
    (too_early,) = await world.do(debit("early", A, 1))
    assert isinstance(too_early, Rejected)
    await asyncio.sleep(1.05)
    assert (await world.load()).now > held.hold.expires_at
    shown = await world.reader.hold(world.tenant, held.id)
    assert shown is not None
    assert shown.status is HoldStatus.EXPIRED
    captured, spent = await world.do(CaptureHold("capture", held.id), debit("late", A, 10))
    assert isinstance(captured, Rejected)
    assert captured.reason is Reason.HOLD_NOT_ACTIVE
    assert isinstance(spent, Applied)


# -------------------------------------------------------------------- tenants


async def test_nothing_of_another_tenant_exists(world: World) -> None:
    await world.open(A, B, C)
    moved = await world.apply(transfer("k", A, B, 5))
    held = await world.apply(PlaceHold("hold", A, 5))
    snapshot = await world.load(
        keys=["k"], wallets=[A, B], holds=[held.id], transactions=[moved.id], tenant=world.other_tenant
    )
    assert not any((snapshot.wallets, snapshot.holds, snapshot.transactions, snapshot.reversed, snapshot.decisions))
    outcomes = await world.do(
        credit("k", A, 5),
        CaptureHold("c", held.id),
        ReleaseHold("r", held.id),
        Reverse("v", moved.id),
        tenant=world.other_tenant,
    )
    assert list(outcomes) == [
        NotFound(Thing.WALLET, A),
        NotFound(Thing.HOLD, held.id),
        NotFound(Thing.HOLD, held.id),
        NotFound(Thing.TRANSACTION, moved.id),
    ]


# -------------------------------------------------------------------- size


async def test_a_batch_may_have_a_thousand_commands_of_every_kind(world: World) -> None:
    await world.open(A, B, C)
    wallets = [id_number(10_000 + number) for number in range(200)]
    outcomes = await world.do(
        *(OpenWallet(f"open-{number}", "EUR", id=id) for number, id in enumerate(wallets)),
        *(credit(f"credit-{number}", id, 10 + number) for number, id in enumerate(wallets)),
        *(transfer(f"transfer-{number}", id, A, 5) for number, id in enumerate(wallets)),
        *(PlaceHold(f"hold-{number}", id, 5, destination=A) for number, id in enumerate(wallets)),
        *(FenceKey(f"fence-{number}") for number in range(100)),
        *(debit(f"too-much-{number}", id, 1_000) for number, id in enumerate(wallets[:100])),
    )
    assert len(outcomes) == 1000
    holds = [
        outcome.transaction.id
        for outcome in outcomes
        if isinstance(outcome, Applied) and outcome.transaction.kind is Kind.HOLD
    ]
    captured = await world.do(*(CaptureHold(f"capture-{id}", id) for id in holds))
    assert [type(outcome) for outcome in captured] == [Applied] * 200
    wallet = (await world.load(wallets=[A])).wallets[A]
    assert (wallet.balance, wallet.version) == (100 + 400 * 5, 402)
    again = await world.do(*(credit(f"credit-{number}", id, 10 + number) for number, id in enumerate(wallets)))
    assert [outcome.decision for outcome in again if isinstance(outcome, Replayed)] == [
        outcome.transaction for outcome in outcomes[200:400] if isinstance(outcome, Applied)
    ]
