"""The real service fails in every way that a client can meet, and each intent still has one effect, under one key."""

import asyncio
from collections.abc import Awaitable
from itertools import count
from uuid import uuid4

import attrs
import httpx
import pytest

from adapters.http_client import KeyFenced, OutcomeUnknown, Retries, ServiceUnavailable
from tests.client.live import HURRIED, Live, faulty, free_port, listening, relay
from tests.support.over_http import Services
from wallet_core import Fence, Transaction

AT_ONCE = 25


async def at_once(sleep_s: float) -> None:
    """Do not wait, whatever is asked for."""
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("fault", "attempts", "replayed"),
    [
        # The service does not answer: the connection is closed.
        ("before-answer=drop", 2, True),
        # The service makes up for it by itself.
        ("after-commit=error", 1, False),
        ("before-commit=error", 1, False),
        # Too often for that: 503, and the service does not know whether it was kept. It was, or it was not.
        ("before-load=error*2, after-commit=error", 2, True),
        ("before-commit=error*3", 2, False),
        # Nothing was kept: 503.
        ("before-load=error*3", 2, False),
    ],
)
async def test_a_failure_of_the_service_leaves_one_effect_under_one_key(
    live: Live, fault: str, attempts: int, replayed: bool
) -> None:
    wallet_id = await live.open()
    client = live.client(faulty(fault), retries=attrs.evolve(HURRIED, sleep=at_once))
    done = await client.credit(wallet_id, 5)
    assert live.keys == [done.key] * attempts
    assert done.replayed is replayed
    assert await live.state(wallet_id) == (5, 2)
    assert await live.client().look_up(done.key) == attrs.evolve(done.transaction, intent="")


async def test_a_client_that_makes_a_new_key_for_each_attempt_pays_twice(live: Live) -> None:
    """What the test above would see without the one key: the same fault, and two credits."""

    def new_key(request: httpx.Request) -> None:
        request.headers["idempotency-key"] = str(uuid4())

    wallet_id = await live.open()
    await live.client(faulty("before-answer=drop"), new_key).credit(wallet_id, 5)
    assert await live.state(wallet_id) == (10, 3)


async def test_a_commit_that_takes_longer_than_the_service_waits_is_asked_for_until_it_is_there(
    live: Live, hasty_lab: Services
) -> None:
    wallet_id = await live.open()
    insisting = attrs.evolve(HURRIED, sleep=at_once)
    client = live.client(faulty("before-commit=delay:500"), url=hasty_lab.url, retries=insisting)
    done = await client.credit(wallet_id, 5)
    assert len(live.keys) > 1
    assert set(live.keys) == {done.key}
    assert await live.state(wallet_id) == (5, 2)


async def test_at_the_deadline_the_key_is_told_and_gets_the_truth_later(live: Live) -> None:
    wallet_id = await live.open()
    impatient = attrs.evolve(HURRIED, deadline_s=0.5, attempt_s=0.4)
    with pytest.raises(OutcomeUnknown) as unknown:
        await live.client(faulty("before-commit=delay:700"), retries=impatient).credit(wallet_id, 5)
    assert set(live.keys) == {unknown.value.key}
    done = await live.client().credit(wallet_id, 5, key=unknown.value.key)
    assert (done.key, done.replayed) == (unknown.value.key, True)
    assert await live.state(wallet_id) == (5, 2)


async def test_what_is_fenced_never_happens_though_it_is_still_on_its_way(live: Live) -> None:
    wallet_id = await live.open()
    late = asyncio.create_task(live.client(faulty("before-queue=delay:900")).credit(wallet_id, 5, key="k"))
    impatient = attrs.evolve(HURRIED, deadline_s=0.1)
    with pytest.raises(OutcomeUnknown) as unknown:
        await live.client(faulty("before-queue=delay:900"), retries=impatient).credit(wallet_id, 5, key="k")
    fence = await live.client().fence(unknown.value.key)
    assert isinstance(fence, Fence)
    with pytest.raises(KeyFenced):
        await late
    with pytest.raises(KeyFenced):
        await live.client().credit(wallet_id, 5, key="k")
    assert await live.state(wallet_id) == (0, 1)


async def test_a_fence_that_comes_too_late_tells_what_happened(live: Live) -> None:
    wallet_id = await live.open()
    done = await live.client().credit(wallet_id, 5)
    decision = await live.client().fence(done.key)
    assert isinstance(decision, Transaction)
    assert decision.id == done.transaction.id


async def test_many_intents_whose_answers_are_lost_have_one_effect_each(live: Live) -> None:
    wallet_id = await live.open()
    clients = [live.client(faulty("before-answer=drop")) for _ in range(AT_ONCE)]
    done = await asyncio.gather(*(client.credit(wallet_id, 1) for client in clients))
    assert len({each.transaction.id for each in done}) == AT_ONCE
    assert await live.state(wallet_id) == (AT_ONCE, AT_ONCE + 1)
    assert (await live.client().verification(wallet_id)).ok


# -------------------------------------------------------------------- on the way


async def test_an_answer_that_is_cut_on_the_way_is_asked_for_again(live: Live) -> None:
    wallet_id = await live.open()
    async with listening(relay(live.url, cut_answers=2)) as url:
        done = await live.client(url=url).credit(wallet_id, 5)
    assert done.replayed
    assert live.keys == [done.key] * 3
    assert await live.state(wallet_id) == (5, 2)


async def test_refused_connections_are_tried_again_until_somebody_listens(live: Live) -> None:
    wallet_id = await live.open()
    refusing = free_port()
    waits = count(1)
    proxies: list[Awaitable[str]] = []
    proxy = listening(relay(live.url), refusing)

    async def sleep(seconds: float) -> None:
        if next(waits) == 3:
            proxies.append(proxy.__aenter__())
            await proxies[-1]

    url = f"http://127.0.0.1:{refusing.getsockname()[1]}"
    try:
        done = await live.client(url=url, retries=attrs.evolve(HURRIED, sleep=sleep)).credit(wallet_id, 5)
    finally:
        await proxy.__aexit__(None, None, None)
    assert not done.replayed
    assert live.keys == [done.key] * 4
    assert await live.state(wallet_id) == (5, 2)


async def test_what_never_left_is_not_in_doubt(live: Live) -> None:
    with free_port() as refusing:
        url = f"http://127.0.0.1:{refusing.getsockname()[1]}"
        nobody = live.client(url=url, retries=attrs.evolve(HURRIED, deadline_s=0.3))
        with pytest.raises(ServiceUnavailable, match="no connection"):
            await nobody.open("EUR")


async def test_a_service_that_says_nothing_is_left_after_each_attempt_s_time(live: Live) -> None:
    heard: list[bytes] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(65_536))
        await reader.read()
        writer.close()

    loop = asyncio.get_running_loop()
    began = loop.time()
    async with listening(silent) as url:
        impatient = Retries(deadline_s=0.7, attempt_s=0.2, backoff_s_first=0.01)
        with pytest.raises(OutcomeUnknown, match="no answer within") as unknown:
            await live.client(url=url, retries=impatient).open("EUR")
    assert len(heard) >= 2
    assert all(unknown.value.key.encode() in request for request in heard)
    assert loop.time() - began < 2


async def test_connections_are_used_again(live: Live) -> None:
    client = live.client()
    wallet_id = (await client.open("EUR")).wallet.id
    for _ in range(10):
        await client.credit(wallet_id, 1)
    assert len(live.sent) == 11
    assert len(live.connections) == 1
