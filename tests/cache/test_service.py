"""The service as a process of its own with a Redis: faster replays, and otherwise nothing to notice."""

from collections.abc import Iterator

import httpx
import pytest

from tests.databases import Databases, run
from tests.http.process import Running, eventually, serving
from tests.support.redis import RedisServer, free_port, redis_server

PASSWORD = "t0p-secret"
FIRST = {"amount": 5, "metadata": {"order": "17"}}


@pytest.fixture(scope="module")
def protected_redis() -> Iterator[RedisServer]:
    with redis_server("--requirepass", PASSWORD) as server:
        yield server


@pytest.fixture(scope="module")
def service(databases: Databases, protected_redis: RedisServer) -> Iterator[Running]:
    """In one process, so that a breaker which has opened is open for everybody."""
    dsn = databases.create()
    url = f"redis://:{PASSWORD}@127.0.0.1:{protected_redis.port}/2"
    with serving(dsn, WALLET_REDIS_URL=url, WALLET_LAB="on") as running:
        yield running
    databases.drop(dsn)


@pytest.fixture
def client(service: Running) -> Iterator[httpx.Client]:
    with service.client() as made:
        yield made


@pytest.fixture
def wallet(client: httpx.Client) -> str:
    opened = client.post("/v1/wallets", json={"currency": "EUR"}, headers={"idempotency-key": "open"})
    return f"/v1/wallets/{opened.json()['id']}"


def credit(client: httpx.Client, wallet: str, key: str, **headers: str) -> httpx.Response:
    return client.post(f"{wallet}/credits", json=FIRST, headers={"idempotency-key": key, **headers})


def hits(server: RedisServer) -> int:
    async def ask() -> int:
        async with server.client() as connection:
            return int((await connection.info("stats"))["keyspace_hits"])

    return run(ask())


def test_a_replay_from_redis_has_the_bytes_of_the_first_answer(
    client: httpx.Client, wallet: str, protected_redis: RedisServer
) -> None:
    first = credit(client, wallet, "k")
    refused = client.post(f"{wallet}/debits", json={"amount": 10**9}, headers={"idempotency-key": "r"})
    assert (first.status_code, refused.status_code) == (201, 422)
    before = hits(protected_redis)
    for _ in range(20):
        again = credit(client, wallet, "k")
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["idempotent-replayed"] == "true"
        again = client.post(f"{wallet}/debits", json={"amount": 10**9}, headers={"idempotency-key": "r"})
        assert (again.status_code, again.content) == (422, refused.content)
    assert hits(protected_redis) > before
    reused = client.post(f"{wallet}/credits", json={"amount": 6}, headers={"idempotency-key": "k"})
    assert reused.json()["type"] == "/problems/idempotency-key-reused"


@pytest.mark.parametrize("fault", ["down", "hung", "lying*3"])
def test_what_the_lab_has_the_cache_do_changes_no_answer(client: httpx.Client, wallet: str, fault: str) -> None:
    assert client.get("/v1/lab").json()["cache"] is True
    key = f"lab-{fault}"
    first = credit(client, wallet, key)

    def struck() -> bool:
        again = credit(client, wallet, key, **{"wallet-lab-fault": f"cache={fault}"})
        assert (again.status_code, again.content) == (201, first.content)
        return "cache=" in again.headers.get("wallet-lab-fired", "")

    # While the breaker is still open from the fault before, nobody asks the cache.
    assert eventually(struck)


def test_redis_goes_away_and_comes_back_and_all_that_is_seen_of_it_is_a_line_in_the_log(
    service: Running, client: httpx.Client, wallet: str, protected_redis: RedisServer
) -> None:
    first = credit(client, wallet, "away")
    protected_redis.stop()

    def told(word: str) -> bool:
        assert credit(client, wallet, "away").content == first.content
        return any(f"the replay cache is {word}" in line for line in service.output)

    assert eventually(lambda: told("away"))
    assert client.get("/health/ready").json() == {"status": "ok"}
    service.output.clear()
    protected_redis.start()
    assert eventually(lambda: told("back"))
    assert PASSWORD not in "".join(service.output)


def test_a_start_without_the_redis_it_was_given_is_a_start_all_the_same(databases: Databases) -> None:
    dsn = databases.create()
    url = f"redis://:{PASSWORD}@127.0.0.1:{free_port()}"
    with serving(dsn, WALLET_REDIS_URL=url) as running, running.client() as client:
        assert client.get("/health/ready").json() == {"status": "ok"}
        opened = client.post("/v1/wallets", json={"currency": "EUR"}, headers={"idempotency-key": "open"})
        wallet = f"/v1/wallets/{opened.json()['id']}"
        first = credit(client, wallet, "k")

        # Nobody asks the cache while the history of the database is read, which each new connection has happen again.
        def told() -> bool:
            assert credit(client, wallet, "k").content == first.content
            return any("the replay cache is away" in line for line in running.output)

        assert eventually(told)
        assert running.stop() == 0
        output = "".join(running.output)
        # On a busy machine it may not be refused in time.
        reasons = ("ConnectionError", "TimeoutError")
        assert sum(output.count(f"the replay cache is away ({reason})") for reason in reasons) == 1
        assert PASSWORD not in output
    databases.drop(dsn)
