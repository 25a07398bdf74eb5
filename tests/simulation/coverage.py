"""What has to happen in a thousand schedules, or they would prove little: every fault at every step that it can strike
at, every outcome, and every way in which two transactions can meet."""

from typing import Final

from tests.simulation.faults import POINTS, named

FOUND_APPLIED: Final = "applied, as was found after a COMMIT without an answer"
FENCE_TOLD_DECISION: Final = "a fence was told what had been decided"
WITHDRAWN: Final = "withdrawn from the queue"
EXPIRED: Final = "a hold expired"
LIE_FOUND_OUT: Final = "a lie of the cache was found out"
REPLAYED_BY_CACHE: Final = "the cache told a decision"
STACKED: Final = "a batch was decided on top of one in flight"
STACKED_ON_NOTHING: Final = "a batch in flight came to something else than the one on top of it counted on"

_OUTCOMES: Final = (
    *("Applied", "Rejected", "Replayed", "Fenced", "KeyReused", "KeyFenced", "NotFound", "WalletExists"),
    *("VersionConflict", "Contention", "Overloaded", "DatabaseUnavailable", "Unknown"),
)

REQUIRED: Final = frozenset(
    {
        *(named(step, kind) for step, kind in POINTS),
        *(f"outcome {name}" for name in _OUTCOMES),
        *(f"no answer, and later {name}" for name in ("Fenced", "KeyFenced", "Rejected", "Replayed")),
        "a request that got nowhere",
        "a unique value was taken",
        "connecting while the database was down",
        "deadlock",
        "lock timeout",
        "no answer",
        "the time limit of a request",
        "the version had moved",
        "waited for a row: it had moved",
        "waited for a row: unmoved",
        "waited for a unique value: free",
        "waited for a unique value: taken",
        FOUND_APPLIED,
        FENCE_TOLD_DECISION,
        WITHDRAWN,
        EXPIRED,
        LIE_FOUND_OUT,
        REPLAYED_BY_CACHE,
        STACKED,
        STACKED_ON_NOTHING,
    }
)
