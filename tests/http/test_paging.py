"""Lists come in pages that stay put while others write."""

from collections.abc import AsyncIterator
from typing import Final

import pytest

from entrypoints.http.paging import LIMIT_DEFAULT
from tests.http.api import Api, Json, problem_of


async def pages(api: Api, path: str, limit: int) -> AsyncIterator[list[Json]]:
    cursor: str | None = ""
    separator = "&" if "?" in path else "?"
    while cursor is not None:
        asked = f"{path}{separator}limit={limit}" + (f"&cursor={cursor}" if cursor else "")
        page = (await api.get(asked)).json()
        assert set(page) == {"items", "next_cursor"}
        yield page["items"]
        cursor = page["next_cursor"]


async def items(api: Api, path: str, limit: int) -> list[Json]:
    return [item async for page in pages(api, path, limit) for item in page]


@pytest.fixture
async def wallet(api: Api) -> str:
    """A wallet with seven credits and three holds."""
    id = await api.new_wallet()
    for number in range(7):
        await api.post(f"/v1/wallets/{id}/credits", {"amount": number + 1})
    for _ in range(3):
        await api.new_hold(id, 1)
    return id


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 500])
async def test_the_pages_of_a_list_hold_each_item_once_newest_first(api: Api, wallet: str, limit: int) -> None:
    entries = await items(api, f"/v1/wallets/{wallet}/entries", limit)
    assert [entry["version"] for entry in entries] == list(range(11, 0, -1))
    assert {entry["kind"] for entry in entries} == {"open", "post", "hold"}
    for path in ("/v1/transactions", f"/v1/transactions?wallet_id={wallet}", f"/v1/wallets/{wallet}/holds"):
        ids = [item["id"] for item in await items(api, path, limit)]
        assert ids == sorted(ids, reverse=True)
        assert len(set(ids)) == len(ids) == (3 if path.endswith("holds") else 11)


async def test_a_page_is_full_or_the_last(api: Api, wallet: str) -> None:
    sizes = [len(page) async for page in pages(api, f"/v1/wallets/{wallet}/entries", 4)]
    assert sizes == [4, 4, 3]
    sizes = [len(page) async for page in pages(api, f"/v1/wallets/{wallet}/entries", 11)]
    assert sizes == [11]


async def test_what_is_written_between_two_pages_moves_nothing(api: Api, wallet: str) -> None:
    seen: list[int] = []
    async for page in pages(api, f"/v1/wallets/{wallet}/entries", 3):
        seen += [entry["version"] for entry in page]
        await api.post(f"/v1/wallets/{wallet}/credits", {"amount": 1})
    assert seen == list(range(11, 0, -1))


async def test_a_list_is_of_fifty_unless_told_otherwise(api: Api) -> None:
    commands = [
        {"type": "credit", "idempotency_key": f"k{number}", "wallet_id": await api.new_wallet(), "amount": 1}
        for number in range(LIMIT_DEFAULT)
    ]
    await api.send("POST", "/v1/batches", {"commands": commands})
    page = (await api.get("/v1/transactions")).json()
    assert len(page["items"]) == LIMIT_DEFAULT == 50
    assert page["next_cursor"] is not None
    assert (await api.get("/v1/wallets")).json()["next_cursor"] is None


async def test_filters_choose(api: Api, wallet: str) -> None:
    dollars = await api.new_wallet(currency="USD")
    await api.patch(f"/v1/wallets/{dollars}", {"status": "frozen"})
    assert [item["id"] for item in await items(api, "/v1/wallets?currency=USD", 1)] == [dollars]
    assert [item["id"] for item in await items(api, "/v1/wallets?status=frozen", 1)] == [dollars]
    assert [item["id"] for item in await items(api, "/v1/wallets?status=active&currency=EUR", 1)] == [wallet]
    assert await items(api, "/v1/wallets?status=closed", 1) == []
    assert len(await items(api, "/v1/transactions?kind=hold", 2)) == 3
    assert len(await items(api, f"/v1/transactions?kind=post&wallet_id={wallet}", 2)) == 7
    assert await items(api, f"/v1/transactions?kind=hold&wallet_id={dollars}", 2) == []


BAD: Final = [
    "limit=0",
    "limit=501",
    "limit=-1",
    "limit=1.0",
    "limit=ten",
    "limit=%D9%A1",
    "limit=",
    "limit=1&limit=1",
    "cursor=",
    "cursor=x",
    "cursor=%C3%A4",
    "cursor=AAAAAAAA",
    "offset=3",
]


@pytest.mark.parametrize("query", BAD)
@pytest.mark.parametrize("path", ["/v1/wallets", "/v1/transactions", "/v1/wallets/{}/entries", "/v1/wallets/{}/holds"])
async def test_a_bad_page_is_malformed(api: Api, wallet: str, path: str, query: str) -> None:
    answer = await api.get(f"{path.format(wallet)}?{query}")
    assert (answer.status_code, problem_of(answer)) == (400, "malformed-request")


@pytest.mark.parametrize(
    "query", ["currency=eur", "currency=", "status=open", "status=", "status=active&status=active", "kind=post"]
)
async def test_a_bad_filter_of_wallets_is_malformed(api: Api, query: str) -> None:
    assert problem_of(await api.get(f"/v1/wallets?{query}")) == "malformed-request"


@pytest.mark.parametrize("query", ["kind=fence", "kind=POST", "kind=", "wallet_id=1", "wallet_id=", "status=active"])
async def test_a_bad_filter_of_transactions_is_malformed(api: Api, query: str) -> None:
    assert problem_of(await api.get(f"/v1/transactions?{query}")) == "malformed-request"


async def test_a_cursor_is_good_for_the_list_that_gave_it_only(api: Api, wallet: str) -> None:
    other = await api.new_wallet(1)
    cursor = (await api.get(f"/v1/wallets/{wallet}/entries?limit=1")).json()["next_cursor"]
    assert (await api.get(f"/v1/wallets/{wallet}/entries?limit=2&cursor={cursor}")).status_code == 200
    for path in (
        f"/v1/wallets/{other}/entries?",
        f"/v1/wallets/{wallet}/holds?",
        "/v1/wallets?",
        "/v1/transactions?",
        f"/v1/transactions?wallet_id={wallet}&",
    ):
        assert problem_of(await api.get(f"{path}cursor={cursor}")) == "malformed-request"
    cursor = (await api.get("/v1/transactions?limit=1&kind=post")).json()["next_cursor"]
    assert problem_of(await api.get(f"/v1/transactions?kind=hold&cursor={cursor}")) == "malformed-request"
