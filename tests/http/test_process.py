"""The service as a process of its own, on a real PostgreSQL: what a newcomer, an operator and a bad day do to it."""

import itertools
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres_processes import end_processes, processes_of
from adapters.postgres.migrate import upgrade
from tests.databases import run as run_async
from tests.http.api import problem_of
from tests.http.process import Running, eventually, run, serving


@pytest.fixture
def data_dir() -> Iterator[Path]:
    # Not below pytest's own temporary folder, which the next run of pytest closes again to the server's account.
    folder = Path(tempfile.mkdtemp(prefix="wallet-test-"))
    yield folder / "data"
    end_processes(folder / "data" / "postgres")
    shutil.rmtree(folder)


def open_wallet(client: httpx.Client, key: str = "open", balance: int = 0) -> str:
    opened = client.post("/v1/wallets", json={"currency": "EUR"}, headers={"idempotency-key": key})
    assert opened.status_code == 201, opened.text
    id: str = opened.json()["id"]
    if balance:
        assert post(client, f"/v1/wallets/{id}/credits", f"{key}-fund", amount=balance).status_code == 201
    return id


def post(client: httpx.Client, path: str, key: str, **body: int) -> httpx.Response:
    return client.post(path, json=body, headers={"idempotency-key": key})


def test_the_story_of_a_newcomer(data_dir: Path) -> None:
    """Open, credit, retry the key, race two debits, restart: every unit is where it belongs."""
    with serving(WALLET_DATA_DIR=str(data_dir)) as service:
        with service.client() as client:
            assert client.get("/health/ready").json() == {"status": "ok"}
            wallet = open_wallet(client)
            credited = post(client, f"/v1/wallets/{wallet}/credits", "salary", amount=100)
            retried = post(client, f"/v1/wallets/{wallet}/credits", "salary", amount=100)
            assert (retried.status_code, retried.content) == (credited.status_code, credited.content)
            assert retried.headers["idempotent-replayed"] == "true"
            with ThreadPoolExecutor(2) as threads:
                path = f"/v1/wallets/{wallet}/debits"
                racers = list(threads.map(lambda key: post(client, path, key, amount=80), ("rent", "food")))
            assert sorted(racer.status_code for racer in racers) == [201, 422]
            before = client.get(f"/v1/wallets/{wallet}").json()
            assert (before["balance"], before["version"]) == (20, 3)
        assert service.stop() == 0
    assert processes_of(data_dir / "postgres") == []
    assert (data_dir / "api-key").stat().st_mode & 0o777 == 0o600
    with serving(WALLET_DATA_DIR=str(data_dir)) as again, again.client() as client:
        assert again.api_key == service.api_key
        assert client.get(f"/v1/wallets/{wallet}").json() == before
        replayed = post(client, f"/v1/wallets/{wallet}/credits", "salary", amount=100)
        assert replayed.content == credited.content
        assert [
            post(client, f"/v1/wallets/{wallet}/debits", key, amount=80).status_code for key in ("rent", "food")
        ] == [racer.status_code for racer in racers]
        assert client.get(f"/v1/wallets/{wallet}").json() == before


def test_the_embedded_database_is_administered_while_it_serves(data_dir: Path) -> None:
    with serving(WALLET_DATA_DIR=str(data_dir)) as service:
        made = run("keys", "create", "--tenant", "acme", "--create-tenant", WALLET_DATA_DIR=str(data_dir))
        assert made.returncode == 0, made.stderr
        with httpx.Client(base_url=service.url, headers={"authorization": f"Bearer {made.stdout.strip()}"}) as acme:
            assert acme.get("/v1/wallets").json()["items"] == []
        second = run("serve", WALLET_DATA_DIR=str(data_dir), WALLET_PORT="0")
        assert second.returncode == 1
        assert len(second.stderr.splitlines()) == 1
        assert "in use by another wallet service" in second.stderr
        with service.client() as client:
            assert client.get("/v1/wallets").status_code == 200


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_under_load_loses_nothing_that_was_acknowledged(database: str, workers: str) -> None:
    """In flight requests are finished; what got a 201 is in the ledger, once, after the restart."""
    acknowledged: list[str] = []
    stopping, enough = threading.Event(), threading.Event()

    def write(number: int, service: Running, wallet: str) -> None:
        with service.client() as client:
            for attempt in itertools.count():
                if enough.is_set():
                    return
                key = f"{number}-{attempt}"
                try:
                    answer = post(client, f"/v1/wallets/{wallet}/credits", key, amount=1)
                except httpx.TransportError:
                    assert stopping.is_set(), "a connection was lost before anything was stopped"
                    return
                if answer.status_code == 201:
                    acknowledged.append(key)
                else:
                    # Two processes race for the wallet, and on a busy machine one of them may lose too often.
                    assert problem_of(answer) in ("overloaded", "contention"), answer.text
                    assert (answer.json()["outcome"], answer.headers["retry-after"]) == ("not_applied", "1")

    with serving(database, WALLET_WORKERS=workers) as service:
        with service.client() as client:
            wallet = open_wallet(client)
        with ThreadPoolExecutor(8) as threads:
            writers = [threads.submit(write, number, service, wallet) for number in range(8)]
            try:
                # A busy machine takes long for that, which is no fault.
                assert eventually(lambda: len(acknowledged) > 200 or any(map(Future.done, writers)), within_s=60)
                stopping.set()
                began = time.monotonic()
                assert service.stop() == 0
                assert time.monotonic() - began < 15
            finally:
                enough.set()
            for writer in writers:
                writer.result()
    with serving(database) as service, service.client() as client:
        for key in acknowledged:
            found = client.get("/v1/idempotency-keys", params={"key": key})
            assert found.json()["outcome"] == "applied"
        state = client.get(f"/v1/wallets/{wallet}").json()
        assert state["version"] == state["balance"] + 1
        # One request of each writer may have been carried out without its answer getting through.
        assert len(acknowledged) <= state["balance"] <= len(acknowledged) + 8


