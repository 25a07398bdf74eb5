"""The proof of a wallet over HTTP: over memory, and over a real database that somebody tampered with."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID

import pytest

from adapters.ids import UuidV7
from adapters.postgres.audit import PostgresAudit
from adapters.postgres.engine import INDEX_ONLY_PLANS, create_engine
from adapters.postgres.reader import PostgresReader
from adapters.postgres.schema import SERVICE_ROLE
from adapters.postgres.unit_of_work import PostgresStore
from tests.databases import execute
from tests.http.api import OTHER_TENANT, TENANT, UNKNOWN_ID, Api, problem_of, running_api
from wallet_core import BatchLedger
from wallet_core.findings import WALLET_CHECKS
from wallet_core.ports import Unavailable
from wallet_core.verify import AuditView


@asynccontextmanager
async def api_on_postgresql(dsn: str, timeout_s: float = 5.0) -> AsyncIterator[Api]:
    await execute(
        dsn,
        f"INSERT INTO tenants VALUES ('{TENANT}', 'ours', now()), ('{OTHER_TENANT}', 'theirs', now())",
    )
    engine = create_engine(dsn, role=SERVICE_ROLE, planner=INDEX_ONLY_PLANS)
    proving = create_engine(dsn, role=SERVICE_ROLE, planner=INDEX_ONLY_PLANS, pool_size=1, pool_timeout_ms=300)
    ledger = BatchLedger(PostgresStore(engine), UuidV7())
    try:
        async with running_api(
            ledger=ledger, reader=PostgresReader(engine), audit=PostgresAudit(proving), timeout_s=timeout_s
        ) as api:
            yield api
    finally:
        await engine.dispose()
        await proving.dispose()


@pytest.fixture(params=["memory", "postgresql"])
async def api(request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    opened = running_api() if request.param == "memory" else api_on_postgresql(request.getfixturevalue("database"))
    async with opened as api:
        yield api


async def test_a_wallet_that_holds(api: Api) -> None:
    wallet = await api.new_wallet(100)
    last = await api.post(f"/v1/wallets/{wallet}/holds", {"amount": 30, "expires_in": 60})
    answer = await api.get(f"/v1/wallets/{wallet}/verification")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "ok": True,
        "entries": 3,
        "head_hash": last.json()["entries"][0]["hash"],
        "checks": [{"name": check.value, "ok": True, "detail": "holds"} for check in WALLET_CHECKS],
    }


async def test_a_wallet_that_is_not_there_or_of_another_tenant(api: Api) -> None:
    wallet = await api.new_wallet()
    assert problem_of(await api.get(f"/v1/wallets/{UNKNOWN_ID}/verification")) == "wallet-not-found"
    assert problem_of(await api.get("/v1/wallets/7/verification")) == "wallet-not-found"
    for_another = await api.get(f"/v1/wallets/{wallet}/verification", api_key="other")
    assert problem_of(for_another) == "wallet-not-found"
    assert for_another.json()["wallet_id"] == wallet


async def test_a_parameter_that_is_unknown_is_refused(api: Api) -> None:
    wallet = await api.new_wallet()
    assert problem_of(await api.get(f"/v1/wallets/{wallet}/verification?since=1")) == "malformed-request"


async def test_it_needs_a_key_that_may_read(api: Api) -> None:
    wallet = await api.new_wallet()
    path = f"/v1/wallets/{wallet}/verification"
    assert problem_of(await api.get(path, api_key=None)) == "unauthenticated"
    assert problem_of(await api.get(path, api_key="writer")) == "forbidden"
    assert (await api.get(path, api_key="reader")).status_code == 200


async def test_what_was_tampered_with_is_told(database: str) -> None:
    async with api_on_postgresql(database) as api:
        wallet, untouched = await api.new_wallet(100), await api.new_wallet(100)
        await execute(database, f"UPDATE entries SET change = 99 WHERE wallet_id = '{wallet}' AND version = 2")
        proof = (await api.get(f"/v1/wallets/{wallet}/verification")).json()
        assert (proof["ok"], proof["entries"]) == (False, 2)
        failed = {check["name"]: check["detail"] for check in proof["checks"] if not check["ok"]}
        assert set(failed) == {"running-balances", "hash-chain", "entries-match-receipts"}
        detail = f"1 found; first: wallet {wallet} version 2: 0 +99 is not 100, or held 0 +0 not 0"
        assert failed["running-balances"] == detail
        assert (await api.get(f"/v1/wallets/{untouched}/verification")).json()["ok"]


async def test_a_proof_that_takes_too_long_is_given_up_and_the_next_one_is_answered(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given up at any moment: while the database is asked, while it answers, while an entry is proved."""
    monkeypatch.setattr("adapters.postgres.audit.ENTRIES_PER_FETCH", 5)
    async with api_on_postgresql(database) as api:
        wallet = await api.new_wallet()
        commands = [
            {"type": "credit", "idempotency_key": f"k{number}", "wallet_id": wallet, "amount": 1}
            for number in range(1000)
        ]
        assert (await api.send("POST", "/v1/batches", {"commands": commands})).status_code == 200
        path = f"/v1/wallets/{wallet}/verification"
        takes_s = 60.0
        # The shortest of several: on a busy machine any of them may take much longer than it needs.
        for _ in range(5):
            began = time.monotonic()
            await api.get(path)
            takes_s = min(takes_s, time.monotonic() - began)
        given_up = 0
        for step in range(40):
            asking = asyncio.ensure_future(api.get(path))
            await asyncio.sleep(takes_s * step / 40)
            given_up += asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            if step % 4 == 0:
                answer = await api.get(path)
                assert answer.status_code == 200, answer.text
                assert (answer.json()["ok"], answer.json()["entries"]) == (True, 1001)
        assert given_up > 10


class Away:
    """A database that is away."""

    def view(self, tenant: UUID) -> AbstractAsyncContextManager[AuditView]:
        raise Unavailable


async def test_an_absent_database_is_told() -> None:
    async with running_api(audit=Away()) as api:
        wallet = await api.new_wallet()
        assert problem_of(await api.get(f"/v1/wallets/{wallet}/verification")) == "database-unavailable"
