"""How long a request waits, what it says when it stops waiting, and that the work goes on."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest

from adapters.ids import UuidV7
from adapters.memory import MemoryStore
from tests.http.api import TENANT, Api, problem_of, running_api
from tests.http.problem_scenarios import Always
from wallet_core.commands import Command
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
