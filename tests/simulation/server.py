"""The modelled PostgreSQL as a server: its clock, its sessions, its crashes, and the time that messages take."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from random import Random
from typing import Final, Protocol
from uuid import UUID

from tests.simulation.faults import Plan
from tests.simulation.log import Log
from tests.simulation.loop import Process, VirtualLoop
from tests.simulation.tables import Tables
from tests.simulation.transactions import Locks, Transaction
from tests.support.time import NOON

LOCK_TIMEOUT_S: Final = 7.5
STATEMENT_TIMEOUT_S: Final = 10.0
IDLE_IN_TRANSACTION_S: Final = 10.0
"""As the composition root sets them, for requests that wait for 5 s."""

NOTICED_AFTER_S: Final = (0.0, 0.02, 3.0)
"""How long the server takes to notice that a client has gone."""
RECOVERY_S: Final = (0.001, 0.2, 4.0)
STORM_STATEMENTS: Final = 30


class Connected(Protocol):
    """A session, as its server sees it."""

    process: Process | None

    def server_is_gone(self) -> None:
        """The server has crashed."""
        ...

    def client_is_gone(self) -> None:
        """The client's process has died."""
        ...


class Server:
    """One PostgreSQL server with one database. ``kill`` is what happens to a process that a fault kills."""

    def __init__(
        self, loop: VirtualLoop, random: Random, tables: Iterable[Tables], plan: Plan, log: Log, lacking: frozenset[str]
    ) -> None:
        self.loop = loop
        self.random = random
        self.tables = {each.tenant: each for each in tables}
        self.plan = plan
        self.log = log
        self.lacking = lacking
        self.locks = Locks(loop, log, LOCK_TIMEOUT_S)
        positions = [row["position"] for each in self.tables.values() for row in each.transactions.values()]
        self.locks.order.assigned = self.locks.order.ended = max(positions, default=0)
        self.kill: Callable[[Process], None] = loop.kill
        self.up = True
        self.storm = 0
        self.unacknowledged: set[UUID] = set()
        """What was committed without anybody being told."""
        self.sessions: dict[Connected, None] = {}
        self._clock_offset_s = 0.0

    def now(self) -> datetime:
        """The server's clock, which is not always right."""
        return NOON + timedelta(seconds=self.loop.time() + self._clock_offset_s)

    def step_clock_back(self) -> None:
        """As a clock does that was fast."""
        self._clock_offset_s -= 2.0

    def delay(self) -> float:
        """How long a message takes, in seconds: most of them about as long as each other, some much longer."""
        draw = self.random.random()
        return draw * 0.001 if draw < 0.9 else (draw - 0.9) * 0.2

    def crash(self) -> None:
        """Kill the server. Open transactions are gone, and so are the connections; what was committed stays."""
        self.up = False
        self.log.note("database", "crashes")
        for session in self.sessions:
            session.server_is_gone()
        self.sessions.clear()
        self.loop.outside(self.random.choice(RECOVERY_S), self._recover)

    def _recover(self) -> None:
        self.up = True
        self.log.note("database", "is back")

    def notice_later(self, transaction: Transaction) -> None:
        """The client has gone. The server goes on for a while, and keeps the locks."""
        self.loop.outside(self.random.choice(NOTICED_AFTER_S), transaction.abort)

    def client_died(self, process: Process) -> None:
        """All sessions of a process have lost their client."""
        for session in [session for session in self.sessions if session.process is process]:
            session.client_is_gone()
