"""Every operation of the OpenAPI document, with every key that it must not be reached with: nothing is told or written.

The operations are the document's, so that a new one fails here until it is said how it is asked for.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import asyncpg
import attrs
import httpx
import pytest

from adapters.postgres.admin import Admin, tenant_id_of
from tests.http.api import document, problem_of
from tests.security.conftest import Secured

OPERATIONS: Final = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in document()["paths"].items()
    for method, operation in methods.items()
}
KEYED: Final = [id for id, (_, _, operation) in OPERATIONS.items() if operation["security"]]
OPEN: Final = ["live", "ready"]

DIGEST: Final = "(SELECT md5(string_agg(x::text, '|' ORDER BY x::text)) FROM {} x WHERE tenant_id = ANY($1::uuid[]))"
DIGESTS: Final = f"SELECT ARRAY[{', '.join(map(DIGEST.format, ('wallets', 'transactions', 'entries', 'holds')))}]"


@attrs.frozen
class Things:
    """What a tenant has, for requests to name."""

    wallet: str
    hold: str
    transaction: str
    key: str

    @property
    def ids(self) -> set[str]:
        return {self.wallet, self.hold, self.transaction}

    def request(self, operation_id: str) -> tuple[str, str, Any]:
        """A request that is good, with the right key: method, path and body."""
        method, path, _ = OPERATIONS[operation_id]
        for part, id in (("/wallets/", self.wallet), ("/holds/", self.hold), ("/transactions/", self.transaction)):
            path = path.replace(f"{part}{{id}}", f"{part}{id}")
        command = {"type": "debit", "idempotency_key": str(uuid4()), "wallet_id": self.wallet, "amount": 1}
        bodies: Mapping[str, Any] = {
            "openWallet": {"currency": "EUR"},
            "changeWallet": {"floor": -1},
            "creditWallet": {"amount": 1},
            "debitWallet": {"amount": 1},
            "placeHold": {"amount": 1},
            "captureHold": {},
            "releaseHold": {},
            "postTransaction": {"postings": [{"source": self.wallet, "amount": 1}]},
            "reverseTransaction": {},
            "runBatch": {"commands": [command]},
            "fenceKey": {"key": str(uuid4())},
        }
        if operation_id == "getDecision":
            path = f"{path}?key={self.key}"
        return method, path, bodies[operation_id] if method != "GET" else None


@attrs.frozen
class Scene:
    """Two tenants with things of their own, and keys that are good for nothing, or not for everything."""

    secured: Secured
    client: httpx.Client
    loop: asyncio.AbstractEventLoop
    owner: asyncpg.Connection
    secrets: Mapping[str, str]
    theirs: Things

    def send(self, secret: str | None, method: str, path: str, body: Any) -> httpx.Response:
        headers = {} if method == "GET" else {"idempotency-key": str(uuid4())}
        if secret is not None:
            headers["authorization"] = f"Bearer {secret}"
        if body is None:
            return self.client.request(method, path, headers=headers)
        return self.client.request(method, path, json=body, headers=headers)

    def new_things(self, secret: str) -> Things:
        def write(path: str, body: Any) -> dict[str, Any]:
            answer = self.send(secret, "POST", path, body)
            assert answer.status_code == 201, answer.text
            made: dict[str, Any] = answer.json()
            return made

        wallet = write("/v1/wallets", {"currency": "EUR"})["id"]
        write(f"/v1/wallets/{wallet}/credits", {"amount": 100})
        credited = write(f"/v1/wallets/{wallet}/credits", {"amount": 1})
        hold = write(f"/v1/wallets/{wallet}/holds", {"amount": 5})["hold"]["id"]
        return Things(wallet, hold, credited["id"], credited["idempotency_key"])

    def rows(self, *tenants: str) -> list[str]:
        """A digest of each table's rows of these tenants."""
        ids = [tenant_id_of(tenant) for tenant in tenants]
        found: list[str] = self.loop.run_until_complete(self.owner.fetchval(DIGESTS, ids))
        return found


@pytest.fixture(scope="module")
def scene(secured: Secured) -> Iterator[Scene]:
    secrets = {
        "all": secured.new_key("read", "write", "admin", tenant="access"),
        "read": secured.new_key("read", tenant="access"),
        "write": secured.new_key("write", tenant="access"),
        "admin": secured.new_key("admin", tenant="access"),
        "revoked": secured.new_key("read", "write", tenant="access"),
        "expired": secured.new_key("read", "write", tenant="access", expires=timedelta(milliseconds=50)),
        "suspended": secured.new_key("read", "write", tenant="access-suspended"),
        "other": secured.new_key("read", "write", tenant="access-other"),
        "third": secured.new_key("read", "write", tenant="access-third"),
        "wrong": "wk_that-nobody-ever-made",
    }

    async def end(admin: Admin) -> None:
        await admin.suspend_tenant("access-suspended")
        for key in await admin.list_keys("access"):
            if key.state == "active" and sorted(key.scopes) == ["read", "write"]:
                await admin.revoke_key(key.id)

    time.sleep(0.1)
    secured.administer(end)
    loop = asyncio.new_event_loop()
    owner = loop.run_until_complete(asyncpg.connect(secured.dsn))
    with httpx.Client(base_url=secured.service.url, timeout=30) as client:
        scene = Scene(secured, client, loop, owner, secrets, Things("", "", "", ""))
        yield attrs.evolve(scene, theirs=scene.new_things(secrets["all"]))
    loop.run_until_complete(owner.close())
    loop.close()


