"""The service in this process, over the ledger in memory; every answer is held to the OpenAPI document."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final
from uuid import uuid4

import attrs
import httpx
from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator

from adapters.ids import UuidV7
from adapters.memory import MemoryStore
from adapters.memory_events import MemoryEvents
from entrypoints.http.answers import WRITE_METHODS
from entrypoints.http.app import create_app
from entrypoints.http.openapi import build_document
from entrypoints.http.service import Service
from wallet_core.events import AnnouncingLedger
from wallet_core.events_feed import EventFeed
from wallet_core.group_commit import GroupCommit
from wallet_core.ledger import BatchLedger
from wallet_core.ports import Authenticator, Ledger, Principal, Reader
from wallet_core.verify import AuditSource

TENANT: Final = uuid4()
OTHER_TENANT: Final = uuid4()
KEYS: Final[Mapping[str, Principal]] = {
    "all": Principal(TENANT, uuid4(), frozenset({"read", "write", "admin"})),
    "reader": Principal(TENANT, uuid4(), frozenset({"read"})),
    "writer": Principal(TENANT, uuid4(), frozenset({"write"})),
    "admin": Principal(TENANT, uuid4(), frozenset({"admin"})),
    "other": Principal(OTHER_TENANT, uuid4(), frozenset({"read", "write"})),
    "suspended": Principal(OTHER_TENANT, uuid4(), frozenset(), suspended=True),
}
UNKNOWN_ID: Final = "0190a0a0-0000-7000-8000-000000000000"

Json = Any


class KnownKeys:
    """An ``Authenticator`` of a few fixed keys."""

    def known(self, secret: str) -> Principal | None:
        return KEYS.get(secret)

    async def find(self, secret: str) -> Principal | None:
        return KEYS.get(secret)


class Clock:
    """The database's clock, which a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 31, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        # Each look is a little later, as it is with a real one.
        self.now += timedelta(microseconds=1)
        return self.now


