"""What an administrator decides holds in every process of a running service, and costs those nothing who keep to it."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.client import HTTPConnection, HTTPException
from itertools import cycle

import asyncpg
import attrs
import pytest

from adapters.postgres.admin import Admin
from adapters.postgres.api_keys import TTL_S
from entrypoints.composition import READER_CONNECTIONS
from tests.databases import run as run_async
from tests.http.api import problem_of
from tests.http.process import eventually
from tests.security.conftest import LIMIT_PER_S, Secured

PAUSE_S = 0.005


@attrs.frozen
class Load:
    """What was answered to many requests with one key, and how long that took."""

    statuses: Counter[int]
    seconds: float

    @property
    def allowed(self) -> float:
        """What the limit lets in: a second's worth at once, and then as time goes by."""
        return LIMIT_PER_S * (1 + self.seconds)


def load(secured: Secured, secret: str, seconds: float) -> Load:
    """Ask for more than the limit, of each process. A connection that is lost is made again, to whichever answers."""
    counted: Counter[int] = Counter()

    def hammer(connection: HTTPConnection) -> None:
        while time.monotonic() < began + seconds:
            try:
                counted[ask(connection, secret)] += 1
            except (OSError, HTTPException):
                connection.close()
            time.sleep(PAUSE_S)

    with secured.connections() as connections, ThreadPoolExecutor(len(connections)) as threads:
        began = time.monotonic()
        list(threads.map(hammer, connections))
    return Load(counted, time.monotonic() - began)


def statuses(secured: Secured, secret: str) -> set[int]:
    """What the processes answer a key, each of them on connections of its own."""
    with secured.connections() as connections:
        return {ask(connection, secret) for connection in connections}


