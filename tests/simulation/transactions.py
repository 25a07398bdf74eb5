"""A transaction of the modelled PostgreSQL: what it has written, the locks that it holds, and whom it waits for.

Read committed, as the documentation has it (chapters 13.2.1 and 13.3): what a transaction writes is seen by nobody
before it commits; rows and unique values that it has written stay its own until it ends; whoever wants them waits for
that. A wait ends with the holder, or by the detection of a deadlock, or because it takes too long.
"""

import asyncio
from typing import Final

import asyncpg

from tests.simulation.log import Log
from tests.simulation.loop import VirtualLoop, fail, settle
from tests.simulation.order import Order, Place
from tests.simulation.tables import Key, Row, Tables

DEADLOCK_S: Final = 1.0
"""How long a session waits before it looks whether it waits for itself (``deadlock_timeout``)."""

OUTSIDER: Final = "outsider"
"""What a session is called that is not the service's."""


class Locks:
    """Who holds what, among the transactions that are open."""

    def __init__(self, loop: VirtualLoop, log: Log, lock_timeout_s: float) -> None:
        self.loop = loop
        self.log = log
        self.lock_timeout_s = lock_timeout_s
        self.holders: dict[Key, Transaction] = {}
        self.order = Order()
        self.deadlocks: list[str] = []
        """Deadlocks among the service's own transactions that an order of locking should have made impossible."""


class Transaction:
    """An open transaction, until it is committed or aborted; both end it at once."""

    def __init__(self, locks: Locks, owner: str) -> None:
        self.owner = owner
        self.open = True
        self.waits_for: Transaction | None = None
        self.waits_on: Key | None = None
        self._locks = locks
        self._waiter: asyncio.Future[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._held: list[Key] = []
        self.written: list[tuple[Tables, str, Row]] = []
        self.xid: int | None = None
        """Its id, once it has locked or written something."""

    async def claim(self, keys: list[Key], tables: Tables) -> bool:
        """Have these unique values for a row to insert; False if a committed row has one of them.

        Another transaction's values are waited for: if it commits they are taken, if it aborts they are free.
        """
        holders, cover = self._locks.holders, self._locks.log.cover
        waited = False
        while True:
            for key in keys:
                holder = holders.get(key)
                if holder is not None and holder is not self:
                    await self._wait(holder, key)
                    waited = True
                    break
                if holder is self or tables.has(key):
                    cover("waited for a unique value: taken" if waited else "a unique value was taken")
                    return False
            else:
                if waited:
                    cover("waited for a unique value: free")
                for key in keys:
                    self._hold(key)
                return True

    async def lock(self, key: Key) -> bool:
        """Lock a row, and wait for whoever has it. Returns whether that was necessary."""
        waited = False
        while (holder := self._locks.holders.get(key)) is not None and holder is not self:
            await self._wait(holder, key)
            waited = True
        if holder is None:
            self._hold(key)
        return waited

    def write(self, tables: Tables, table: str, row: Row) -> None:
        """Have the row written when the transaction commits."""
        self._locks.order.logged += 1
        self.written.append((tables, table, row))

    def place(self, lacking: frozenset[str]) -> Place:
        """Where the transactions that a statement inserts come among the events."""
        return self._locks.order.place(self._begun(), lacking)

    def commit(self) -> None:
        """Keep what was written, and let go of everything."""
        order = self._locks.order
        for tables, table, row in self.written:
            tables.put(table, row)
            if table == "transactions" and row["position"] < order.horizon:
                order.behind.append(f"{row['idempotency_key']} at {row['position']}, horizon {order.horizon}")
        self._end()

    def abort(self) -> None:
        """Keep nothing. May be called at any time, also after the end."""
        if self.open:
            self._end()

    def break_off(self, error: Exception) -> None:
        """End the wait of the transaction, if it waits, with an error."""
        if self._waiter is not None:
            fail(self._waiter, error)

    def _hold(self, key: Key) -> None:
        if not self.open:
            # It ended while it waited, with its connection.
            raise ConnectionResetError("connection lost")
        self._begun()
        self._locks.holders[key] = self
        self._held.append(key)

    def _begun(self) -> int:
        if self.xid is None:
            self.xid = self._locks.order.begin()
        return self.xid

    def _end(self) -> None:
        self.open = False
        if self.xid is not None:
            self._locks.order.end(self.xid)
        for key in self._held:
            del self._locks.holders[key]
        for waiter in self._waiters:
            settle(waiter)

    async def _wait(self, holder: "Transaction", key: Key) -> None:
        locks = self._locks
        if locks.log.lines is not None:
            locks.log.note(self.owner, f"waits for {holder.owner}, which has {key}")
        waiter: asyncio.Future[None] = locks.loop.create_future()
        holder._waiters.append(waiter)
        self._waiter, self.waits_for, self.waits_on = waiter, holder, key
        timers = (
            locks.loop.outside(DEADLOCK_S, self._look_for_deadlock),
            locks.loop.outside(locks.lock_timeout_s, self._give_up),
        )
        try:
            await waiter
        finally:
            self._waiter = self.waits_for = None
            for timer in timers:
                timer.cancel()

    def _look_for_deadlock(self) -> None:
        cycle = [self]
        while (after := cycle[-1].waits_for) is not None and after not in cycle:
            cycle.append(after)
        if after is not self:
            return
        self._locks.log.cover("deadlock")
        # Only what is not the service's locks rows in no order.
        if not any(each.owner == OUTSIDER for each in cycle):
            self._locks.deadlocks.append(", ".join(f"{each.owner} waits on {each.waits_on}" for each in cycle))
        self.break_off(asyncpg.DeadlockDetectedError("deadlock detected"))

    def _give_up(self) -> None:
        self._locks.log.cover("lock timeout")
        self.break_off(asyncpg.LockNotAvailableError("canceling statement due to lock timeout"))
