"""The service in this event loop, over the ledger in memory, reached over TCP: streams do not end by themselves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import attrs
import httpx
import uvicorn

from adapters.ids import UuidV7
from adapters.memory import MemoryStore
from adapters.memory_events import MemoryEvents
from entrypoints.http.app import create_app
from entrypoints.http.protocol import BoundedProtocol
from entrypoints.http.server import bind
from entrypoints.http.service import Service
from tests.support.builders import A
from wallet_core import Applied, BatchLedger, OpenWallet, Transaction, credit
from wallet_core.events import AnnouncingLedger, EventReader
from wallet_core.events_feed import EventFeed
from wallet_core.ports import Principal

WAIT_S_MAX = 10.0


@attrs.define
class Keys:
    """An ``Authenticator`` of one key, until it is revoked."""

    tenant: UUID
    revoked: bool = False

    async def find(self, secret: str) -> Principal | None:
        return None if self.revoked else Principal(self.tenant, self.tenant, frozenset({"read"}))

    def known(self, secret: str) -> Principal | None:
        return None


@attrs.define
class Served:
    """A service, what is behind it, and a client of it."""

    url: str
    tenant: UUID
    keys: Keys
    feed: EventFeed
    ledger: AnnouncingLedger
    server: uvicorn.Server
    running: "asyncio.Task[None]"
    client: httpx.AsyncClient

    async def credit(self, key: str) -> Transaction:
        (outcome,) = await self.ledger.execute(self.tenant, [credit(key, A, 1)])
        assert isinstance(outcome, Applied)
        return outcome.transaction

    async def stop(self) -> float:
        """Stop the service. Returns how long that took, in seconds."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.server.should_exit = True
        await self.running
        return loop.time() - began

    async def settled(self, followers: int) -> None:
        """Return when so many follow the events."""
        async with asyncio.timeout(WAIT_S_MAX):
            while self.feed.followers != followers:  # noqa: ASYNC110 - the feed is under test, and tells nobody
                await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(reader: EventReader | None = None, followers_max: int = 100) -> AsyncIterator[Served]:
    """A service with one wallet, over a reader of events of the test's own, if there is one."""
    store, tenant = MemoryStore(), uuid4()
    feed = EventFeed(reader or MemoryEvents(store.committed), followers_max)
    ledger = AnnouncingLedger(BatchLedger(store, UuidV7()), feed.announce)
    await ledger.execute(tenant, [OpenWallet("open", "EUR", id=A)])
    keys = Keys(tenant)
    app = create_app(Service(ledger, store, store, keys, 5.0, events=feed))
    listener = bind("127.0.0.1", 0)
    server = uvicorn.Server(
        uvicorn.Config(app, http=BoundedProtocol, ws="none", interface="asgi3", log_config=None, access_log=False)
    )
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    running = asyncio.create_task(server.serve([listener]))
    async with httpx.AsyncClient(base_url=url, headers={"authorization": "Bearer key"}, timeout=WAIT_S_MAX) as client:
        served = Served(url, tenant, keys, feed, ledger, server, running, client)
        try:
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.005)
            yield served
        finally:
            await served.stop()
