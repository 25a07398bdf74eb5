"""How long a request waits, what it says when it stops waiting, and that the work goes on."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar.types import Message, Receive, Scope, Send

from adapters.ids import UuidV7
from adapters.memory import MemoryStore
from entrypoints.http.app import create_routes
from entrypoints.http.edge import Edge
from entrypoints.http.problem_types import OUTCOME_UNKNOWN
from entrypoints.http.problems import Refused
from entrypoints.http.service import Service
from tests.http.api import TENANT, Api, KnownKeys, client_of, problem_of, running_api
from tests.http.problem_scenarios import Always
from wallet_core.commands import Command, OpenWallet
from wallet_core.group_commit import GroupCommit
from wallet_core.ledger import BatchLedger
from wallet_core.model import Transaction, Wallet
from wallet_core.outcomes import Outcome
from wallet_core.ports import Unavailable


class Gate:
    """A ledger that starts its work only once it is let."""

    def __init__(self, store: MemoryStore) -> None:
        self.ledger = BatchLedger(store, UuidV7())
        self.open = asyncio.Event()
        self.asked = asyncio.Event()

    async def execute(self, tenant: UUID, commands: Sequence[Command]) -> Sequence[Outcome]:
        self.asked.set()
        await self.open.wait()
        return await self.ledger.execute(tenant, commands)


async def test_past_the_limit_the_outcome_is_unknown_and_the_work_goes_on() -> None:
    store = MemoryStore()
    gate = Gate(store)
    async with running_api(ledger=gate, reader=store, timeout_s=0.02) as api:
        answer = await api.post("/v1/wallets", {"currency": "EUR"}, key="slow")
        assert (answer.status_code, problem_of(answer)) == (504, "outcome-unknown")
        assert (answer.json()["outcome"], answer.json()["retry"]) == ("unknown", "same_key")
        gate.open.set()
        await asyncio.sleep(0.01)
        assert isinstance(await store.decision(TENANT, "slow"), Transaction)
        again = await api.post("/v1/wallets", {"currency": "EUR"}, key="slow")
        assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")


async def test_a_client_that_goes_away_changes_nothing() -> None:
    store = MemoryStore()
    gate = Gate(store)
    async with running_api(ledger=gate, reader=store) as api:
        request = asyncio.create_task(api.post("/v1/wallets", {"currency": "EUR"}, key="left"))
        await gate.asked.wait()
        request.cancel()
        await asyncio.wait((request,))
        gate.open.set()
        await asyncio.sleep(0.01)
        assert isinstance(await store.decision(TENANT, "left"), Transaction)


async def test_a_failure_after_everybody_has_left_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    ledger = Always(ZeroDivisionError("late"), after_s=0.05)
    async with running_api(ledger=ledger, timeout_s=0.01) as api:
        assert problem_of(await api.post("/v1/wallets", {"currency": "EUR"})) == "outcome-unknown"
        await asyncio.sleep(0.1)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "late" in caplog.text


class SlowReader(MemoryStore):
    """A reader that answers late, or not at all."""

    def __init__(self, failure: Exception | None = None, after_s: float = 0.0) -> None:
        super().__init__(lambda: datetime(2026, 1, 1, tzinfo=UTC))
        self.failure = failure
        self.after_s = after_s

    async def wallet(self, tenant: UUID, wallet_id: UUID) -> Wallet | None:
        await self.ready()
        return await super().wallet(tenant, wallet_id)

    async def ready(self) -> None:
        await asyncio.sleep(self.after_s)
        if self.failure:
            raise self.failure


async def read_wallet(api: Api) -> httpx.Response:
    return await api.get("/v1/wallets/0190a0a0-0000-7000-8000-000000000000")


@pytest.mark.parametrize("reader", [SlowReader(Unavailable()), SlowReader(after_s=30)])
async def test_a_read_waits_no_longer_than_a_write(reader: SlowReader) -> None:
    async with running_api(reader=reader, timeout_s=0.02) as api:
        answer = await read_wallet(api)
        assert (answer.status_code, problem_of(answer)) == (503, "database-unavailable")
        assert answer.json()["outcome"] == "not_applied"
        assert answer.headers["retry-after"] == "1"


async def test_too_many_reads_at_once_are_turned_away_at_once() -> None:
    async with running_api(reader=SlowReader(after_s=0.1), reads_max=3) as api:
        answers = await asyncio.gather(*(read_wallet(api) for _ in range(5)))
        assert sorted(map(problem_of, answers)) == ["overloaded"] * 2 + ["wallet-not-found"] * 3
        assert problem_of(await read_wallet(api)) == "wallet-not-found"


async def test_a_full_queue_is_told_at_once_and_recovers() -> None:
    store = MemoryStore()
    gate = Gate(store)
    queue = GroupCommit(gate, queue_commands_max=2)
    async with running_api(ledger=queue, reader=store) as api:
        first = asyncio.create_task(api.post("/v1/wallets", {"currency": "EUR"}))
        await gate.asked.wait()
        waiting = [asyncio.create_task(api.post("/v1/wallets", {"currency": "EUR"})) for _ in range(2)]
        await asyncio.sleep(0.01)
        refused = await api.post("/v1/wallets", {"currency": "EUR"})
        assert (refused.status_code, problem_of(refused)) == (503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        gate.open.set()
        assert [(await request).status_code for request in (first, *waiting)] == [201] * 3
        assert (await api.post("/v1/wallets", {"currency": "EUR"})).status_code == 201


async def test_a_full_queue_turns_writes_away_before_their_bodies_are_read() -> None:
    """Reading what is then refused would make refusing as dear as serving."""
    full = True
    async with running_api(is_full=lambda: full) as api:
        headers = {"content-type": "application/json"}
        refused = await api.post("/v1/wallets", content=b"no JSON", headers=headers)
        assert (refused.status_code, problem_of(refused)) == (503, "overloaded")
        assert problem_of(await read_wallet(api)) == "wallet-not-found"
        assert problem_of(await api.post("/v1/wallets", {"currency": "EUR"}, api_key="reader")) == "forbidden"
        full = False
        assert (await api.post("/v1/wallets", {"currency": "EUR"})).status_code == 201


async def test_the_bodies_under_way_have_room_together_and_leave_it() -> None:
    store = MemoryStore()
    gate = Gate(store)
    service = Service(gate, store, store, KnownKeys(), 5.0)
    edge = Edge(create_routes(service), bodies_bytes_max=1000)
    long = {"currency": "EUR", "metadata": {"note": "x" * 600}}
    async with client_of(edge) as client:

        def open_wallet(key: str) -> "asyncio.Task[httpx.Response]":
            headers = {"authorization": "Bearer all", "idempotency-key": key}
            return asyncio.create_task(client.post("/v1/wallets", json=long, headers=headers))

        first = open_wallet("first")
        await gate.asked.wait()
        refused = await open_wallet("second")
        assert (refused.status_code, problem_of(refused)) == (503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        gate.open.set()
        assert (await first).status_code == 201
        assert (await open_wallet("second")).status_code == 201


async def test_a_write_whose_request_is_cancelled_is_told_as_unknown_and_goes_on() -> None:
    """The server cancels the requests that its own end overtakes."""
    store = MemoryStore()
    gate = Gate(store)
    service = Service(gate, store, store, KnownKeys(), 5.0)
    commands = [OpenWallet("left", "EUR")]
    request = asyncio.create_task(service.execute(TENANT, commands))
    await gate.asked.wait()
    request.cancel()
    with pytest.raises(Refused) as refused:
        await request
    assert refused.value.problem.type is OUTCOME_UNKNOWN
    gate.open.set()
    await asyncio.sleep(0.01)
    assert isinstance(await store.decision(TENANT, "left"), Transaction)


async def test_a_read_whose_request_is_cancelled_is_answered() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(30)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope: Any = {"type": "http", "method": "GET", "path": "/v1/wallets", "raw_path": b"/v1/wallets", "headers": []}
    request = asyncio.ensure_future(Edge(app)(scope, receive, send))
    await asyncio.sleep(0)
    request.cancel()
    await request
    assert [message.get("status") for message in sent] == [503, None]


async def test_a_service_that_is_stopping_takes_nothing_more() -> None:
    store = MemoryStore()
    queue = GroupCommit(BatchLedger(store, UuidV7()))
    async with running_api(ledger=queue, reader=store) as api:
        await queue.close()
        assert problem_of(await api.post("/v1/wallets", {"currency": "EUR"})) == "overloaded"


async def test_health_tells_alive_from_ready() -> None:
    async with running_api(reader=SlowReader(Unavailable())) as api:
        assert (await api.get("/health/live", api_key=None)).json() == {"status": "ok"}
        ready = await api.get("/health/ready", api_key=None)
        assert (ready.status_code, ready.json()) == (503, {"status": "unavailable", "missing": ["database"]})
    async with running_api(reader=SlowReader(after_s=30), timeout_s=0.02) as api:
        assert (await api.get("/health/ready", api_key=None)).status_code == 503
    async with running_api() as api:
        ready = await api.get("/health/ready", api_key=None)
        assert (ready.status_code, ready.json()) == (200, {"status": "ok"})
