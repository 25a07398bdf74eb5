"""Nothing is reached without a key that may, and nothing of another tenant with any key."""

import re
from collections.abc import Iterator
from typing import Final
from uuid import UUID

import httpx
import pytest
from litestar.routes import HTTPRoute

from adapters.memory import MemoryStore
from entrypoints.http.app import create_routes
from entrypoints.http.operations import OPERATIONS
from entrypoints.http.service import Service
from tests.http.api import KEYS, UNKNOWN_ID, Api, KnownKeys, document, problem_of, running_api
from tests.http.problem_scenarios import Always
from wallet_core.outcomes import Overloaded
from wallet_core.ports import Principal, Unavailable

PAGES: Final = {"/", "/lab", "/wallets/{rest}", "/assets/{name}", "/problems/{slug}", "/schema", "/schema/openapi.json"}


def routes() -> Iterator[tuple[str, str]]:
    """Every method and path that the application takes."""
    service = Service(Always(Overloaded()), MemoryStore(), MemoryStore(), KnownKeys(), 1.0)
    for route in create_routes(service).routes:
        assert isinstance(route, HTTPRoute)
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path_format if "{" not in route.path else route.path)
        for method in route.methods:
            if method != "OPTIONS":
                yield str(method), path


def test_the_routes_are_the_operations_of_the_document_and_the_pages() -> None:
    described = {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}
    assert set(routes()) == described | {("GET", page) for page in PAGES}


@pytest.mark.parametrize(("method", "path"), sorted(routes()))
async def test_every_route_of_the_api_denies_by_default(api: Api, method: str, path: str) -> None:
    path = path.replace("{id}", UNKNOWN_ID).replace("{slug}", "not-found")
    without = await api.send(method, path, api_key=None)
    if path.startswith("/v1/"):
        assert problem_of(without) == "unauthenticated"
        assert without.headers["www-authenticate"] == "Bearer"
        assert problem_of(await api.send(method, path, api_key="revoked")) == "unauthenticated"
        needed, other = ("reader", "writer") if method == "GET" else ("writer", "reader")
        for api_key in (other, "admin"):
            assert problem_of(await api.send(method, path, api_key=api_key)) == "forbidden"
        assert problem_of(await api.send(method, path, api_key=needed)) not in ("unauthenticated", "forbidden")
    else:
        assert problem_of(without) in ("", "not-found")


def test_every_operation_under_v1_needs_a_scope() -> None:
    for operation in OPERATIONS:
        assert (operation.scope is None) == operation.path.startswith("/health/")
        assert operation.scope in (None, "read" if operation.method == "GET" else "write")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "all")],
        [("authorization", "Basic all")],
        [("authorization", "Bearer")],
        [("authorization", "Bearer ")],
        [("authorization", "Bearer all all")],
        [("authorization", "Bearer all,all")],
        [("authorization", "Bearer \u00e4ll")],
        [("authorization", "Bearer " + "x" * 10_000)],
        [("authorization", "Bearer all"), ("authorization", "Bearer all")],
        [("x-api-key", "all")],
    ],
)
async def test_what_is_no_bearer_credential_is_none(api: Api, headers: list[tuple[str, str]]) -> None:
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    assert problem_of(await api.client.get("/v1/wallets", headers=encoded)) == "unauthenticated"
    assert problem_of(await api.client.get("/v1/wallets?access_token=all", headers=encoded)) == "unauthenticated"


async def test_the_scheme_is_taken_in_any_case(api: Api) -> None:
    assert (await api.client.get("/v1/wallets", headers={"authorization": "bEARER  all"})).status_code == 200