async def test_a_locked_database_is_told_as_unknown_and_the_key_gets_the_truth(database: str) -> None:
    locker = await asyncpg.connect(database)
    try:
        with serving(database, WALLET_REQUEST_TIMEOUT_MS="700") as service:
            async with service.async_client() as client:
                opened = await client.post("/v1/wallets", json={"currency": "EUR"}, headers={"idempotency-key": "o"})
                path = f"/v1/wallets/{opened.json()['id']}"
                lock = locker.transaction()
                await lock.start()
                await locker.execute("LOCK TABLE wallets IN ACCESS EXCLUSIVE MODE")
                began = time.monotonic()
                request = {"json": {"amount": 5}, "headers": {"idempotency-key": "credit"}}
                late = await client.post(f"{path}/credits", **request)  # type: ignore[arg-type]  # the members differ in type
                assert (late.status_code, problem_of(late)) == (504, "outcome-unknown")
                assert (late.json()["outcome"], late.json()["retry"]) == ("unknown", "same_key")
                assert 0.6 < time.monotonic() - began < 2
                read = await client.get(path)
                assert (read.status_code, problem_of(read)) == (503, "database-unavailable")
                await lock.rollback()
                answers = [await client.post(f"{path}/credits", **request) for _ in range(2)]  # type: ignore[arg-type]  # as above
                assert [answer.status_code for answer in answers] == [201, 201]
                assert answers[0].content == answers[1].content
                assert (await client.get(path)).json()["balance"] == 5
    finally:
        await locker.close()


def test_a_database_that_is_away_is_never_an_internal_error_and_comes_back(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        run_async(upgrade(server.url()))
        with serving(server.url(), WALLET_REQUEST_TIMEOUT_MS="1000") as service, service.client() as client:
            wallet = open_wallet(client, balance=5)
            server.stop()
            for attempt in range(3):
                for answer in (
                    post(client, f"/v1/wallets/{wallet}/debits", f"away-{attempt}", amount=1),
                    client.get(f"/v1/wallets/{wallet}"),
                ):
                    assert (answer.status_code, problem_of(answer)) == (503, "database-unavailable"), answer.text
                    assert answer.json()["retry"] == "same_key"
                    assert answer.headers["retry-after"] == "1"
            assert client.get("/health/ready").status_code == 503
            assert client.get("/health/live").status_code == 200
            server.start()
            assert eventually(lambda: client.get("/health/ready").status_code == 200)
            assert post(client, f"/v1/wallets/{wallet}/debits", "away-0", amount=1).status_code == 201
            assert client.get(f"/v1/wallets/{wallet}").json()["balance"] == 4


def worker_pids(service: Running) -> list[int]:
    found = []
    for child in psutil.Process(service.process.pid).children():
        # One that has just ended has no command line any more.
        with suppress(psutil.Error):
            if any("spawn_main" in part for part in child.cmdline()):
                found.append(child.pid)
    return found


def test_a_worker_that_dies_is_replaced(database: str) -> None:
    with serving(database, WALLET_WORKERS="2") as service, service.client() as client:
        wallet = open_wallet(client)
        first, second = worker_pids(service)
        os.kill(first, signal.SIGKILL)
        assert eventually(lambda: len(set(worker_pids(service)) - {first, second}) == 1)
        assert second in worker_pids(service)
        with service.client() as fresh:
            assert fresh.get(f"/v1/wallets/{wallet}").status_code == 200
        assert service.stop() == 0


def test_workers_end_when_their_parent_is_killed(database: str) -> None:
    """They would keep the address, and the next start would find it taken."""
    with serving(database, WALLET_WORKERS="2") as service:
        workers = worker_pids(service)
        service.stop(signal.SIGKILL)
        assert eventually(lambda: not any(psutil.pid_exists(pid) for pid in workers))
