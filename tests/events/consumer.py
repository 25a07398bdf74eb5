"""A consumer as docs/events.md has it: what an event leads to is stored together with its cursor, in one transaction.

It is a process that goes on until it is killed. What it has done is in a file of SQLite's.
"""

import asyncio
import multiprocessing
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Final

import attrs

from adapters.http_client import connect
from adapters.http_client_events import follow
from adapters.http_client_reads import Reads

PAGE_EVENTS: Final = 200


@attrs.frozen
class Consumer:
    """Where it follows the events, and what it stores in."""

    url: str
    api_key: str = attrs.field(repr=False)
    file: Path

    def prepare(self) -> None:
        """Make the tables. Neither of them refuses anything twice: what is doubled shows."""
        with closing(sqlite3.connect(self.file)) as store, store:
            store.execute("CREATE TABLE effects (place INTEGER PRIMARY KEY, transaction_id TEXT, cursor TEXT)")
            store.execute("CREATE TABLE progress (id INTEGER PRIMARY KEY, cursor TEXT)")
            store.execute("INSERT INTO progress VALUES (1, NULL)")

    def effects(self) -> list[tuple[str, str]]:
        """The transaction of each event that was dealt with, and its cursor, in the order in which they were."""
        with closing(sqlite3.connect(self.file, timeout=30)) as store:
            return store.execute("SELECT transaction_id, cursor FROM effects ORDER BY place").fetchall()


@contextmanager
def consuming(consumer: Consumer) -> Iterator[SpawnProcess]:
    """The consumer's process, until the context ends: by SIGKILL."""
    process = multiprocessing.get_context("spawn").Process(target=_consume, args=(consumer,), daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _consume(consumer: Consumer) -> None:
    asyncio.run(_follow(consumer))


async def _follow(consumer: Consumer) -> None:
    with closing(sqlite3.connect(consumer.file, timeout=30)) as store:
        # A process that is killed leaves what it wrote to the operating system.
        store.execute("PRAGMA synchronous = OFF")
        (cursor,) = store.execute("SELECT cursor FROM progress").fetchone()
        async for event in follow(Reads(connect(consumer.url), consumer.api_key), cursor, page_events=PAGE_EVENTS):
            with store:
                effect = (str(event.transaction.id), event.cursor)
                store.execute("INSERT INTO effects (transaction_id, cursor) VALUES (?, ?)", effect)
                store.execute("UPDATE progress SET cursor = ?", (event.cursor,))
