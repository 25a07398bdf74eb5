"""Which fault strikes when: the same for the same seed, duration and names."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

import attrs

from tests.torture.faults import cache, database, lab, service
from tests.torture.faults.kinds import FaultKind

ALL: Final[Mapping[str, FaultKind]] = {
    kind.name: kind for kind in (*service.KINDS, *database.KINDS, *cache.KINDS, *lab.KINDS)
}

GAP_S_MAX: Final = 2.5
QUIET_S: Final = 1.5
"""How long nothing happens at the beginning, so that there is something to break, in seconds."""


@attrs.frozen
class Planned:
    """One fault. ``seed`` repeats the choices that it makes."""

    at_s: float
    kind: FaultKind
    seed: int


def named(names: Sequence[str]) -> list[FaultKind]:
    """The kinds of these names; one stands for all that begin with it, ``all`` for all. Raises ``LookupError``."""
    if "all" in names:
        return list(ALL.values())
    chosen: dict[str, FaultKind] = {}
    for name in names:
        matching = {each: kind for each, kind in ALL.items() if each == name or each.startswith(f"{name}-")}
        if not matching:
            raise LookupError(f"there is no fault {name!r}; there are {', '.join(ALL)}")
        chosen |= matching
    return list(chosen.values())


def schedule(seed: int, seconds: float, kinds: Sequence[FaultKind]) -> list[Planned]:
    """The faults in order of time. Each kind comes as often as every other, or once more, in an order of chance."""
    if not kinds:
        return []
    chance = Random(f"{seed} schedule")
    span_s = max(1.0, seconds - QUIET_S)
    amount = max(len(kinds), int(span_s / GAP_S_MAX))
    deck: list[FaultKind] = []
    while len(deck) < amount:
        deck += chance.sample(kinds, len(kinds))
    gap_s = span_s * 0.96 / amount
    return [
        Planned(QUIET_S + gap_s * (place + chance.random() * 0.8), kind, chance.getrandbits(32))
        for place, kind in enumerate(deck[:amount])
    ]
