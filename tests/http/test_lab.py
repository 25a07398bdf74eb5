"""The lab over HTTP, on the real service: a write asks for faults in a header, and is told which of them struck."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.databases import Databases
from tests.http.api import problem_of
from tests.http.process import Running, serving

TIMEOUT_MS = 700
FAULT = "Wallet-Lab-Fault"
FIRED = "wallet-lab-fired"


@pytest.fixture(scope="module")
def lab_database(databases: Databases) -> Iterator[str]:
    dsn = databases.create()
    yield dsn
    databases.drop(dsn)


@pytest.fixture(scope="module")
def service(lab_database: str) -> Iterator[Running]:
    with serving(lab_database, WALLET_LAB="on", WALLET_REQUEST_TIMEOUT_MS=str(TIMEOUT_MS)) as running:
        yield running


@pytest.fixture
def client(service: Running) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


@pytest.fixture
def wallet(client: httpx.Client, request: pytest.FixtureRequest) -> str:
    opened = client.post("/v1/wallets", json={"currency": "EUR"}, headers={"idempotency-key": request.node.name})
    assert opened.status_code == 201, opened.text
    return f"/v1/wallets/{opened.json()['id']}"


def credit(client: httpx.Client, wallet: str, fault: str | None = None) -> httpx.Response:
    """Credit 5, always under the same key of the wallet."""
    headers = {"idempotency-key": f"credit {wallet}".replace(" ", "-")} | ({FAULT: fault} if fault else {})
    return client.post(f"{wallet}/credits", json={"amount": 5}, headers=headers)


def assert_credited_once(client: httpx.Client, wallet: str) -> None:
    told = credit(client, wallet)
    assert (told.status_code, told.headers["idempotent-replayed"]) == (201, "true")
    state = client.get(wallet).json()
    assert (state["balance"], state["version"]) == (5, 2)


def test_what_the_lab_can_do_is_told_to_whoever_may_read(client: httpx.Client, service: Running) -> None:
    told = client.get("/v1/lab").json()
    assert (told["workers"], told["request_timeout_ms"]) == (1, TIMEOUT_MS)
    assert (told["cache"], told["cache_asked"]) == (False, False)
    points = {point["name"]: point["actions"] for point in told["points"]}
    assert points["before-commit"] == ["delay", "error"]
    assert points["before-answer"] == ["delay", "drop"]
    assert httpx.get(f"{service.url}/v1/lab").status_code == 401


@pytest.mark.parametrize("fault", ["nowhere=error", "before-commit=crash", "before-commit=delay", "é=error"])
def test_a_fault_that_cannot_be_asked_for_is_refused_and_nothing_is_written(
    client: httpx.Client, wallet: str, fault: str
) -> None:
    headers = {FAULT.encode(): fault.encode(), b"idempotency-key": b"refused"}
    refused = client.post(f"{wallet}/credits", json={"amount": 5}, headers=headers)
    assert problem_of(refused) == "malformed-request"
    assert refused.json()["errors"][0]["field"] == FAULT
    assert client.get(wallet).json()["version"] == 1


@pytest.mark.parametrize("point", ["before-load", "after-load", "before-append", "before-commit", "after-commit"])
def test_a_connection_that_is_lost_once_is_made_up_for(client: httpx.Client, wallet: str, point: str) -> None:
    told = credit(client, wallet, f"{point}=error")
    assert (told.status_code, told.headers["idempotent-replayed"]) == (201, "false")
    assert told.headers[FIRED] == f"{point}=error"
    assert_credited_once(client, wallet)


def test_a_commit_that_keeps_failing_is_told_as_unknown(client: httpx.Client, wallet: str) -> None:
    told = credit(client, wallet, "before-commit=error*3")
    assert (told.status_code, problem_of(told), told.json()["outcome"]) == (503, "database-unavailable", "unknown")
    assert credit(client, wallet).headers["idempotent-replayed"] == "false"
    assert_credited_once(client, wallet)


def test_a_slow_commit_is_unknown_and_the_key_tells_the_truth_later(client: httpx.Client, wallet: str) -> None:
    late = credit(client, wallet, f"before-commit=delay:{TIMEOUT_MS + 300}")
    assert (late.status_code, problem_of(late)) == (504, "outcome-unknown")
    assert late.headers[FIRED] == "before-commit=delay"
    assert credit(client, wallet).status_code == 201
    assert_credited_once(client, wallet)


def test_a_dropped_answer_is_no_answer_at_all(client: httpx.Client, wallet: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        credit(client, wallet, "before-answer=drop")
    assert_credited_once(client, wallet)


def test_a_request_that_is_late_comes_after_its_fence(service: Running, client: httpx.Client, wallet: str) -> None:
    with ThreadPoolExecutor(1) as threads, service.client() as other:
        late = threads.submit(credit, client, wallet, "before-queue=delay:300")
        fenced = other.post("/v1/fences", json={"key": f"credit-{wallet}"})
        assert fenced.json()["outcome"] == "fenced"
        assert problem_of(late.result()) == "idempotency-key-fenced"
        assert other.get(wallet).json()["version"] == 1


def test_where_the_lab_is_off_there_is_none(database: str) -> None:
    with serving(database) as service, service.client() as client:
        assert problem_of(client.get("/v1/lab")) == "not-found"
        opened = client.post(
            "/v1/wallets", json={"currency": "EUR"}, headers={"idempotency-key": "o", FAULT: "before-commit=error*100"}
        )
        assert opened.status_code == 201
        assert FIRED not in opened.headers


def test_a_process_that_is_killed_around_its_commit_leaves_a_key_that_is_decided_once(database: str) -> None:
    """The other points are the campaign's: each kill takes the time that a new process needs."""
    with serving(database, WALLET_LAB="on", WALLET_WORKERS="2") as service:
        with service.client() as client:
            offered = {point["name"]: point["actions"] for point in client.get("/v1/lab").json()["points"]}
            assert [name for name, actions in offered.items() if "crash" not in actions] == ["cache"]
        for point, kept in (("before-commit", False), ("after-commit", True)):
            with service.client() as client:
                opened = client.post("/v1/wallets", json={"currency": "EUR"}, headers={"idempotency-key": point})
                wallet = f"/v1/wallets/{opened.json()['id']}"
            with service.client() as client, pytest.raises(httpx.TransportError):
                credit(client, wallet, f"{point}=crash")
            # By the other worker, or the one that takes the place of the killed one.
            with service.client() as client:
                assert client.get(wallet).json()["version"] == (2 if kept else 1)
                assert credit(client, wallet).headers["idempotent-replayed"] == str(kept).lower()
                assert_credited_once(client, wallet)
