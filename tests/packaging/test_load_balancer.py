"""What the load balancer of ``deploy/`` does with instances that come, go and die, and users as ``deploy/`` makes them.

HAProxy runs with the very file that is shipped, but for addresses, and for how often it looks after the instances.
"""

import json
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import attrs
import httpx
import pytest
from click.testing import CliRunner

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres_processes import BINARIES
from entrypoints.cli import main
from entrypoints.http.problems import ALL
from tests.http.process import Running, eventually, serving
from tests.support.embedded import query
from tests.support.redis import free_port

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / "deploy" / "haproxy.cfg"
ROLES = ROOT / "deploy" / "roles.sql"
SECRETS = "/run/secrets"
INSTANCE_USER = "wallet_instance"


@attrs.frozen
class Balanced:
    """An address, the ports behind it at which instances may run, and their database."""

    url: str
    ports: tuple[int, int]
    url_file: Path
    """Holds the database's URL, for the user that may not rewrite the ledger."""
    api_key: str

    @contextmanager
    def instance(self, number: int) -> Iterator[Running]:
        port = str(self.ports[number])
        with serving(WALLET_DATABASE_URL_FILE=str(self.url_file), WALLET_PORT=port, WALLET_LAB="on") as running:
            yield running

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {self.api_key}"}, timeout=30)


def configuration(port: int, first: int, second: int) -> str:
    """The shipped file with other addresses, of which no name has to be looked up."""
    text = CONFIGURATION.read_text()
    for shipped, here in (
        ("bind :8080", f"bind 127.0.0.1:{port}"),
        ("wallet-1:8080", f"127.0.0.1:{first}"),
        ("wallet-2:8080", f"127.0.0.1:{second}"),
        ("inter 1s", "inter 50ms"),
    ):
        assert text.count(shipped) == 1
        text = text.replace(shipped, here)
    return text


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server of its own, whose users are made as in ``deploy/``: users belong to all databases of a server."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "service_password").write_text("it's s3cret\n")
    script = ROLES.read_text()
    assert SECRETS in script
    (folder / "roles.sql").write_text(script.replace(SECRETS, str(folder)))
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres")) as server:
        said = ("--set", "ON_ERROR_STOP=1", "--dbname", server.url(), "--file", folder / "roles.sql")
        subprocess.run([BINARIES / "psql", *said], check=True, capture_output=True)
        yield server


def command(database_url: str, *arguments: str) -> str:
    done = CliRunner().invoke(main, [*arguments], env={"WALLET_DATABASE_URL": database_url})
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


@pytest.fixture(scope="module")
def balanced(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balanced]:
    command(postgres.url(), "db", "upgrade")
    api_key = command(postgres.url(), "keys", "create")
    port, first, second = (free_port() for _ in range(3))
    folder = tmp_path_factory.mktemp("haproxy")
    (folder / "haproxy.cfg").write_text(configuration(port, first, second))
    url_file = folder / "service_url"
    url_file.write_text(postgres.url().replace("//postgres@", f"//{INSTANCE_USER}@") + "\n")
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(["haproxy", "-db", "-f", folder / "haproxy.cfg"], stdout=log, stderr=log) as process,
    ):
        try:
            made = Balanced(f"http://127.0.0.1:{port}", (first, second), url_file, api_key)
            with made.client() as client:
                assert eventually(lambda: _answers(client)), (folder / "log").read_text()
            yield made
        finally:
            process.terminate()


def _answers(client: httpx.Client) -> bool:
    try:
        client.get("/health/ready")
    except httpx.TransportError:
        return False
    return True


def post(client: httpx.Client, path: str, key: str, content: dict[str, object], **headers: str) -> httpx.Response:
    return client.post(path, json=content, headers={"idempotency-key": key, **headers})


