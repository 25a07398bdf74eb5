"""Starts an embedded PostgreSQL anew when it ends without having been stopped: killed, or out of memory.

Where a server has a database of its own, nobody else would. Clients notice a time without a database, and no loss: what
was acknowledged is on disk, and the new server recovers it.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from adapters.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError

POLL_S: Final = 0.25
RETRY_S: Final = 2.0
"""How long to wait after a start that failed."""

logger = logging.getLogger("wallet.postgres")


@contextmanager
def watched(server: EmbeddedPostgres) -> Iterator[None]:
    """Have the server revived for as long as the context lasts. It must be started before, and stopped after."""
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(server, ended), name="embedded-postgres", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _watch(server: EmbeddedPostgres, ended: threading.Event) -> None:
    while not ended.wait(POLL_S):
        if server.is_alive():
            continue
        logger.error("PostgreSQL has ended by itself; it is started again")
        try:
            server.revive()
        except EmbeddedPostgresError:
            logger.exception("PostgreSQL cannot be started again; it is tried in %g s", RETRY_S)
            ended.wait(RETRY_S)
