"""A service of two processes with everything on that is about security, and an administrator beside it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

import attrs
import httpx
import psutil
import pytest

from adapters.postgres.admin import Admin
from adapters.postgres.engine import create_engine
from tests.databases import Databases
from tests.databases import run as run_async
from tests.http.api import Api, running_api
from tests.http.process import Running, serving
from tests.support.http_servers import Quiet, answering

ORIGIN = "https://shop.example"
LIMIT_PER_S = 100


@attrs.frozen
class Secured:
    """The service, and its database."""

    service: Running
    dsn: str
    shop: str
    """The origin of a page, on this machine, that may call the API."""

    def administer(self, work: Any) -> Any:
        """What ``work``, which takes an ``Admin``, returns."""

        async def run() -> object:
            engine = create_engine(self.dsn)
            try:
                return await work(Admin(engine, "ada@desk"))
            finally:
                await engine.dispose()

        return run_async(run())

    def new_key(self, *scopes: str, tenant: str = "default", **options: Any) -> str:
        """A new key's secret, under which hardly anything is refused for coming too often."""
        options.setdefault("rate_limit_per_s", 100_000)
        _, secret = self.administer(
            lambda admin: admin.create_key(tenant, "test", scopes or ("read", "write"), **options)
        )
        return str(secret)

    def workers(self) -> list[psutil.Process]:
        """The processes that answer requests."""
        found = []
        for child in psutil.Process(self.service.process.pid).children():
            with suppress(psutil.NoSuchProcess):
                if "spawn_main" in " ".join(child.cmdline()):
                    found.append(child)
        return found

    @contextmanager
    def connections(self, each: int = 4) -> Iterator[list[HTTPConnection]]:
        """Connections of which each process has as many. Left alone, one of them may take them all."""
        address = urlsplit(self.service.url)
        workers = self.workers()
        with ExitStack() as stack:
            connections = []
            for worker in workers:
                others = [other for other in workers if other != worker]
                for other in others:
                    other.suspend()
                try:
                    for _ in range(each):
                        connection = HTTPConnection(str(address.hostname), address.port, timeout=30)
                        stack.callback(connection.close)
                        connection.request("GET", "/health/live")
                        connection.getresponse().read()
                        connections.append(connection)
                finally:
                    for other in others:
                        other.resume()
            yield connections

    def client(self, secret: str | None, **options: Any) -> httpx.Client:
        headers = {} if secret is None else {"authorization": f"Bearer {secret}"}
        return httpx.Client(base_url=self.service.url, headers=headers, timeout=30, **options)


class _Empty(Quiet, BaseHTTPRequestHandler):
    """An empty page at every address."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "0")
        self.end_headers()


def shop() -> AbstractContextManager[str]:
    """The origin of a web site of somebody's own."""
    return answering(_Empty)


@pytest.fixture(scope="session")
def secured(databases: Databases) -> Iterator[Secured]:
    dsn = databases.create()
    with shop() as origin:
        settings = {
            "WALLET_WORKERS": "2",
            "WALLET_RATE_LIMIT": str(LIMIT_PER_S),
            "WALLET_CORS_ORIGINS": f"{origin},{ORIGIN}",
            "WALLET_HSTS": "on",
        }
        with serving(dsn, **settings) as service:
            yield Secured(service, dsn, origin)
    databases.drop(dsn)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """The service in this process, as it is without any setting."""
    async with running_api() as running:
        yield running