def post_until_answered(client: httpx.Client, path: str, key: str, content: dict[str, object]) -> httpx.Response:
    """As a client is told to: the same again, for as long as the problem says so, or no answer comes."""
    answers: list[httpx.Response] = []

    def settled() -> bool:
        try:
            answers.append(post(client, path, key, content))
        except httpx.TransportError:
            return False
        return answers[-1].is_success or answers[-1].json()["retry"] != "same_key"

    assert eventually(settled), [answer.text for answer in answers]
    return answers[-1]


def test_the_shipped_file_passes_haproxys_own_check_without_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "haproxy.cfg"
    file.write_text(configuration(8080, 8081, 8082))
    checked = subprocess.run(["haproxy", "-c", "-f", file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert [line for line in checked.stderr.splitlines() if "[NOTICE]" not in line] == []


@pytest.mark.parametrize("status", [502, 503, 504])
def test_its_own_answers_are_problems_of_the_service(status: int) -> None:
    line = next(line for line in CONFIGURATION.read_text().splitlines() if f"http-error status {status} " in line)
    assert "content-type application/problem+json" in line
    given = json.loads(line[line.index("'") + 1 : line.rindex("'")])
    problem = ALL[given["type"].removeprefix("/problems/")]
    assert given.keys() == {"type", "title", "status", "detail", "outcome", "retry"}
    assert (given["title"], given["outcome"], given["retry"]) == (problem.title, problem.outcome, problem.retry)
    assert given["status"] == status
    assert ("retry-after" in line) == problem.retry_after


def test_without_an_instance_nothing_was_started_and_the_answer_says_so(balanced: Balanced) -> None:
    with balanced.client() as client:
        answer = post(client, "/v1/wallets", "open", {"currency": "EUR"})
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["outcome"] == "not_applied"


def test_instances_are_killed_and_replaced_under_load_and_each_credit_counts_once(balanced: Balanced) -> None:
    credits = 150
    with balanced.client() as client, ThreadPoolExecutor() as threads, balanced.instance(0) as first:
        opened = post_until_answered(client, "/v1/wallets", "open-a", {"currency": "EUR"}).json()
        path = f"/v1/wallets/{opened['id']}"

        def credit(key: str) -> httpx.Response:
            return post_until_answered(client, f"{path}/credits", key, {"amount": 7})

        def credit_that_is_held_up() -> httpx.Response:
            # With a connection of its own: where one was used before, it may be closed without an answer.
            with balanced.client() as another:
                fault = {"wallet-lab-fault": "after-commit=delay:30000"}
                return post(another, f"{path}/credits", "lost", {"amount": 7}, **fault)

        lost = threads.submit(credit_that_is_held_up)
        assert eventually(lambda: bool(client.get(path).json()["balance"] == 7))
        with balanced.instance(1) as second:
            first.stop(signal.SIGKILL)
            assert (lost.result().status_code, lost.result().json()["outcome"]) == (502, "unknown")
            told = credit("lost")
            assert (told.status_code, told.headers["idempotent-replayed"]) == (201, "true")
            with balanced.instance(0):
                paid = [threads.submit(credit, f"pay-{number}") for number in range(credits)]
                paid[credits // 3].result()
                assert second.stop() == 0
                assert {each.result().status_code for each in paid} == {201}
                wallet = client.get(path).json()
                assert (wallet["balance"], wallet["version"]) == (7 * (credits + 1), credits + 2)
                assert client.get(f"{path}/verification").json()["ok"]


def test_an_instances_user_may_append_to_the_ledger_and_not_rewrite_it(postgres: EmbeddedPostgres) -> None:
    assert query(
        postgres, f"SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = '{INSTANCE_USER}'"
    )
    may = "SELECT has_table_privilege('{}', '{}', '{}')"
    assert query(postgres, may.format(INSTANCE_USER, "entries", "INSERT")) is True
    for table in ("entries", "transactions", "tenants", "api_keys"):
        for right in ("UPDATE", "DELETE", "TRUNCATE"):
            assert query(postgres, may.format(INSTANCE_USER, table, right)) is False
    assert query(postgres, f"SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = '{INSTANCE_USER}'") is False
