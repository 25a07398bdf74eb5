"""The wallets of a campaign: a few that all fight over, many that hardly anybody visits, and some near their limits."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import attrs

FAR_BELOW_0: Final = -300

AMOUNTS: Final[Mapping[str, int]] = {"hot": 3, "warm": 20, "cold": 200, "floor": 4, "ceiling": 2, "moody": 3}
"""How many wallets of each kind there are. ``moody`` ones are frozen, thawed and given other limits all the time."""

FUNDS: Final[Mapping[str, int]] = {"hot": 1_000_000, "warm": 50_000, "cold": 5_000, "moody": 5_000}
CEILING: Final = 2_000


@attrs.frozen
class World:
    """Ids of wallets by kind. Every fourth of the cold ones is in another currency, to which nothing can be moved."""

    wallets: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, seed: int) -> "World":
        """The same wallets for the same seed."""
        chance = random.Random(f"{seed} wallets")
        return cls({kind: [_uuid(chance) for _ in range(amount)] for kind, amount in AMOUNTS.items()})

    def openings(self) -> list[dict[str, Any]]:
        """The intents that open the wallets."""
        return [
            {
                "type": "open",
                "idempotency_key": f"open-{id}",
                "id": id,
                "currency": "USD" if kind == "cold" and place % 4 == 0 else "EUR",
                **({"floor": FAR_BELOW_0} if kind == "floor" else {}),
                **({"ceiling": CEILING} if kind == "ceiling" else {}),
            }
            for kind, ids in self.wallets.items()
            for place, id in enumerate(ids)
        ]

    def fundings(self) -> list[dict[str, Any]]:
        """The intents that put the first money into them."""
        return [
            {"type": "credit", "idempotency_key": f"fund-{id}", "wallet_id": id, "amount": FUNDS[kind]}
            for kind, ids in self.wallets.items()
            if kind in FUNDS
            for id in ids
        ]


def _uuid(chance: random.Random) -> str:
    return str(UUID(int=chance.getrandbits(128), version=4))
