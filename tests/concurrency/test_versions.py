"""Writers that race for one wallet: no update is lost (G1), and conflicts are surfaced (G6)."""

from collections import Counter

import pytest

from tests.concurrency.arena import Arena
from tests.concurrency.broken import NO_UNIQUE_VERSION, SLOW_ROWS, UnguardedStore
from tests.concurrency.conftest import NewArena
from tests.concurrency.violations import LostUpdate
from wallet_core import Applied, VersionConflict, credit

RACERS = 24


def test_of_racers_with_one_expected_version_one_is_applied_and_the_others_are_told_the_current_one(
    arena: Arena,
) -> None:
    (wallet_id,) = arena.open_wallets(1)
    calls = arena.race([[(credit(f"racer-{racer}", wallet_id, 1, expected_version=1),)] for racer in range(RACERS)])
    assert Counter(type(call.outcome) for call in calls) == {Applied: 1, VersionConflict: RACERS - 1}
    assert {call.outcome for call in calls if not isinstance(call.outcome, Applied)} == {
        VersionConflict(wallet_id, expected_version=1, current_version=2)
    }
    arena.check()


def test_every_version_has_one_winner(arena: Arena) -> None:
    """A racer who is told that a version is taken goes for the next, which therefore exists."""
    (wallet_id,) = arena.open_wallets(1)
    versions = range(1, 9)
    calls = arena.race(
        [
            [
                (credit(f"racer-{racer}-{version}", wallet_id, version, expected_version=version),)
                for version in versions
            ]
            for racer in range(RACERS // 2)
        ]
    )
    arena.check()
    won = [call.outcome.transaction.entries[0].version for call in calls if isinstance(call.outcome, Applied)]
    assert sorted(won) == [version + 1 for version in versions]
    for call in calls:
        if isinstance(call.outcome, VersionConflict):
            assert call.outcome.current_version > call.outcome.expected_version


def credits_on_one_wallet(arena: Arena, clients: int, each: int, *, grouped: bool) -> None:
    """Many credit one wallet without expecting a version, and look at it in between. All have to be applied."""
    (wallet_id,) = arena.open_wallets(1)
    sent = [[credit(f"client-{client}-{number}", wallet_id, 3) for number in range(each)] for client in range(clients)]
    arena.race([[step for command in mine for step in ((command,), wallet_id)] for mine in sent], grouped=grouped)
    contents = arena.check()
    assert arena.record.looks
    applied = {call.key for call in arena.record.calls if isinstance(call.outcome, Applied)}
    assert applied >= {command.key for mine in sent for command in mine}
    assert (contents.wallets[0].version, contents.wallets[0].balance) == (1 + clients * each, 3 * clients * each)


def test_all_unconditional_credits_from_several_processes_are_applied(arena: Arena) -> None:
    credits_on_one_wallet(arena, clients=32, each=10, grouped=True)


def test_all_unconditional_credits_of_single_writers_are_applied(arena: Arena) -> None:
    credits_on_one_wallet(arena, clients=8, each=8, grouped=False)


def test_without_the_guard_and_the_unique_version_updates_are_lost(new_arena: NewArena) -> None:
    arena = new_arena(NO_UNIQUE_VERSION, *SLOW_ROWS, store=UnguardedStore)
    with pytest.raises(LostUpdate):
        credits_on_one_wallet(arena, clients=8, each=8, grouped=False)


def test_the_unique_version_alone_keeps_updates_from_being_lost(new_arena: NewArena) -> None:
    credits_on_one_wallet(new_arena(store=UnguardedStore), clients=8, each=4, grouped=False)


def test_the_guard_alone_keeps_updates_from_being_lost(new_arena: NewArena) -> None:
    credits_on_one_wallet(new_arena(NO_UNIQUE_VERSION), clients=8, each=4, grouped=False)
