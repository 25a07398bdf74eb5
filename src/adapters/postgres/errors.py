"""What PostgreSQL and the driver say, in the terms of the ports.

Only SQLSTATEs are looked at, never the name of a constraint or the text of a message: on a sharded database those are
absent or differ. Whatever is not listed here is a bug, and is left to be seen as one.
"""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from wallet_core.ports import CommitUnknown, StaleSnapshot, Unavailable

STALE: Final = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "23505",  # unique_violation: a key, a wallet or a reversal that another writer put there first
        "23503",  # foreign_key_violation: of a row that another session takes away, as a rebalancing of shards does
        "XX000",  # internal_error: how a sharded database reports some lost races
    }
)
"""Another writer was faster: roll back, load again, decide again."""

AWAY: Final = frozenset(
    {
        "25006",  # read_only_sql_transaction: a standby, or a primary that has stepped down
        "25P03",  # idle_in_transaction_session_timeout
        "25P04",  # transaction_timeout
        "55P03",  # lock_not_available: waited for a lock as long as is allowed
        "57014",  # query_canceled: ran as long as is allowed
        "57P01",  # admin_shutdown
        "57P02",  # crash_shutdown
        "57P03",  # cannot_connect_now
        "57P05",  # idle_session_timeout
    }
)
AWAY_CLASSES: Final = frozenset(
    {
        "08",  # connection exception
        "53",  # insufficient resources: disk full, out of memory, too many connections
        "58",  # system error: input or output failed
    }
)

_WITHOUT_STATE: Final = (
    OSError,
    asyncio.TimeoutError,
    PoolTimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    InterfaceError,
)


def sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE that the server gave, however the error is wrapped; None if it gave none."""
    return _from_server(error, "sqlstate")


def _from_server(error: BaseException, field: str) -> str | None:
    seen: BaseException | None = error
    while seen is not None:
        value = getattr(seen, field, None)
        if isinstance(value, str):
            return value
        seen = seen.orig if isinstance(seen, DBAPIError) else seen.__cause__
    return None


def _has_ended(error: BaseException) -> bool:
    """Whether the server ended the session with it, or kept it from beginning: no database, no such role, no room.
    Whatever its state, nothing else is known then: not what became of a COMMIT either."""
    return _from_server(error, "severity_en") in ("FATAL", "PANIC")


def _is_away(error: BaseException) -> bool:
    state = sqlstate_of(error)
    if state is not None:
        return _has_ended(error) or state in AWAY or state[:2] in AWAY_CLASSES
    return isinstance(error, _WITHOUT_STATE) or (isinstance(error, DBAPIError) and error.connection_invalidated)


class _Translating(AbstractContextManager[None]):
    # No generator, since each batch enters four of them: see ``session.open_session``.
    def __init__(self, committing: bool) -> None:
        self._committing = committing

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not isinstance(error, _TRANSLATED):
            return
        if sqlstate_of(error) in STALE and not _has_ended(error):
            raise StaleSnapshot from error
        if _is_away(error):
            raise (CommitUnknown if self._committing else Unavailable) from error


_TRANSLATED: Final = (DBAPIError, PoolTimeoutError, asyncpg.PostgresError, *_WITHOUT_STATE)
_PLAIN: Final = _Translating(committing=False)
_COMMITTING: Final = _Translating(committing=True)


def translating(*, committing: bool = False) -> AbstractContextManager[None]:
    """Raise ``StaleSnapshot`` or ``Unavailable`` for what the database or the driver raises inside.

    While ``committing``, a connection that breaks leaves the outcome open: that is ``CommitUnknown``. An error that the
    server reports for the COMMIT itself is definite: nothing was kept.
    """
    return _COMMITTING if committing else _PLAIN


@contextmanager
def reading() -> Iterator[None]:
    """Raise ``Unavailable`` for whatever keeps the database from being read: nothing is lost to a writer here."""
    try:
        with translating():
            yield
    except StaleSnapshot as error:
        raise Unavailable from error
