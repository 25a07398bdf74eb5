"""Wallets are locked before a batch is decided once a race was lost, and no longer than that turns out to be needed."""

from adapters.memory import MemoryStore
from tests.support.book import TENANT, run
from tests.support.builders import A
from tests.support.faults import Fault, FaultyStore
from tests.support.ids import CountingIds, id_number
from wallet_core import Applied, BatchLedger, Contention, OpenWallet, credit
from wallet_core.caution import BATCHES_MAX, Caution
from wallet_core.ledger import RACES_MAX
from wallet_core.ports import StaleSnapshot

OTHER = id_number(2)
STALE = Fault("append", StaleSnapshot())


def locked(caution: Caution, batches: int) -> int:
    """How many of so many batches lock, all of which go well."""
    amount = 0
    for _ in range(batches):
        if caution.take(TENANT):
            amount += 1
        else:
            caution.won(TENANT)
    return amount


def test_nobody_locks_before_a_race_is_lost() -> None:
    assert locked(Caution(), 5) == 0


def test_who_loses_again_and_again_locks_twice_as_often_up_to_a_limit() -> None:
    caution = Caution()
    amounts = []
    for _ in range(9):
        caution.lost(TENANT, locked=False)
        amounts.append(0)
        while caution.take(TENANT):
            amounts[-1] += 1
    assert amounts == [1, 2, 4, 8, 16, 32, BATCHES_MAX, BATCHES_MAX, BATCHES_MAX]


def test_races_that_are_won_make_confident_again() -> None:
    caution = Caution()
    for _ in range(3):
        caution.lost(TENANT, locked=False)
    assert locked(caution, 100) == 4
    caution.lost(TENANT, locked=False)
    assert locked(caution, 100) == 1
    assert caution._levels == {}


def test_tenants_have_their_own_races() -> None:
    caution = Caution()
    caution.lost(OTHER, locked=False)
    assert (caution.is_due(TENANT), caution.is_due(OTHER)) == (False, True)


def test_a_race_that_is_lost_in_spite_of_locks_says_nothing_about_wallets() -> None:
    caution = Caution()
    caution.lost(TENANT, locked=True)
    assert not caution.take(TENANT)


def ledger_over(faults: list[Fault | None]) -> tuple[BatchLedger, FaultyStore]:
    memory, ids = MemoryStore(), CountingIds()
    run(BatchLedger(memory, ids).execute(TENANT, [OpenWallet("open", "EUR", id=A)]))
    store = FaultyStore(memory, faults)
    return BatchLedger(store, ids, jitter=lambda: 0.0), store


def test_the_attempt_after_a_lost_race_locks_and_then_one_batch_more_does() -> None:
    ledger, store = ledger_over([STALE])
    turns = []
    for number in range(3):
        turns.append(ledger.takes_turns(TENANT))
        assert isinstance(run(ledger.execute(TENANT, [credit(f"k{number}", A, 1)]))[0], Applied)
    assert store.locked == [False, True, True, False]
    assert turns == [False, True, False]


def test_what_fails_without_a_race_makes_nobody_lock() -> None:
    ledger, store = ledger_over([None])
    run(ledger.execute(TENANT, [credit("k", A, 1)]))
    assert store.locked == [False]


def test_locks_do_not_make_attempts_endless() -> None:
    ledger, store = ledger_over([STALE] * RACES_MAX)
    assert list(run(ledger.execute(TENANT, [credit("k", A, 1)]))) == [Contention()]
    assert store.locked == [False, *[True] * (RACES_MAX - 1)]
