"""Batches of transfers that cross each other (G7): nothing is lost, and nobody hears of a deadlock."""

import random
from collections.abc import Sequence
from uuid import UUID

import pytest

from tests.concurrency.arena import Arena
from tests.concurrency.broken import SLOW_ROWS, UnsortedStore
from tests.concurrency.conftest import NewArena
from tests.concurrency.violations import Deadlocked, Violation
from wallet_core import Applied, Command, Contention, Kind, Rejected, Reverse, credit, transfer

WALLETS = 8
OPENING_BALANCE = 100


def _crossing(wallets: Sequence[UUID], *, clients: int, batches: int, size: int) -> list[list[list[Command]]]:
    """For each client its batches, each of transfers between random wallets, in both directions and any order."""
    chance = random.Random(17)

    def one(key: str) -> Command:
        source, destination = chance.sample(wallets, 2)
        return transfer(key, source, destination, chance.randint(1, 40))

    return [
        [[one(f"{client}-{batch}-{number}") for number in range(size)] for batch in range(batches)]
        for client in range(clients)
    ]


def crossing_transfers(arena: Arena, *, clients: int, batches: int, grouped: bool) -> None:
    """Everybody moves money between the same few wallets. Raises a ``Violation``, or ``Deadlocked``."""
    wallets = arena.open_wallets(WALLETS, balance=OPENING_BALANCE)
    calls = arena.race(_crossing(wallets, clients=clients, batches=batches, size=5), grouped=grouped)
    contents = arena.check()
    if sum(wallet.balance for wallet in contents.wallets) != WALLETS * OPENING_BALANCE:
        raise Violation("the transfers have changed the sum")
    last = {call.key: call.outcome for call in calls}
    strange = [outcome for outcome in last.values() if not isinstance(outcome, Applied | Rejected)]
    if strange:
        raise Violation(f"neither applied nor rejected: {strange[:3]}")
    arena.check_deadlocks()


@pytest.mark.parametrize("grouped", [True, False], ids=["through queues", "one by one"])
def test_crossing_transfers_neither_lose_money_nor_deadlock(new_arena: NewArena, grouped: bool) -> None:
    crossing_transfers(new_arena(), clients=16, batches=5, grouped=grouped)


def test_transfers_that_cross_while_they_are_written_do_not_deadlock(new_arena: NewArena) -> None:
    crossing_transfers(new_arena(*SLOW_ROWS), clients=4, batches=2, grouped=False)


def test_unsorted_batches_deadlock(new_arena: NewArena) -> None:
    """What the order of writing is for. The ledger stays right all the same: the losers are decided anew."""
    with pytest.raises(Deadlocked):
        crossing_transfers(new_arena(*SLOW_ROWS, store=UnsortedStore), clients=4, batches=2, grouped=False)


def the_same_keys_in_any_order(arena: Arena) -> None:
    """Everybody sends the same batches, each in an order of their own. Raises a ``Violation``, or ``Deadlocked``."""
    wallets = arena.open_wallets(10)
    batches = [[credit(f"key-{batch}-{id}", id, 1) for id in wallets] for batch in range(4)]
    clients = [[random.Random(client).sample(batch, len(batch)) for batch in batches] for client in range(4)]
    calls = arena.race(clients)
    arena.check()
    if sum(isinstance(call.outcome, Applied) for call in calls) != len(batches) * len(wallets):
        raise Violation("not each command was applied once")
    arena.check_deadlocks()


def test_batches_of_the_same_keys_in_any_order_do_not_deadlock(new_arena: NewArena) -> None:
    the_same_keys_in_any_order(new_arena(*SLOW_ROWS))


def test_unsorted_batches_of_the_same_keys_deadlock(new_arena: NewArena) -> None:
    with pytest.raises(Deadlocked):
        the_same_keys_in_any_order(new_arena(*SLOW_ROWS, store=UnsortedStore))


def test_reversals_that_cross_are_decided_whatever_the_database_has_to_break(arena: Arena) -> None:
    """Keys are written in order, but what they reverse cannot be in order too: here a deadlock may happen inside."""
    a, b = arena.open_wallets(2, balance=OPENING_BALANCE)
    moved = [arena.apply(transfer(f"moved-{number}", a, b, 5)).id for number in range(6)]
    clients = []
    for racer in range(12):
        order = random.Random(racer).sample(moved, len(moved))
        clients.append([[Reverse(f"undo-{racer}-{place}", id) for place, id in enumerate(order)]])
    calls = arena.race(clients)
    contents = arena.check()
    assert sum(row.kind == Kind.REVERSAL and row.outcome == "applied" for row in contents.transactions) == len(moved)
    assert {type(call.outcome) for call in calls} <= {Applied, Rejected, Contention}
    assert {wallet.balance for wallet in contents.wallets} == {OPENING_BALANCE}
