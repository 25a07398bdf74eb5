"""GET /v1/events: pages of events, at once or as soon as there is something to tell. Streams are in tests/events."""

import asyncio
from typing import Any

import pytest

from tests.http.api import Api, running_api
from wallet_core.events import Events
from wallet_core.events_feed import EventFeed
from wallet_core.ports import Unavailable


async def events(api: Api, query: str = "", **options: Any) -> Any:
    answer = await api.get(f"/v1/events{query}", **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def told(page: Any) -> list[str]:
    return [item["transaction"]["id"] for item in page["items"]]


async def test_every_transaction_is_told_once_page_by_page_as_it_is_told_elsewhere(api: Api) -> None:
    wallet = await api.new_wallet(balance=5)
    await api.post(f"/v1/wallets/{wallet}/debits", {"amount": 9})
    await api.post(f"/v1/wallets/{wallet}/debits", {"amount": 2})
    whole = await events(api)
    assert [item["transaction"]["kind"] for item in whole["items"]] == ["open", "post", "post"]
    for item in whole["items"]:
        assert item["transaction"] == (await api.get(f"/v1/transactions/{item['transaction']['id']}")).json()
    first = await events(api, "?limit=2")
    rest = await events(api, f"?limit=2&after={first['next_cursor']}")
    assert [*first["items"], *rest["items"]] == whole["items"]
    assert first["next_cursor"] == first["items"][-1]["cursor"]
    nothing = await events(api, f"?after={rest['next_cursor']}")
    assert nothing == {"items": [], "next_cursor": rest["next_cursor"]}


async def test_from_now_on_nothing_of_before_is_told(api: Api) -> None:
    wallet = await api.new_wallet()
    now = await events(api, "?after=now")
    assert now["items"] == []
    credited = (await api.post(f"/v1/wallets/{wallet}/credits", {"amount": 1})).json()
    assert told(await events(api, f"?after={now['next_cursor']}")) == [credited["id"]]


async def test_whoever_waits_is_answered_as_soon_as_there_is_something(api: Api) -> None:
    wallet = await api.new_wallet()
    now = (await events(api, "?after=now"))["next_cursor"]
    began = asyncio.get_running_loop().time()
    waiting = [asyncio.ensure_future(events(api, f"?after={now}&wait_ms=30000")) for _ in range(3)]
    await asyncio.sleep(0.05)
    credited = (await api.post(f"/v1/wallets/{wallet}/credits", {"amount": 1})).json()
    for answer in await asyncio.gather(*waiting):
        assert told(answer) == [credited["id"]]
    assert asyncio.get_running_loop().time() - began < 5


async def test_whoever_waits_in_vain_is_answered_with_nothing_and_where_to_go_on(api: Api) -> None:
    now = (await events(api, "?after=now"))["next_cursor"]
    assert await events(api, f"?after={now}&wait_ms=50") == {"items": [], "next_cursor": now}


async def test_another_tenants_events_do_not_wake_and_are_not_told(api: Api) -> None:
    await api.new_wallet()
    assert (await events(api, "?wait_ms=50", api_key="other"))["items"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("after=x", "after"),
        ("after=", "after"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("wait_ms=30001", "wait_ms"),
        ("wait_ms=-1", "wait_ms"),
        ("wait_ms=1.5", "wait_ms"),
        ("cursor=x", "cursor"),
    ],
)
async def test_a_parameter_that_cannot_be_is_malformed(api: Api, query: str, field: str) -> None:
    answer = await api.get(f"/v1/events?{query}")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == field


async def test_the_cursor_of_another_tenant_is_malformed(api: Api) -> None:
    await api.new_wallet()
    cursor = (await events(api))["next_cursor"]
    answer = await api.get(f"/v1/events?after={cursor}", api_key="other")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "after")


async def test_events_need_the_scope_read(api: Api) -> None:
    assert (await api.get("/v1/events", api_key="writer")).status_code == 403
    assert (await api.get("/v1/events", api_key=None)).status_code == 401


class Away:
    """An ``EventReader`` whose database goes away after the first look."""

    looks = 0

    async def events(self, tenant: object, *, after: str | None, limit: int) -> Events:
        self.looks += 1
        if self.looks > 1:
            raise Unavailable
        return Events((), "cursor")

    async def now(self, tenant: object) -> str:
        raise Unavailable


async def test_a_database_that_is_away_or_goes_away_is_said_to_be() -> None:
    async with running_api(events=EventFeed(Away())) as api:
        for query in ("?after=now", "?wait_ms=30000"):
            answer = await api.get(f"/v1/events{query}")
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/database-unavailable")
            assert answer.headers["retry-after"]


async def test_those_over_the_number_that_may_wait_are_told_to_come_again() -> None:
    feed = EventFeed(Away(), followers_max=0)
    async with running_api(events=feed) as api:
        answer = await api.get("/v1/events?wait_ms=30000")
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/overloaded")
        assert answer.headers["retry-after"]
