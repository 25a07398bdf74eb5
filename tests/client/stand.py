"""The service in this process, over a ledger that a test brings, and the client's ledger in front of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

import httpx
from litestar.types import ASGIApp

from adapters.http_client import HttpLedger, Retries, Wire
from adapters.memory import MemoryStore
from entrypoints.http.app import create_app
from entrypoints.http.service import Service
from tests.client.scripted import Script
from tests.http.api import TENANT, KnownKeys
from tests.http.problem_scenarios import Always
from wallet_core import Overloaded
from wallet_core.ports import Ledger


@cache
def service() -> tuple[Service, ASGIApp]:
    """The service, put together once, whose ledger and reader each test replaces."""
    nothing = MemoryStore()
    made = Service(Always(Overloaded()), nothing, nothing, KnownKeys(), 5.0)
    return made, create_app(made)


@asynccontextmanager
async def client_of(ledger: Ledger, store: MemoryStore | None = None) -> AsyncIterator[HttpLedger]:
    """The client's ledger, in front of the service, in front of this one. Time passes when the client waits."""
    behind, app = service()
    behind.ledger, behind.reader = ledger, store or MemoryStore()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
    script = Script([])
    retries = Retries(deadline_s=3, now=lambda: script.now, sleep=script.sleep)
    async with httpx.AsyncClient(transport=transport, verify=False) as http:
        yield HttpLedger(Wire(http, "http://wallet", retries), {TENANT: "all"})
