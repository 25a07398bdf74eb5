"""Services that lack one mechanism each, to show that a campaign notices. Wired here, and nowhere in the product."""

import json
from collections.abc import Mapping
from typing import Final
from unittest.mock import patch

from litestar.types import ASGIApp

from adapters.redis import cache, receipts
from entrypoints import composition
from entrypoints.composition import application
from entrypoints.http.buckets import Buckets
from entrypoints.settings import Settings
from tests.concurrency import broken
from tests.concurrency.broken import EarlyStore, UnguardedStore
from wallet_core import replays
from wallet_core.commands import Command
from wallet_core.model import Rejection, Transaction
from wallet_core.outcomes import Replayed
from wallet_core.ports import History

EARLY_S: Final = 0.25


def as_it_is(settings: Settings, database_url: str, *, buckets: Buckets | None = None) -> ASGIApp:
    """The service itself: what it lacks was taken from its database."""
    return application(settings, database_url, buckets=buckets)


def without_guard(settings: Settings, database_url: str, *, buckets: Buckets | None = None) -> ASGIApp:
    """Updates a wallet whatever its version is by now."""
    patch.object(composition, "PostgresStore", UnguardedStore).start()
    return application(settings, database_url, buckets=buckets)


def early_answers(settings: Settings, database_url: str, *, buckets: Buckets | None = None) -> ASGIApp:
    """Answers first, and commits a little later: so much that a kill hardly ever finds nothing in between."""
    patch.object(broken, "COMMIT_DELAY_S", EARLY_S).start()
    patch.object(composition, "PostgresStore", EarlyStore).start()
    return application(settings, database_url, buckets=buckets)


def believing_cache(settings: Settings, database_url: str, *, buckets: Buckets | None = None) -> ASGIApp:
    """Takes for a receipt whatever the cache has under the key."""
    patch.object(cache, "unsealed", _believed).start()
    patch.object(replays, "_replay", _replayed).start()
    return application(settings, database_url, buckets=buckets)


def _believed(value: object, kept_at: bytes, key: str, history: History) -> Transaction | Rejection | None:
    if not isinstance(value, bytes):
        return None
    try:
        return receipts._decision(json.loads(value[len(receipts.FORMAT) + receipts.SEAL_BYTES :]))
    except receipts._NONSENSE:
        return None


def _replayed(command: Command, known: Mapping[str, Transaction | Rejection]) -> Replayed | None:
    decision = known.get(command.key)
    return None if decision is None else Replayed(decision)


FLAWS: Final = {flaw.__name__: flaw for flaw in (as_it_is, without_guard, early_answers, believing_cache)}
