"""What may happen only so often, or only so far, however many try at once (G8)."""

import time
from collections import Counter
from uuid import uuid4

import pytest

from tests.concurrency.arena import Arena
from tests.concurrency.broken import NO_UNIQUE_VERSION, SLOW_ROWS, UnguardedStore
from tests.concurrency.conftest import NewArena
from tests.concurrency.violations import Violation
from wallet_core import (
    Applied,
    CaptureHold,
    Kind,
    OpenWallet,
    PlaceHold,
    Reason,
    Rejected,
    Reverse,
    WalletExists,
    credit,
    debit,
    transfer,
)

RACERS = 24


def racing_debits(arena: Arena) -> None:
    """More debits than the balance and the overdraft can bear. Raises a ``Violation`` unless all that fit apply."""
    (wallet_id,) = arena.open_wallets(1, balance=100, floor=-50)
    calls = arena.race([[(debit(f"{racer}-{number}", wallet_id, 7),) for number in (1, 2)] for racer in range(RACERS)])
    contents = arena.check()
    applied = sum(isinstance(call.outcome, Applied) for call in calls)
    if applied != 150 // 7 or contents.wallets[0].balance != 100 - 7 * applied:
        raise Violation(f"{applied} debits of 7 were applied to 150, and left {contents.wallets[0]}")


def test_racing_debits_stop_at_the_floor(arena: Arena) -> None:
    racing_debits(arena)


def test_without_the_guard_and_the_unique_version_racing_debits_go_wrong(new_arena: NewArena) -> None:
    with pytest.raises(Violation):
        racing_debits(new_arena(NO_UNIQUE_VERSION, *SLOW_ROWS, store=UnguardedStore))


def racing_reversals(arena: Arena) -> None:
    """Everybody reverses one transaction. Raises a ``Violation`` unless it is reversed once."""
    a, b = arena.open_wallets(2, balance=100)
    moved = arena.apply(transfer("moved", a, b, 60)).id
    calls = arena.race([[(Reverse(f"undo-{racer}", moved),)] for racer in range(RACERS)])
    contents = arena.check()
    if {wallet.balance for wallet in contents.wallets} != {100}:
        raise Violation(f"not reversed once: {contents.wallets}")
    told = Counter(call.outcome.reason if isinstance(call.outcome, Rejected) else type(call.outcome) for call in calls)
    if told != {Applied: 1, Reason.ALREADY_REVERSED: RACERS - 1}:
        raise Violation(f"not one reversal: {told}")


def test_of_racing_reversals_of_one_transaction_one_is_applied(arena: Arena) -> None:
    racing_reversals(arena)


def racing_captures(arena: Arena) -> None:
    """Everybody captures 30 of a hold of 100. Raises a ``Violation`` unless three get it."""
    a, b = arena.open_wallets(2, balance=500)
    hold = arena.apply(PlaceHold("hold", a, 100, destination=b)).id
    calls = arena.race([[(CaptureHold(f"take-{racer}", hold, 30, final=False),)] for racer in range(RACERS)])
    contents = arena.check()
    told = Counter(call.outcome.reason if isinstance(call.outcome, Rejected) else type(call.outcome) for call in calls)
    if told != {Applied: 3, Reason.CAPTURE_EXCEEDS_HOLD: RACERS - 3} or contents.holds[0].captured != 90:
        raise Violation(f"not three captures of 30: {told}, {contents.holds}")


def test_racing_captures_never_exceed_the_hold(arena: Arena) -> None:
    racing_captures(arena)


def test_without_the_guard_and_the_unique_version_racing_captures_go_wrong(new_arena: NewArena) -> None:
    with pytest.raises(Violation):
        racing_captures(new_arena(NO_UNIQUE_VERSION, *SLOW_ROWS, store=UnguardedStore))


def test_a_hold_either_expires_or_is_captured_and_only_once(arena: Arena) -> None:
    """Captures and credits race for holds just as these expire; whichever command comes first writes that down."""
    wallets = arena.open_wallets(8, balance=100)
    placed = arena.carry_out(*(PlaceHold(f"hold-{id}", id, 40, expires_in_s=1) for id in wallets))
    holds = [outcome.transaction.id for outcome in placed if isinstance(outcome, Applied)]
    assert len(holds) == len(wallets)
    # The first captures come just in time, and the last ones too late.
    time.sleep(0.6)
    clients = [
        [
            step
            for place, (wallet_id, hold_id) in enumerate(zip(wallets, holds, strict=True))
            for step in (
                (credit(f"credit-{racer}-{place}", wallet_id, 1),),
                (CaptureHold(f"take-{racer}-{place}", hold_id, 5, final=False),),
            )
        ]
        for racer in range(RACERS // 2)
    ]
    arena.race(clients)
    time.sleep(max(0.0, 1.0 - 0.6))
    arena.carry_out(*(credit(f"after-{id}", id, 1) for id in wallets))
    contents = arena.check()
    expiries = Counter(row.came_to["hold"]["id"] for row in contents.transactions if row.kind == Kind.EXPIRY)
    for hold in contents.holds:
        # Eight captures of 5 use a hold up before it can expire.
        assert (hold.status, expiries[str(hold.id)]) in {("captured", 0), ("expired", 1)}, hold
    assert all(wallet.held == 0 for wallet in contents.wallets)


def test_of_many_who_open_one_wallet_one_does(arena: Arena) -> None:
    id = uuid4()
    calls = arena.race([[(OpenWallet(f"open-{racer}", "EUR", id),)] for racer in range(RACERS)])
    assert Counter(type(call.outcome) for call in calls) == {Applied: 1, WalletExists: RACERS - 1}
    contents = arena.check()
    assert len(contents.wallets) == 1
