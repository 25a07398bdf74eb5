"""How often an API key may be used. The limit holds for all processes of the service together.

A process takes tokens from the key's bucket in small lots, so that most requests cost it only a subtraction, and the
limit still holds to within a lot for each process.
"""

from typing import Final

import attrs

from entrypoints.http.buckets import NS, Buckets, Rate
from wallet_core.ports import Principal

LOTS_A_SECOND: Final = 100
"""How often a process goes to the bucket for a key that is used as often as it may, if the rate is no lower."""

KEYS_MAX: Final = 10_000
"""For how many keys a process has tokens at hand. The oldest lot is given up, which costs that key its tokens."""

HELD_UP_S: Final = 0.01
"""How long a key waits if other processes kept this one from its bucket for longer than a lot lasts."""


@attrs.define
class _Lot:
    """Tokens at hand. Below zero: what was spent in the hope of getting it."""

    per_s: int
    rate: Rate
    size: int
    tokens: int = 0
    closed_until: int = 0


class RateLimits:
    """The limits of the keys: each its own, or ``per_s``, or none. What comes in ``burst_s`` may come at once."""

    def __init__(self, buckets: Buckets, per_s: int | None, burst_s: float) -> None:
        self._buckets = buckets
        self._per_s = per_s
        self._burst_s = burst_s
        self._lots: dict[object, _Lot] = {}

    def wait_s(self, principal: Principal) -> float:
        """Spend a token of the key's. Returns 0, or in how many seconds there will be one."""
        per_s = principal.rate_limit_per_s or self._per_s
        if per_s is None:
            return 0.0
        lot = self._lots.get(principal.key_id)
        if lot is not None and lot.tokens > 0 and lot.per_s == per_s:
            lot.tokens -= 1
            return 0.0
        return self._wait_for_lot_s(principal, per_s)

    def charge(self, principal: Principal, tokens: int) -> None:
        """Spend tokens of the key's for what has been let in already. If there are not enough, it stays in debt."""
        per_s = principal.rate_limit_per_s or self._per_s
        if per_s is not None and tokens > 0:
            lot = self._lot(principal, per_s)
            owed = tokens - lot.tokens
            if owed <= 0 or self._buckets.take(principal.key_id, lot.rate, 0, owed) is not None:
                lot.tokens = max(0, -owed)
            else:
                lot.tokens = -owed

    def _wait_for_lot_s(self, principal: Principal, per_s: int) -> float:
        lot = self._lot(principal, per_s)
        now = self._buckets.now()
        if now < lot.closed_until:
            # A flood of what is to be refused does not go to the bucket each time.
            return (lot.closed_until - now) / NS
        found = self._buckets.take(principal.key_id, lot.rate, lot.size, max(0, -lot.tokens))
        if found is None:
            # Others are at the bucket. The request is let in, and paid for with the next lot: up to a lot's worth.
            if lot.tokens <= -lot.size:
                return HELD_UP_S
            lot.tokens -= 1
            return 0.0
        lot.tokens, wait_ns = found
        if lot.tokens:
            lot.tokens -= 1
            return 0.0
        lot.closed_until = now + wait_ns
        return wait_ns / NS

    def _lot(self, principal: Principal, per_s: int) -> _Lot:
        lot = self._lots.get(principal.key_id)
        if lot is None or lot.per_s != per_s:
            rate = Rate.of(per_s, self._burst_s)
            size = max(1, min(per_s // LOTS_A_SECOND, rate.room_ns // rate.interval_ns // 4))
            if lot is None and len(self._lots) >= KEYS_MAX:
                del self._lots[next(iter(self._lots))]
            lot = self._lots[principal.key_id] = _Lot(per_s, rate, size)
        return lot
