"""The real service, whose way to PostgreSQL is cut or falls silent: what its callers read, and that it recovers."""

import asyncio
import time
from collections.abc import AsyncIterator

import attrs
import pytest
import pytest_asyncio

from tests.databases import Databases
from tests.faults.served import Customers, served, sessions_in
from tests.http.api import problem_of
from tests.http.process import Running
from tests.support.proxy.postgres import Point, PostgresProxy
from tests.support.proxy.rules import Action, Cut, HalfOpen
from tests.support.waits import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

APPLICATION = "wallet-service"
TIMEOUT_S = 1.0
RECOVERY_S_MAX = 25.0
# By default a request waits for 5 s. The limits of the database follow from it, to at least twice as much.
SETTINGS = {"WALLET_REQUEST_TIMEOUT_MS": str(round(TIMEOUT_S * 1000))}

CUTS: list[tuple[Point, str | None, Action]] = [
    (Point.START_UP, None, Cut()),
    (Point.STATEMENT_SENT, "BEGIN", Cut()),
    (Point.STATEMENT_SENT, "INSERT INTO transactions", Cut()),
    (Point.BEFORE_COMMIT, None, Cut()),
    (Point.COMMIT_SENT, None, Cut(reset=False)),
    (Point.AFTER_COMMIT, None, Cut()),
]


@attrs.define
class Stand:
    dsn: str
    proxy: PostgresProxy
    service: Running
    customers: Customers

    async def is_calm(self) -> bool:
        return await sessions_in(self.dsn, ("idle in transaction", "idle in transaction (aborted)", "active")) == 0

    async def require_healthy(self) -> None:
        """Require that all goes well again, however many come at once, and that nothing was left half done."""
        self.proxy.disarm()
        first = len(self.customers.settled)
        keys = [f"after-{number}" for number in range(first, first + 30)]
        answers = await asyncio.gather(*map(self.customers.insist, keys))
        assert {answer.status_code for answer in answers} == {201}
        await until(self.is_calm)
        assert (await self.customers.client.get("/health/ready")).status_code == 200
        await self.customers.require_true(self.dsn)
        assert not {*self.customers.answers} - {201, 503, 504}
        self.customers.answers.clear()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand(databases: Databases) -> AsyncIterator[Stand]:
    """One service for all, which has to recover from each."""
    dsn = databases.create()
    async with (
        PostgresProxy.before(dsn) as proxy,
        served(proxy.dsn, **SETTINGS) as service,
        service.async_client() as client,
    ):
        yield Stand(dsn, proxy, service, await Customers.enter(client))
    databases.drop(dsn)


async def test_a_cut_is_not_seen_by_callers_wherever_it_is(stand: Stand) -> None:
    for number, (point, text, action) in enumerate(CUTS):
        if point is Point.START_UP:
            stand.proxy.cut_all()
        rule = stand.proxy.arm(point, action, text=text, application=APPLICATION)
        answer = await stand.customers.insist(f"cut-{number}")
        await rule.fired()
        assert (answer.status_code, answer.headers["idempotent-replayed"]) == (201, "false")
        again = await stand.customers.credit(f"cut-{number}")
        assert (again.content, again.headers["idempotent-replayed"]) == (answer.content, "true")
    assert set(stand.customers.answers) == {201}
    await stand.require_healthy()


async def test_a_commit_that_is_not_acknowledged_is_unknown_in_time_and_the_key_tells(stand: Stand) -> None:
    rule = stand.proxy.arm(Point.AFTER_COMMIT, HalfOpen(), application=APPLICATION)
    started = time.monotonic()
    answer = await stand.customers.credit("silent")
    await rule.fired()
    assert time.monotonic() - started < 3 * TIMEOUT_S
    assert (answer.status_code, problem_of(answer)) == (504, "outcome-unknown")
    assert (answer.json()["outcome"], answer.json()["retry"]) == ("unknown", "same_key")
    settled = await stand.customers.insist("silent")
    assert (settled.status_code, settled.headers["idempotent-replayed"]) == (201, "true")
    await stand.require_healthy()


async def test_a_database_that_is_gone_after_a_commit_makes_it_unknown(stand: Stand) -> None:
    rule = stand.proxy.arm(Point.AFTER_COMMIT, Cut(), application=APPLICATION)
    asking = asyncio.create_task(stand.customers.credit("gone"))
    await rule.fired()
    stand.proxy.refuse()
    stand.proxy.cut_all()
    answer = await asking
    assert answer.status_code in (503, 504)
    assert (answer.json()["outcome"], answer.json()["retry"]) == ("unknown", "same_key")
    assert (await stand.customers.credit("nothing")).json()["outcome"] == "not_applied"
    await stand.proxy.listen()
    settled = await stand.customers.insist("gone")
    assert settled.headers["idempotent-replayed"] == "true"
    await stand.customers.insist("nothing")
    await stand.require_healthy()


async def test_when_all_connections_fall_silent_it_says_so_in_time_and_recovers_by_itself(stand: Stand) -> None:
    async with stand.customers.shopping():
        await stand.customers.told.reach(stand.customers.told.count + 50)
        assert stand.proxy.silence_all() > 0
        silent_at = time.monotonic()
        await stand.customers.told.reach(stand.customers.told.count + 200, RECOVERY_S_MAX)
    assert time.monotonic() - silent_at < RECOVERY_S_MAX
    assert set(stand.customers.answers) - {201}, "nobody noticed"
    await stand.require_healthy()


async def test_with_silent_connections_it_still_ends_when_it_is_told_to(stand: Stand) -> None:
    """The last one: it ends the service."""
    await stand.customers.insist("before")
    assert stand.proxy.silence_all() > 0
    lost = asyncio.create_task(stand.customers.credit("lost"))
    assert await asyncio.to_thread(stand.service.stop) == 0
    assert (await lost).status_code in (503, 504)
