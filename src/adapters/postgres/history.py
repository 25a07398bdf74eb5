"""Which past the database has: known without asking it each time, and forgotten when it may have become another one.

What was committed can be taken back from outside only: the database is restored from a copy, or a standby that has not
got everything takes over. In each case every connection to the old one breaks first. So the history is told while all
connections last, and read again after one of them is lost, or made: nothing can be committed in a new history before.
"""

import asyncio
import logging
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.errors import translating
from adapters.postgres.session import open_session
from wallet_core.ports import History, StaleSnapshot, Unavailable

CONFIRM_S: Final = 5.0
"""How often the history is read although no connection was lost: one that is cut off in silence looks alive."""

READ_S_MAX: Final = 2.0
"""How long the database may take to answer before it counts as away. The history is never older than both together."""

RETRY_S: Final = 1.0

NAME_BYTES: Final = 16

# The timeline is that of the log as it is written now: the last checkpoint's, which is easier to have, stays that of
# the old primary for a while after a standby has been promoted. The time of the start tells apart what the timeline
# does not: a copy of the files that was put back, and two recoveries from one backup. The file of the table tells a
# table that was emptied, or loaded anew from a dump.
READ: Final = text(
    """
    SELECT concat_ws(
               ' ',
               (SELECT system_identifier FROM pg_control_system()),
               substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
               extract(epoch FROM pg_postmaster_start_time()),
               (SELECT oid FROM pg_database WHERE datname = current_database()),
               pg_relation_filenode('transactions')
           ) AS past,
           (SELECT count(*) FROM pg_extension WHERE extname = 'citus') AS shards,
           secret
    FROM replay_secret
    """
)

UNTELLABLE: Final = frozenset(
    {
        "0A000",  # feature_not_supported
        "42501",  # insufficient_privilege
        "42703",  # undefined_column
        "42883",  # undefined_function
        "42P01",  # undefined_table
    }
)
"""What a database answers that speaks PostgreSQL's protocol and is something else."""

NOT_NOW: Final = "55000"
"""object_not_in_prerequisite_state: a standby writes no log of its own."""

logger = logging.getLogger("wallet.cache")


class Untellable(Exception):
    """This database does not tell what its history is."""


class HistoryWatch:
    """Keeps ``known`` up to date between ``start`` and ``close``. Never raises: not to know is always allowed.

    ``engine`` is the watch's own, so that its question never waits behind other work, and is disposed of with it;
    ``watched`` are the engines whose connections are worth a doubt, among them that which commits.
    """

    def __init__(self, engine: AsyncEngine, watched: Sequence[AsyncEngine]) -> None:
        self._engine = engine
        self._known: History | None = None
        self._doubted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        for each in watched:
            event.listen(each.sync_engine, "connect", self._note_connection)

    @property
    def known(self) -> History | None:
        """The history that the database has now; None while that is uncertain."""
        return self._known

    def start(self) -> None:
        """Begin to watch, in the running event loop."""
        self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._engine.dispose()

    def doubt(self) -> None:
        """Forget the history, and read it again."""
        self._known = None
        self._doubted.set()

    def _note_connection(self, pooled: Any, _: object) -> None:
        self.doubt()
        pooled.driver_connection.add_termination_listener(lambda _: self.doubt())

    async def _watch(self) -> None:
        try:
            while True:
                # Before the question: a doubt that arises while it is asked makes its answer worthless.
                self._doubted.clear()
                history = await self._read_in_time()
                if self._doubted.is_set():
                    history = None
                self._known = history
                if history is not None:
                    await self._confirmation_due()
                elif not self._doubted.is_set():
                    await asyncio.sleep(RETRY_S)
                if self._known is None:
                    # What is asked next is the server that new connections get to.
                    await self._engine.dispose()
        except Untellable as reason:
            logger.warning("replays are read from the database, and the cache stays unused: %s", reason)
        except Exception:
            logger.exception("replays are read from the database, and the cache stays unused")
            raise
        finally:
            self._known = None

    async def _confirmation_due(self) -> None:
        try:
            async with asyncio.timeout(CONFIRM_S):
                await self._doubted.wait()
        except TimeoutError:
            return

    async def _read_in_time(self) -> History | None:
        try:
            async with asyncio.timeout(READ_S_MAX):
                return await self._read()
        except (Unavailable, StaleSnapshot, TimeoutError):
            return None

    async def _read(self) -> History:
        try:
            with translating():
                async with open_session(self._engine) as session:
                    rows = await session.fetch(READ, {})
        except asyncpg.PostgresError as error:
            if error.sqlstate in UNTELLABLE:
                raise Untellable("this database does not tell its history") from error
            if error.sqlstate == NOT_NOW:
                raise Unavailable from error
            raise
        if len(rows) != 1:
            raise Untellable("the database has no secret to seal receipts with")
        (row,) = rows
        if row["shards"]:
            # Each shard has a history of its own, and only the coordinator's can be seen from here.
            raise Untellable("a sharded database has a history for each of its servers")
        return History(blake2b(row["past"].encode(), digest_size=NAME_BYTES).hexdigest(), row["secret"])
