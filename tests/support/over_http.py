"""A ledger on PostgreSQL that is reached over HTTP: the client as an adapter, and the real service behind it.

Two services run in a thread, over one database: the product as it is put together for everybody, and one whose clock is
an hour behind, for what a test needs to have happened earlier. The tests reach both over TCP, with an API key of their
own for each tenant. The database is looked into only as a witness: nothing that the client tells comes from there.
"""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

import attrs
import httpx
import uvicorn
import uvloop
from litestar.types import ASGIApp

from adapters.http_client import HttpLedger, HttpReader, Retries, Wire
from adapters.http_client_events import HttpEvents
from adapters.http_client_told import as_told
from adapters.ids import UuidV7
from adapters.postgres.admin import Admin, tenant_id_of
from adapters.postgres.api_keys import ApiKeys
from adapters.postgres.audit import PostgresAudit
from adapters.postgres.engine import create_engine
from adapters.postgres.reader import PostgresReader
from adapters.postgres.schema import SERVICE_ROLE
from adapters.postgres.unit_of_work import PostgresStore
from entrypoints.composition import application
from entrypoints.http.app import create_app
from entrypoints.http.protocol import BoundedProtocol
from entrypoints.http.server import bind
from entrypoints.http.service import Service
from entrypoints.settings import Settings
from tests.support.stores import POOL_SIZE, ClockedStore, World
from wallet_core import Applied, BatchLedger, Command, GroupCommit, Outcome, Replayed, Transaction
from wallet_core.ports import Ids, Ledger

LEDGER_OVER_HTTP: Final = "http client, postgres"
READER_OVER_HTTP: Final = "http client's reader, postgres"

START_S_MAX: Final = 30.0
STOP_S_MAX: Final = 30.0
TIMEOUT_S: Final = 5.0
EARLIER: Final = timedelta(hours=1)


@attrs.frozen
class Services:
    """Where the service is served, and where the one whose clock is behind; over this database."""

    dsn: str
    url: str
    url_an_hour_ago: str


@attrs.define
class HttpWorld(World):
    """A world whose ledger is reached over HTTP. Its store and reader are the database itself, as a witness."""

    api_keys: dict[UUID, str] = attrs.field(kw_only=True, repr=False)
    wire: Wire = attrs.field(kw_only=True)
    wire_an_hour_ago: Wire = attrs.field(kw_only=True)

    def ledger(self, ids: Ids | None = None) -> Ledger:
        """The client. Ids are the service's business."""
        return HttpLedger(self.wire, self.api_keys)

    @property
    def an_hour_ago(self) -> World:
        """The same ledger, by the service whose clock is behind."""
        return attrs.evolve(self, wire=self.wire_an_hour_ago)


@attrs.define
class HttpReaderWorld(HttpWorld):
    """A world whose reader is the client as well. Since the API does not tell what a transaction was asked for with,
    what was written is compared without that."""

    async def do(self, *commands: Command, tenant: UUID | None = None) -> Sequence[Outcome]:
        """Carry out one batch, and have its transactions as a reader over HTTP has them."""
        return [_as_told(outcome) for outcome in await super().do(*commands, tenant=tenant)]


@asynccontextmanager
async def http_world(services: Services, *, reading: bool = False) -> AsyncIterator[HttpWorld]:
    """A world that is reached over HTTP, for two tenants with an API key each; with a reader over HTTP, or without."""
    owner = create_engine(services.dsn, pool_size=1)
    api_keys: dict[UUID, str] = {}
    try:
        for _ in range(2):
            name = f"t{uuid4().hex}"
            _, secret = await Admin(owner).create_key(name, "tests", ("read", "write"))
            api_keys[tenant_id_of(name)] = secret
    finally:
        await owner.dispose()
    tenant, other_tenant = api_keys
    engine = create_engine(services.dsn, pool_size=POOL_SIZE, pool_timeout_ms=30_000, role=SERVICE_ROLE)
    async with httpx.AsyncClient(verify=False) as http:
        wires = [Wire(http, url, Retries()) for url in (services.url, services.url_an_hour_ago)]
        reader = HttpReader(wires[0], api_keys) if reading else PostgresReader(engine)
        try:
            yield (HttpReaderWorld if reading else HttpWorld)(
                PostgresStore(engine),
                reader,
                tenant,
                other_tenant,
                UuidV7(),
                api_keys=api_keys,
                wire=wires[0],
                wire_an_hour_ago=wires[1],
                events=HttpEvents(wires[0], api_keys),
            )
        finally:
            await engine.dispose()


@contextmanager
def services_over(dsn: str, **settings: str) -> Iterator[Services]:
    """Both services over a migrated database, for as long as the context lasts. The settings are the product's."""
    listeners = [bind("127.0.0.1", 0) for _ in range(2)]
    urls = [f"http://127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    servers: list[_Server] = []
    made = threading.Event()

    async def serve() -> None:
        async with _an_hour_behind(dsn) as behind, asyncio.TaskGroup() as group:
            product = application(Settings.from_environment({"WALLET_DATABASE_URL": dsn, **settings}), dsn)
            servers.extend(_Server(app) for app in (product, behind))
            made.set()
            for server, listener in zip(servers, listeners, strict=True):
                group.create_task(server.serve([listener]))

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        if not (made.wait(START_S_MAX) and all(server.answers.wait(START_S_MAX) for server in servers)):
            raise RuntimeError("the services did not start")
        yield Services(dsn, *urls)
    finally:
        for server in servers:
            server.should_exit = True
        thread.join(STOP_S_MAX)


class _Server(uvicorn.Server):
    """A server that says when it answers."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=BoundedProtocol,
                ws="none",
                interface="asgi3",
                lifespan="on",
                log_config=None,
                access_log=False,
            )
        )
        self.answers = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answers.set()


@asynccontextmanager
async def _an_hour_behind(dsn: str) -> AsyncIterator[ASGIApp]:
    """The service, put together like the product, but for its clock."""
    engine = create_engine(dsn, pool_size=POOL_SIZE, role=SERVICE_ROLE)
    store = ClockedStore(PostgresStore(engine), lambda now: now - EARLIER)
    group = GroupCommit(BatchLedger(store, UuidV7()))
    try:
        yield create_app(Service(group, PostgresReader(engine), PostgresAudit(engine), ApiKeys(engine), TIMEOUT_S))
    finally:
        await group.close()
        await engine.dispose()


def _as_told(outcome: Outcome) -> Outcome:
    match outcome:
        case Applied(transaction):
            return Applied(as_told(transaction))
        case Replayed(Transaction() as transaction):
            return Replayed(as_told(transaction))
        case _:
            return outcome