def ask(connection: HTTPConnection, secret: str) -> int:
    connection.request("GET", "/v1/wallets?limit=1", headers={"authorization": f"Bearer {secret}"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


@attrs.frozen
class Doomed:
    """Keys that every process has found good, and that an administrator ended since."""

    secrets: Mapping[str, str]
    since: float


@pytest.fixture(scope="module")
def doomed(secured: Secured) -> Doomed:
    secrets = {name: secured.new_key("read", tenant="acme") for name in ("kept", "rotated", "revoked", "expired")}
    secrets["suspended"] = secured.new_key("read", tenant="suspended")
    for secret in secrets.values():
        assert statuses(secured, secret) == {200}

    async def end(admin: Admin) -> None:
        _, rotated, revoked, expired = await admin.list_keys("acme")
        successor = await admin.rotate_key(rotated.id, timedelta(seconds=2))
        assert successor is not None
        secrets["successor"] = successor.secret
        await admin.revoke_key(revoked.id)
        await admin.change_key(expired.id, expires=timedelta(seconds=1))
        await admin.suspend_tenant("suspended")

    secured.administer(end)
    return Doomed(secrets, time.monotonic())


def test_a_rotated_key_and_its_successor_are_both_good_for_a_while(secured: Secured, doomed: Doomed) -> None:
    assert statuses(secured, doomed.secrets["rotated"]) == {200}
    assert statuses(secured, doomed.secrets["successor"]) == {200}


def test_a_limit_holds_for_all_processes_together(secured: Secured) -> None:
    secret = secured.new_key("read", rate_limit_per_s=None)
    seen = load(secured, secret, 1.2)
    assert set(seen.statuses) == {200, 429}
    assert seen.statuses[429] > LIMIT_PER_S / 2
    # With a limit for each process it would be twice that.
    assert 0.85 * seen.allowed < seen.statuses[200] < 1.03 * seen.allowed


def test_a_process_that_is_killed_and_replaced_does_not_widen_the_limit(secured: Secured) -> None:
    secret = secured.new_key("read", rate_limit_per_s=None)

    victim = secured.workers()[0]
    with ThreadPoolExecutor(1) as thread:
        under_way = thread.submit(load, secured, secret, 1.5)
        time.sleep(0.5)
        victim.kill()
        seen = under_way.result()
    assert eventually(lambda: len(secured.workers()) == 2)
    assert victim not in secured.workers()
    assert seen.statuses[200] < 1.03 * seen.allowed
    # The one that took its place counts with the others.
    again = load(secured, secret, 0.4)
    assert 0 < again.statuses[200] < 1.03 * again.allowed


def count(secured: Secured, key: str) -> int:
    async def ask() -> int:
        connection = await asyncpg.connect(secured.dsn)
        try:
            found: int = await connection.fetchval("SELECT count(*) FROM transactions WHERE idempotency_key = $1", key)
            return found
        finally:
            await connection.close()

    return run_async(ask())


def test_what_is_refused_for_coming_too_often_is_not_written_and_done_once_when_it_is_sent_again(
    secured: Secured,
) -> None:
    secret = secured.new_key(rate_limit_per_s=1)
    with secured.client(secret) as client:
        first, second = (
            client.post("/v1/wallets", json={"currency": "EUR"}, headers={"idempotency-key": key})
            for key in ("limited-1", "limited-2")
        )
        assert first.status_code == 201
        assert (second.status_code, problem_of(second)) == (429, "rate-limited")
        told = second.json()
        assert (told["outcome"], told["retry"]) == ("not_applied", "same_key")
        assert (second.headers["idempotent-replayed"], second.headers["retry-after"]) == ("false", "1")
        assert count(secured, "limited-2") == 0
        # What needs no key is never limited.
        for _ in range(3):
            assert client.get("/health/ready").status_code == 200
        time.sleep(int(second.headers["retry-after"]))
        again = client.post("/v1/wallets", json={"currency": "EUR"}, headers={"idempotency-key": "limited-1"})
        assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
        assert again.content == first.content


def test_a_batch_is_let_in_at_once_and_counts_as_many_as_it_has(secured: Secured) -> None:
    secret = secured.new_key(rate_limit_per_s=10)
    with secured.client(secret) as client:
        opened = client.post("/v1/wallets", json={"currency": "EUR"}, headers={"idempotency-key": "for-batch"})
        command = {"type": "credit", "wallet_id": opened.json()["id"], "amount": 1}
        commands = [{**command, "idempotency_key": f"batch-{number}"} for number in range(40)]
        done = client.post("/v1/batches", json={"commands": commands})
        assert [result["status"] for result in done.json()["results"]] == [201] * 40
        refused = client.get("/v1/wallets")
        assert refused.status_code == 429
        # 41 of which 10 were there: 3 seconds' worth.
        assert 3 <= int(refused.headers["retry-after"]) <= 4


def test_reads_that_wait_for_the_database_keep_nobody_from_being_recognised(secured: Secured) -> None:
    """Keys are looked up on a connection of their own: with the reads', this would wait as long as they do."""
    reader, writer = secured.new_key("read"), secured.new_key("write")
    with secured.connections(each=READER_CONNECTIONS + 2) as crowd, secured.connections(each=1) as others:
        seen = run_async(crowded_out(secured, "wallets", 2 * READER_CONNECTIONS, crowd, [reader], others, writer))
    assert seen == {403}


def test_a_flood_of_wrong_keys_keeps_one_connection_of_a_process_busy_and_no_read_waiting(secured: Secured) -> None:
    reader = secured.new_key("read")
    assert statuses(secured, reader) == {200}
    wrong = [f"wk_wrong-{number}" for number in range(40)]
    with secured.connections(each=20) as crowd, secured.connections(each=1) as others:
        assert run_async(crowded_out(secured, "api_keys", 2, crowd, wrong, others, reader)) == {200}


async def crowded_out(
    secured: Secured,
    table: str,
    waiting: int,
    crowd: Sequence[HTTPConnection],
    keys: Sequence[str],
    others: Sequence[HTTPConnection],
    key: str,
) -> set[int]:
    """What is answered at once with a key while a crowd, with keys of its own, waits for a table that is locked, on as
    many connections to the database."""
    query = f"SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass"
    locker = await asyncpg.connect(secured.dsn)
    with ThreadPoolExecutor(len(crowd) + len(others)) as threads:

        def submit(connection: HTTPConnection, secret: str) -> asyncio.Future[int]:
            return asyncio.get_running_loop().run_in_executor(threads, ask, connection, secret)

        async with locker.transaction():
            await locker.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            stuck = [submit(connection, each) for connection, each in zip(crowd, cycle(keys), strict=False)]
            for _ in range(1_000):
                if await locker.fetchval(query) >= waiting:
                    break
                await asyncio.sleep(0.01)
            async with asyncio.timeout(3):
                seen = set(await asyncio.gather(*(submit(connection, key) for connection in others)))
            assert await locker.fetchval(query) == waiting
            assert not any(each.done() for each in stuck)
        await asyncio.gather(*stuck)
    await locker.close()
    return seen


def test_within_five_seconds_every_process_turns_away_what_an_administrator_has_ended(
    secured: Secured, doomed: Doomed
) -> None:
    time.sleep(max(0.0, doomed.since + TTL_S - time.monotonic()))
    assert statuses(secured, doomed.secrets["revoked"]) == {401}
    assert statuses(secured, doomed.secrets["rotated"]) == {401}
    assert statuses(secured, doomed.secrets["expired"]) == {401}
    assert statuses(secured, doomed.secrets["suspended"]) == {403}
    assert statuses(secured, doomed.secrets["kept"]) == {200}
    assert statuses(secured, doomed.secrets["successor"]) == {200}
    with secured.client(doomed.secrets["suspended"]) as client:
        assert problem_of(client.get("/v1/wallets")) == "tenant-suspended"
