"""Events as a stream: each is told as it comes, and the stream ends when it has to."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from uuid import UUID

import attrs
import httpx
import pytest

from adapters.http_client import Refused, Retries, connect
from adapters.http_client_events import NOW, follow
from adapters.http_client_reads import Reads
from entrypoints.http import events as http_events
from tests.events.serving import WAIT_S_MAX, Served, serving
from wallet_core import Transaction
from wallet_core.events import BadCursor, Event, Events
from wallet_core.events_feed import EventFeed
from wallet_core.ports import Unavailable

STREAM = {"accept": "text/event-stream"}


@attrs.define
class Stream:
    """A stream as a browser's ``EventSource`` reads it."""

    response: httpx.Response
    lines: AsyncIterator[str]
    retry_ms: int | None = None
    heartbeats: int = 0

    async def next(self) -> tuple[str, Mapping[str, object]] | None:
        """The next event: its id and its data. None when the stream has ended."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(WAIT_S_MAX):
            async for line in self.lines:
                name, _, value = line.partition(":")
                if line and name:
                    fields[name] = value.removeprefix(" ")
                elif name == "" and line:
                    self.heartbeats += 1
                elif "retry" in fields:
                    self.retry_ms = int(fields.pop("retry"))
                elif fields:
                    assert fields.keys() == {"id", "event", "data"}
                    assert fields["event"] == "transaction"
                    return fields["id"], json.loads(fields["data"])
        return None


@asynccontextmanager
async def streaming(served: Served, query: str = "", **headers: str) -> AsyncIterator[Stream]:
    async with served.client.stream("GET", f"/v1/events{query}", headers={**STREAM, **headers}) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["cache-control"] == "no-store"
        yield Stream(response, response.aiter_lines())


async def test_events_are_told_as_they_come_the_same_as_on_pages() -> None:
    async with serving() as served, streaming(served) as stream:
        await stream.next()
        for number in range(3):
            credited = await served.credit(f"c{number}")
            told = await stream.next()
            assert told is not None
            assert told[1]["id"] == str(credited.id)
        assert told is not None
        page = (await served.client.get("/v1/events")).json()
        assert page["items"][-1] == {"cursor": told[0], "transaction": told[1]}
        assert stream.retry_ms == 1000


@pytest.mark.parametrize("by", ["header", "after", "both"])
async def test_a_stream_goes_on_after_the_last_event(by: str) -> None:
    async with serving() as served:
        async with streaming(served) as stream:
            first = await stream.next()
        assert first is not None
        await served.credit("next")
        query = f"?after={'now' if by == 'both' else first[0]}" if by != "header" else ""
        headers = {"last-event-id": first[0]} if by != "after" else {}
        async with streaming(served, query, **headers) as stream:
            told = await stream.next()
            assert told is not None
            assert told[1]["idempotency_key"] == "next"


async def test_from_now_on_nothing_of_before_is_told() -> None:
    async with serving() as served, streaming(served, "?after=now") as stream:
        await served.settled(1)
        await served.credit("new")
        told = await stream.next()
        assert told is not None
        assert told[1]["idempotency_key"] == "new"


async def test_what_is_wrong_is_told_before_the_stream_begins() -> None:
    async with serving() as served:
        for query, status in (("?after=x", 400), ("?limit=0", 400)):
            assert (await served.client.get(f"/v1/events{query}", headers=STREAM)).status_code == status
        served.keys.revoked = True
        assert (await served.client.get("/v1/events", headers=STREAM)).status_code == 401


async def test_a_stream_at_rest_shows_that_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_events, "HEARTBEAT_S", 0.02)
    async with serving() as served, streaming(served, "?after=now") as stream:
        await asyncio.sleep(0.1)
        await served.credit("new")
        await stream.next()
        assert stream.heartbeats > 0


async def test_the_end_of_the_service_ends_streams_and_answers_those_who_wait() -> None:
    async with serving() as served, streaming(served, "?after=now") as stream:
        waiting = asyncio.create_task(served.client.get("/v1/events?after=now&wait_ms=30000"))
        await served.settled(2)
        assert await served.stop() < 2
        assert await stream.next() is None
        assert (await waiting).json()["items"] == []


async def test_the_end_of_its_key_ends_a_stream_and_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_events, "KEY_CHECK_S", 0.05)
    async with serving() as served, streaming(served, "?after=now") as stream:
        waiting = asyncio.create_task(served.client.get("/v1/events?after=now&wait_ms=30000"))
        await served.settled(2)
        served.keys.revoked = True
        assert await stream.next() is None
        assert (await waiting).status_code == 401


async def test_no_more_are_taken_than_may_follow_and_those_who_leave_make_room() -> None:
    async with serving(followers_max=1) as served:
        async with streaming(served) as stream:
            await stream.next()
            for headers in (STREAM, {}):
                refused = await served.client.get("/v1/events?after=now&wait_ms=30000", headers=headers)
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
                assert refused.json()["type"] == "/problems/overloaded"
        await served.settled(0)
        async with streaming(served) as stream:
            assert await stream.next() is not None


async def test_whoever_gives_up_waiting_makes_room() -> None:
    async with serving() as served:
        waiting = asyncio.create_task(served.client.get("/v1/events?after=now&wait_ms=30000"))
        await served.settled(1)
        waiting.cancel()
        await served.settled(0)


# ------------------------------------------------------------------ readers of the tests' own


@attrs.define
class Fake:
    """An ``EventReader`` that answers as a test wants."""

    answer: Callable[[str | None, int], Events]
    looks: int = 0

    async def events(self, tenant: UUID, *, after: str | None, limit: int) -> Events:
        self.looks += 1
        return self.answer(after, limit)

    async def now(self, tenant: UUID) -> str:
        return "0"


def endless(transaction: Transaction) -> Callable[[str | None, int], Events]:
    """Events without an end, the same again and again."""

    def answer(after: str | None, limit: int) -> Events:
        start = int(after or 0) + 1
        items = [Event(str(number), transaction) for number in range(start, start + limit)]
        return Events(items, items[-1].cursor)

    return answer


async def test_what_a_client_does_not_read_is_not_read_from_the_database_either() -> None:
    async with serving() as plain:
        reader = Fake(endless(await plain.credit("any")))
    async with serving(reader) as served:
        address = urlsplit(served.url)
        _, writer = await asyncio.open_connection(address.hostname, address.port, limit=1024)
        head = "GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\nAccept: text/event-stream\r\n\r\n"
        writer.write(head.encode())
        await served.settled(1)
        looks = -1
        # Until the buffers of both sides are full.
        async with asyncio.timeout(WAIT_S_MAX):
            while looks != reader.looks:
                looks = reader.looks
                await asyncio.sleep(0.3)
        writer.close()
        await served.settled(0)


async def test_a_stream_outlasts_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_events, "RETRY_S", 0.02)
    away = False

    async with serving() as plain:
        transaction = await plain.credit("any")

    def answer(after: str | None, limit: int) -> Events:
        if away:
            raise Unavailable
        return Events([Event("1", transaction)], "1") if after is None else Events((), after)

    reader = Fake(answer)
    async with serving(reader) as served, streaming(served) as stream:
        assert await stream.next() is not None
        away = True
        looks = reader.looks
        while reader.looks < looks + 2:
            served.feed.announce(served.tenant)
            await asyncio.sleep(0.01)
        answer_of_page = await served.client.get("/v1/events?wait_ms=30000")
        assert (answer_of_page.status_code, answer_of_page.json()["type"]) == (503, "/problems/database-unavailable")
        away = False
        reader.answer = lambda after, limit: Events([Event("2", transaction)] if after == "1" else [], "2")
        told = await stream.next()
        assert told is not None
        assert told[0] == "2"


async def test_many_who_wait_cost_one_look_at_the_database() -> None:
    reader = Fake(lambda after, limit: Events((), after or "0"))
    feed = EventFeed(reader)
    tenant = UUID(int=1)

    async def wait() -> None:
        with feed.following(tenant) as tail:
            await tail.news(tail.turn, "0", 0.5)

    await asyncio.gather(*(wait() for _ in range(50)))
    # One in 20 ms, 40, 80, 160, and then every 200.
    assert reader.looks <= 6


# ------------------------------------------------------------------ the client


async def test_the_client_follows_and_goes_on_while_the_service_is_away() -> None:
    retries = Retries(deadline_s=0.2, attempt_s=2.5, backoff_s_first=0.01, backoff_s_max=0.02)
    async with serving() as served:
        wire = connect(served.url, retries)
        following = follow(Reads(wire, "key"))
        told = [(await anext(following)).transaction.key]
        await served.credit("one")
        told.append((await anext(following)).transaction.key)
        assert told == ["open", "one"]
        following_now = follow(Reads(wire, "key"), NOW)
        waiting = asyncio.ensure_future(anext(following_now))
        await served.settled(1)
        await served.credit("two")
        assert (await waiting).transaction.key == "two"
        # Nobody listens for a while.
        later = asyncio.ensure_future(anext(follow(Reads(connect("http://127.0.0.1:9", retries), "key"))))
        await asyncio.sleep(0.5)
        assert not later.done()
        later.cancel()
        with pytest.raises(BadCursor):
            await anext(follow(Reads(wire, "key"), "x"))
        served.keys.revoked = True
        with pytest.raises(Refused):
            await anext(follow(Reads(wire, "key"), NOW))
        await wire.http.aclose()