@attrs.define
class Api:
    """A client of the service, with a key of all scopes unless told otherwise."""

    client: httpx.AsyncClient
    store: MemoryStore
    clock: Clock
    _numbers: "itertools.count[int]" = attrs.field(factory=itertools.count)

    async def send(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        key: str | None = None,
        api_key: str | None = "all",
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """Send a request, and check its answer against the OpenAPI document."""
        sent = {"content-type": "application/json"} if body is not None or content is not None else {}
        if api_key is not None:
            sent["authorization"] = f"Bearer {api_key}"
        if key is not None:
            sent["idempotency-key"] = key
        sent.update(headers or {})
        if content is None and body is not None:
            response = await self.client.request(method, path, json=body, headers=sent)
        else:
            response = await self.client.request(method, path, content=content, headers=sent)
        check_answer(method, path, response)
        return response

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.send("GET", path, **options)

    async def post(self, path: str, body: Json = None, key: str | None = None, **options: Any) -> httpx.Response:
        """A write; with a key of its own unless one is given."""
        return await self.send("POST", path, body, key=key or self.new_key(), **options)

    async def patch(self, path: str, body: Json, key: str | None = None, **options: Any) -> httpx.Response:
        return await self.send("PATCH", path, body, key=key or self.new_key(), **options)

    def new_key(self) -> str:
        return f"key-{next(self._numbers)}"

    async def new_wallet(self, balance: int = 0, **members: Json) -> str:
        """Open a wallet, and return its id."""
        opened = await self.post("/v1/wallets", {"currency": "EUR", **members})
        assert opened.status_code == 201, opened.text
        id: str = opened.json()["id"]
        if balance:
            credited = await self.post(f"/v1/wallets/{id}/credits", {"amount": balance})
            assert credited.status_code == 201, credited.text
        return id

    async def new_hold(self, wallet_id: str, amount: int, **members: Json) -> str:
        placed = await self.post(f"/v1/wallets/{wallet_id}/holds", {"amount": amount, **members})
        assert placed.status_code == 201, placed.text
        id: str = placed.json()["hold"]["id"]
        return id

    async def wallet(self, wallet_id: str) -> Json:
        return (await self.get(f"/v1/wallets/{wallet_id}")).json()


@asynccontextmanager
async def running_api(
    *,
    ledger: Ledger | None = None,
    reader: Reader | None = None,
    audit: AuditSource | None = None,
    authenticator: Authenticator | None = None,
    timeout_s: float = 5.0,
    **limits: Any,
) -> AsyncIterator[Api]:
    """The service over a new ledger; what is given stands in for the real one."""
    clock = Clock()
    store = MemoryStore(clock)
    events = EventFeed(MemoryEvents(store.committed))
    real = GroupCommit(AnnouncingLedger(BatchLedger(store, UuidV7()), events.announce))
    limits.setdefault("events", events)
    service = Service(
        ledger or real, reader or store, audit or store, authenticator or KnownKeys(), timeout_s, **limits
    )
    async with client_of(create_app(service)) as client:
        yield Api(client, store, clock)
    await real.close()


def client_of(app: Any) -> httpx.AsyncClient:
    """A client of an ASGI application in this process. Typed loosely: the libraries spell its type differently."""
    transport = httpx.ASGITransport(as_served(app), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://wallet")


def as_served(app: Any) -> Any:
    """The application as the protocol calls it: a write is begun with at once, if the application can do that."""

    async def served(scope: Any, receive: Any, send: Any) -> None:
        begin = getattr(app, "begin", None)
        if begin is None or scope["type"] != "http" or scope["method"] not in WRITE_METHODS:
            await app(scope, receive, send)
            return
        coming = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        if coming.done() and not coming.result().get("more_body"):
            answered = asyncio.get_running_loop().create_future()
            if begin(scope, coming.result()["body"], answered.set_result):
                await (await answered)(scope, receive, send)
                return
        first = [coming]

        async def receive_all() -> Any:
            return await (first.pop() if first else receive())

        await app(scope, receive_all, send)
        coming.cancel()

    return served


def problem_of(response: httpx.Response) -> str:
    """The slug of the problem that an answer is; empty if it is none."""
    if response.headers.get("content-type") != "application/problem+json":
        return ""
    problem: str = response.json()["type"].removeprefix("/problems/")
    return problem


def check_answer(method: str, path: str, response: httpx.Response) -> None:
    """Hold an answer to the OpenAPI document, if it is about an operation that the document has."""
    described = _operation(method, path.partition("?")[0])
    # A method or path that no operation has is answered all the same.
    if described is None:
        return
    status = str(response.status_code)
    assert status in described["responses"], f"{method} {path} answers {status}, which the document does not know"
    answer = described["responses"][status]
    for name, reference in answer.get("headers", {}).items():
        header = document()["components"]["headers"][reference["$ref"].rpartition("/")[2]]
        assert not header.get("required") or name in response.headers, f"{method} {path} {status} lacks {name}"
    if "content" not in answer:
        assert not response.content
        return
    media_type = response.headers["content-type"]
    assert media_type in answer["content"]
    _validator(described["operationId"], status, media_type).validate(response.json())


@cache
def document() -> Json:
    return build_document()


def _operation(method: str, path: str) -> Json | None:
    for template, methods in document()["paths"].items():
        if re.fullmatch(template.replace("{id}", "[^/]+"), path):
            return methods.get(method.lower())
    return None


@cache
def _validator(operation_id: str, status: str, media_type: str) -> Validator:
    operations = (operation for methods in document()["paths"].values() for operation in methods.values())
    (operation,) = (operation for operation in operations if operation["operationId"] == operation_id)
    schema = operation["responses"][status]["content"][media_type]["schema"]
    return Draft202012Validator(
        {**schema, "components": document()["components"]}, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
