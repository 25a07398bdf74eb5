"""One idempotency key in many hands, in several processes at once (G2, G3)."""

from collections import Counter
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from tests.concurrency.arena import Arena
from tests.concurrency.broken import NO_UNIQUE_KEY, SLOW_ROWS
from tests.concurrency.conftest import NewArena
from tests.concurrency.violations import DoubleEffect, Violation
from wallet_core import (
    Applied,
    CaptureHold,
    ChangeWallet,
    Command,
    Fenced,
    FenceKey,
    KeyFenced,
    KeyReused,
    OpenWallet,
    PlaceHold,
    Rejected,
    Replayed,
    Reverse,
    credit,
    debit,
    transfer,
)

CALLERS = 50
KEYS_FENCED = 6


def _hold(arena: Arena, wallet_id: UUID) -> UUID:
    return arena.apply(PlaceHold("hold", wallet_id, 10)).id


COMMANDS: dict[str, Callable[[Arena, UUID, UUID], Command]] = {
    "open": lambda arena, a, b: OpenWallet("key", "EUR"),
    "credit": lambda arena, a, b: credit("key", a, 7, metadata={"order": "17"}),
    "debit": lambda arena, a, b: debit("key", a, 7),
    "transfer": lambda arena, a, b: transfer("key", a, b, 7),
    "rejected debit": lambda arena, a, b: debit("key", a, 1_000_000),
    "hold": lambda arena, a, b: PlaceHold("key", a, 7, destination=b),
    "capture": lambda arena, a, b: CaptureHold("key", _hold(arena, a), 4, final=False),
    "reversal": lambda arena, a, b: Reverse("key", arena.apply(transfer("moved", a, b, 7)).id),
    "change": lambda arena, a, b: ChangeWallet("key", a, floor=-5),
}


def one_key_in_many_hands(arena: Arena, make: Callable[[Arena, UUID, UUID], Command], *, grouped: bool) -> None:
    """Everybody sends the same command under the same key. Raises a ``Violation`` unless it takes effect once."""
    command = make(arena, *arena.open_wallets(2, balance=100))
    calls = arena.race([[(command,)]] * CALLERS, grouped=grouped)
    arena.check()
    kinds = Counter(type(call.outcome) for call in calls)
    if kinds[Replayed] != CALLERS - 1:
        raise Violation(f"not one effect and {CALLERS - 1} replays: {kinds}")


@pytest.mark.parametrize("name", COMMANDS)
def test_one_key_in_fifty_hands_takes_effect_once(arena: Arena, name: str) -> None:
    one_key_in_many_hands(arena, COMMANDS[name], grouped=False)


def test_one_key_in_fifty_requests_to_four_processes_takes_effect_once(arena: Arena) -> None:
    one_key_in_many_hands(arena, COMMANDS["credit"], grouped=True)


@pytest.mark.parametrize("name", ["open", "rejected debit"])
def test_without_the_unique_key_one_key_takes_effect_twice(new_arena: NewArena, name: str) -> None:
    """Not so where a wallet is touched, whose version then guards it as well; so these two touch none that exists."""
    with pytest.raises(DoubleEffect):
        one_key_in_many_hands(new_arena(NO_UNIQUE_KEY, *SLOW_ROWS), COMMANDS[name], grouped=False)


def one_key_with_many_intents(arena: Arena) -> None:
    """Everybody uses one key for something else. Raises a ``Violation`` unless exactly one of them gets it."""
    wallets = arena.open_wallets(CALLERS)
    calls = arena.race([[(credit("key", wallet_id, 1),)] for wallet_id in wallets])
    arena.check()
    kinds = Counter(type(call.outcome) for call in calls)
    if kinds != {Applied: 1, KeyReused: CALLERS - 1}:
        raise Violation(f"not one effect and {CALLERS - 1} refusals: {kinds}")


def test_one_key_with_many_intents_takes_effect_once_and_is_refused_to_the_others(arena: Arena) -> None:
    one_key_with_many_intents(arena)


def test_without_the_unique_key_several_intents_take_effect_under_one_key(new_arena: NewArena) -> None:
    with pytest.raises(DoubleEffect):
        one_key_with_many_intents(new_arena(NO_UNIQUE_KEY, *SLOW_ROWS))


def fences_against_originals(arena: Arena) -> None:
    """For some keys at once, half of the callers fence them and half send the original. One side wins each key."""
    (wallet_id,) = arena.open_wallets(1)
    keys = [f"key-{uuid4()}" for _ in range(KEYS_FENCED)]
    clients = [
        [((FenceKey(key) if caller % 2 else credit(key, wallet_id, 5)),) for key in keys[shift:] + keys[:shift]]
        for caller in range(24)
        for shift in [caller // 2 % KEYS_FENCED]
    ]
    calls = arena.race(clients)
    arena.check()
    for key in keys:
        told = Counter((isinstance(call.command, FenceKey), type(call.outcome)) for call in calls if call.key == key)
        fenced = {(True, Fenced): 12, (False, KeyFenced): 12}
        applied = {(True, Replayed): 12, (False, Applied): 1, (False, Replayed): 11}
        if told not in (fenced, applied):
            raise Violation(f"the two sides disagree about {key}: {told}")


def test_a_fence_and_its_original_agree_on_who_was_first(arena: Arena) -> None:
    fences_against_originals(arena)


def test_without_the_unique_key_both_a_fence_and_its_original_win(new_arena: NewArena) -> None:
    with pytest.raises(DoubleEffect):
        fences_against_originals(new_arena(NO_UNIQUE_KEY, *SLOW_ROWS))


def test_a_decided_key_stays_decided_for_processes_that_come_later(arena: Arena) -> None:
    (wallet_id,) = arena.open_wallets(1)
    commands = [credit("paid", wallet_id, 5), debit("refused", wallet_id, 1_000)]
    first = arena.carry_out(*commands)
    assert [type(outcome) for outcome in first] == [Applied, Rejected]
    calls = arena.race([[commands]] * 8)
    assert {type(call.outcome) for call in calls} == {Replayed}
    arena.check()
