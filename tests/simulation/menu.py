"""What a client may want next. Amounts are small, and near to the limits of the wallets."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from tests.simulation.faults import ELSEWHERE
from tests.simulation.world import HOT, A, B, C, D, World
from tests.support.ids import id_number
from wallet_core import (
    CaptureHold,
    ChangeWallet,
    Command,
    FenceKey,
    NewCeiling,
    OpenWallet,
    PlaceHold,
    ReleaseHold,
    Reverse,
    WalletStatus,
    credit,
    debit,
    transfer,
)

NOWHERE: Final = id_number(0xF)
PAIRS: Final = ((A, B), (B, A), (A, C), (C, A), (B, C), (C, B), (A, D))


def _amount(world: World) -> int:
    return world.random.randint(1, 15)


def _credit(world: World) -> Sequence[Command]:
    return (credit(world.next_key(), world.random.choice(HOT), _amount(world)),)


def _debit(world: World) -> Sequence[Command]:
    return (debit(world.next_key(), world.random.choice(HOT), _amount(world)),)


def _transfer(world: World) -> Sequence[Command]:
    return (transfer(world.next_key(), *world.random.choice(PAIRS), _amount(world)),)


def _guarded(world: World) -> Sequence[Command]:
    wallet_id = world.random.choice(HOT)
    version = world.versions.get(wallet_id, 1)
    return (credit(world.next_key(), wallet_id, _amount(world), expected_version=version),)


def _hold(world: World) -> Sequence[Command]:
    source, destination = world.random.choice(PAIRS)
    return (
        PlaceHold(
            world.next_key(),
            source,
            _amount(world),
            destination if world.random.random() < 0.5 else None,
            expires_in_s=world.random.choice((None, 1, 1, 2)),
        ),
    )


def _capture(world: World) -> Sequence[Command]:
    amount = world.random.choice((None, None, 1, 9))
    return (CaptureHold(world.next_key(), _a_hold(world), amount, final=world.random.random() < 0.6),)


def _release(world: World) -> Sequence[Command]:
    return (ReleaseHold(world.next_key(), _a_hold(world)),)


def _reverse(world: World) -> Sequence[Command]:
    return (Reverse(world.next_key(), _what_moved(world)),)


def _reverse_two(world: World) -> Sequence[Command]:
    if len(world.moved) < 2:
        return _transfer(world)
    return [Reverse(world.next_key(), id) for id in world.random.sample(world.moved[-3:], 2)]


def _fence(world: World) -> Sequence[Command]:
    """Of a key that was sent, or that is still to be sent, or that nobody ever sends."""
    ahead = f"key-{world.keys + world.random.randint(1, 3)}"
    return (FenceKey(world.random.choice(world.sent).key if world.sent and world.random.random() < 0.7 else ahead),)


def _open(world: World) -> Sequence[Command]:
    return (OpenWallet(world.next_key(), "EUR", id=D, floor=-5),)


def _change(world: World) -> Sequence[Command]:
    key, wallet_id = world.next_key(), world.random.choice(HOT)
    match world.random.randrange(6):
        case 0:
            return (ChangeWallet(key, wallet_id, floor=world.random.choice((-30, 0))),)
        case 1:
            return (ChangeWallet(key, wallet_id, ceiling=NewCeiling(world.random.choice((60, None)))),)
        case 2:
            return (ChangeWallet(key, wallet_id, status=WalletStatus.CLOSED),)
        case 3:
            return (ChangeWallet(key, wallet_id, status=WalletStatus.FROZEN),)
        case _:
            return (ChangeWallet(key, wallet_id, status=WalletStatus.ACTIVE),)


def _again(world: World) -> Sequence[Command]:
    """What somebody sent before, and may still wait for."""
    return (world.random.choice(world.sent),) if world.sent else _credit(world)


def _reuse(world: World) -> Sequence[Command]:
    """A key that was used before, for something else."""
    return (credit(world.random.choice(world.sent).key, C, 99),) if world.sent else _credit(world)


def _batch(world: World) -> Sequence[Command]:
    makers = [world.random.choice((_credit, _debit, _transfer, _hold, _guarded)) for _ in range(2)]
    commands = [command for make in makers for command in make(world)]
    return [*commands, commands[0]] if world.random.random() < 0.2 else commands


def _a_hold(world: World) -> UUID:
    return world.random.choice(world.holds) if world.holds else NOWHERE


def _what_moved(world: World) -> UUID:
    return world.random.choice(world.moved) if world.moved else NOWHERE


Make = Callable[[World], Sequence[Command]]

_WEIGHTS: Final[Sequence[tuple[int, Make | None]]] = (
    (2, _credit),
    (3, _debit),
    (5, _transfer),
    (2, _guarded),
    (5, _hold),
    (5, _capture),
    (2, _release),
    (2, _reverse),
    (1, _reverse_two),
    (2, _fence),
    (1, _open),
    (1, _change),
    (4, _again),
    (1, _reuse),
    (3, _batch),
    (2, None),
)
_MENU: Final[Sequence[Make | None]] = [make for weight, make in _WEIGHTS for _ in range(weight)]
_LEADING_TO: Final[Mapping[str, Make]] = {
    ELSEWHERE: _transfer,
    "load-hold-wallets": _capture,
    "load-transactions": _reverse,
    "load-reversed": _reverse,
    "load-entries": _again,
    "insert-wallets": _open,
    "insert-holds": _hold,
    "update-holds": _capture,
}
_LEADING: Final = 20


def menu(steps: Iterable[str]) -> Sequence[Make | None]:
    """Each as often as it is to be chosen, and what leads to these steps more often. None: look at a wallet."""
    return [*_MENU, *(_LEADING_TO[step] for step in steps if step in _LEADING_TO for _ in range(_LEADING))]