def check_refusal(answer: httpx.Response, method: str, status: int, slug: str) -> None:
    """A refusal says what it is in full, and that nothing was done."""
    assert (answer.status_code, problem_of(answer)) == (status, slug)
    told = answer.json()
    assert told["status"] == status
    assert (told["outcome"], told["retry"]) == ("not_applied", "never")
    assert {"type", "title", "detail", "instance"} <= set(told)
    assert answer.headers["cache-control"] == "no-store"
    assert (answer.headers.get("www-authenticate") == "Bearer") is (status == 401)
    assert answer.headers.get("idempotent-replayed") == (None if method == "GET" else "false")


def test_all_that_needs_no_key_is_whether_the_service_is_well() -> None:
    assert sorted(set(OPERATIONS) - set(KEYED)) == OPEN
    for method, path, operation in OPERATIONS.values():
        assert path.startswith("/v1/") is bool(operation["security"])
        if operation["security"]:
            ((needed,),) = (needs["apiKey"] for needs in operation["security"])
            assert needed == ("read" if method == "GET" else "write")


@pytest.mark.parametrize("operation_id", KEYED)
def test_an_operation_is_refused_to_every_key_that_may_not_and_writes_nothing(scene: Scene, operation_id: str) -> None:
    method, path, body = scene.theirs.request(operation_id)
    other_scope = "write" if method == "GET" else "read"
    before = scene.rows("access", "access-suspended", "access-other")
    for name, status, slug in (
        (None, 401, "unauthenticated"),
        ("wrong", 401, "unauthenticated"),
        ("revoked", 401, "unauthenticated"),
        ("expired", 401, "unauthenticated"),
        ("suspended", 403, "tenant-suspended"),
        (other_scope, 403, "forbidden"),
        ("admin", 403, "forbidden"),
    ):
        secret = None if name is None else scene.secrets[name]
        answer = scene.send(secret, method, path, body)
        check_refusal(answer, method, status, slug)
        if status == 401:
            # Whether a key was good once is nobody's business.
            assert answer.json()["detail"] == scene.send(None, method, path, body).json()["detail"]
        assert secret is None or secret not in answer.text
    assert scene.rows("access", "access-suspended", "access-other") == before


NAMES_NOTHING: Final = {"openWallet", "listWallets", "listTransactions", "listEvents", "runBatch", "fenceKey"}
"""Operations that other tenants can ask for without naming anything that is not theirs."""


@pytest.mark.parametrize("operation_id", KEYED)
def test_an_operation_finds_nothing_of_another_tenant_and_does_nothing_to_it(scene: Scene, operation_id: str) -> None:
    method, path, body = scene.theirs.request(operation_id)
    if operation_id == "openWallet":
        body = {**body, "id": scene.theirs.wallet}
    elif operation_id == "fenceKey":
        body = {"key": scene.theirs.key}
    before = scene.rows("access")
    # What makes something of the same name is another's still, so that the name stays unknown to this one.
    other = scene.secrets["third" if operation_id in ("openWallet", "fenceKey") else "other"]
    answer = scene.send(other, method, path, body)
    if operation_id not in NAMES_NOTHING:
        assert answer.status_code == 404, answer.text
        assert problem_of(answer).endswith("not-found")
        assert answer.json()["outcome"] == "not_applied"
    elif operation_id == "runBatch":
        (result,) = answer.json()["results"]
        assert (result["status"], result["problem"]["type"]) == (404, "/problems/wallet-not-found")
    elif operation_id in ("openWallet", "fenceKey"):
        # The same id and the same key stand for something of their own.
        assert answer.status_code in (200, 201)
        assert answer.json().get("balance", 0) == 0
        assert answer.json().get("outcome", "fenced") == "fenced"
    else:
        assert answer.status_code == 200
        assert not [id for id in scene.theirs.ids if id in answer.text]
    assert scene.rows("access") == before


@pytest.mark.parametrize("operation_id", KEYED)
def test_the_same_requests_are_carried_out_with_the_right_key(scene: Scene, operation_id: str) -> None:
    """Or the refusals above could have another reason than the key."""
    things = scene.new_things(scene.secrets["all"])
    method, path, body = things.request(operation_id)
    needed = "read" if method == "GET" else "write"
    answer = scene.send(scene.secrets[needed], method, path, body)
    assert answer.is_success, answer.text
    if operation_id == "runBatch":
        assert [result["status"] for result in answer.json()["results"]] == [201]


@pytest.mark.parametrize("operation_id", OPEN)
def test_what_needs_no_key_tells_nothing_of_any_tenant(scene: Scene, operation_id: str) -> None:
    method, path, _ = OPERATIONS[operation_id]
    for secret in (None, *scene.secrets.values()):
        answer = scene.send(secret, method, path, None)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