async def test_nothing_of_another_tenant_exists(api: Api) -> None:
    wallet, mine = await api.new_wallet(50), await api.new_wallet(5)
    hold = await api.new_hold(wallet, 5)
    credited = (await api.post(f"/v1/wallets/{wallet}/credits", {"amount": 1}, key="theirs")).json()["id"]
    before = await api.wallet(wallet)

    async def answers() -> list[httpx.Response]:
        theirs = {"api_key": "other"}
        return [
            await api.get(f"/v1/wallets/{wallet}", **theirs),
            await api.get(f"/v1/wallets/{wallet}?version=1", **theirs),
            await api.get(f"/v1/wallets/{wallet}?at=2030-01-01T00:00:00Z", **theirs),
            await api.get(f"/v1/wallets/{wallet}/entries", **theirs),
            await api.get(f"/v1/wallets/{wallet}/holds", **theirs),
            await api.get(f"/v1/holds/{hold}", **theirs),
            await api.get(f"/v1/transactions/{credited}", **theirs),
            await api.get("/v1/idempotency-keys?key=theirs", **theirs),
            await api.patch(f"/v1/wallets/{wallet}", {"floor": -1}, **theirs),
            await api.post(f"/v1/wallets/{wallet}/credits", {"amount": 1}, **theirs),
            await api.post(f"/v1/wallets/{wallet}/debits", {"amount": 1}, **theirs),
            await api.post(f"/v1/wallets/{wallet}/holds", {"amount": 1}, **theirs),
            await api.post("/v1/transactions", {"postings": [{"source": wallet, "amount": 1}]}, **theirs),
            await api.post(f"/v1/holds/{hold}/capture", **theirs),
            await api.post(f"/v1/holds/{hold}/release", **theirs),
            await api.post(f"/v1/transactions/{credited}/reversal", **theirs),
        ]

    assert [answer.status_code for answer in await answers()] == [404] * 16
    for answer in await answers():
        assert "EUR" not in answer.text
    command = {"type": "debit", "idempotency_key": "b", "wallet_id": wallet, "amount": 1}
    batch = await api.send("POST", "/v1/batches", {"commands": [command]}, api_key="other")
    assert [result["status"] for result in batch.json()["results"]] == [404]
    for path in ("/v1/wallets", "/v1/transactions", f"/v1/transactions?wallet_id={wallet}"):
        assert (await api.get(path, api_key="other")).json()["items"] == []
    assert await api.wallet(wallet) == before
    assert (await api.wallet(mine))["balance"] == 5


async def test_keys_of_two_tenants_do_not_meet(api: Api) -> None:
    """The same idempotency key stands for each tenant's own request; a fence of one does not stop the other."""
    await api.send("POST", "/v1/fences", {"key": "same"}, api_key="other")
    opened = await api.post("/v1/wallets", {"currency": "EUR"}, key="same")
    assert opened.status_code == 201
    assert (await api.get("/v1/idempotency-keys?key=same", api_key="other")).json()["outcome"] == "fenced"
    wallet = opened.json()["id"]
    taken = await api.post("/v1/wallets", {"currency": "USD", "id": wallet}, api_key="other")
    assert taken.status_code == 201
    assert (await api.wallet(wallet))["currency"] == "EUR"


async def test_two_keys_of_a_tenant_share_its_idempotency_keys(api: Api) -> None:
    """A key that is rotated must not let an old retry through a second time."""
    first = await api.post("/v1/wallets", {"currency": "EUR"}, key="same", api_key="all")
    again = await api.post("/v1/wallets", {"currency": "EUR"}, key="same", api_key="writer")
    assert again.content == first.content
    assert KEYS["all"].key_id != KEYS["writer"].key_id


class AwayKeys:
    def known(self, secret: str) -> Principal | None:
        return None

    async def find(self, secret: str) -> Principal | None:
        raise Unavailable


async def test_a_key_that_cannot_be_looked_up_is_a_database_that_is_away() -> None:
    async with running_api(authenticator=AwayKeys()) as api:
        for answer in (await api.get("/v1/wallets"), await api.post("/v1/wallets", {"currency": "EUR"})):
            assert (answer.status_code, problem_of(answer)) == (503, "database-unavailable")
            assert answer.json()["outcome"] == "not_applied"


def test_a_tenant_comes_from_nowhere_but_the_key() -> None:
    names = {parameter.name for operation in OPERATIONS for parameter in operation.query}
    assert not any("tenant" in name for name in names)
    for path, methods in document()["paths"].items():
        assert "tenant" not in path
        for operation in methods.values():
            assert "tenant" not in str([operation["parameters"], operation.get("requestBody")])
    schemas = document()["components"]["schemas"]
    assert "tenant_id" not in str([shape for name, shape in schemas.items() if not name.endswith("Problem")])
    assert isinstance(KEYS["all"].tenant, UUID)
