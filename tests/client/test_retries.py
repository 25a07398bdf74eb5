"""What is sent again and what never is, after how long, and until when; always under the one key of the intent."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import attrs
import httpx
import pytest

from adapters.http_client import (
    NotFound,
    OutcomeUnknown,
    Refused,
    Retries,
    ServiceUnavailable,
    WalletClient,
    WalletError,
)
from entrypoints.http.problems import ALL
from tests.client.scripted import LOST, NOT_SENT, WALLET, Reply, Script, applied, problem, refusal
from wallet_core import InvalidCommand

PASSING = [slug for slug, type_ in ALL.items() if type_.retry == "same_key"]
FINAL = [slug for slug, type_ in ALL.items() if type_.retry != "same_key"]
OF_A_PROXY = [httpx.Response(status, content=b"<html>Bad gateway</html>") for status in (502, 503, 504, 429, 408)]

# -------------------------------------------------------------------- what is sent again


@pytest.mark.parametrize(
    "reply", [*map(problem, PASSING), *LOST, *NOT_SENT, *OF_A_PROXY], ids=lambda reply: str(reply)[:40]
)
async def test_what_may_pass_is_sent_again_under_the_same_key_until_it_is_answered(
    reply: httpx.Response | Exception,
) -> None:
    script = Script([reply, reply, applied(replayed=True)])
    done = await script.client().credit(WALLET, 5)
    assert len(script.asked) == 3
    assert set(script.keys) == {done.key}
    assert len({(request.method, request.url, request.content) for request in script.asked}) == 1


@pytest.mark.parametrize("slug", FINAL)
async def test_what_is_decided_or_at_fault_is_never_sent_again(slug: str) -> None:
    script = Script([refusal(slug), applied()])
    with pytest.raises(WalletError):
        await script.client().credit(WALLET, 5)
    assert len(script.asked) == 1


def test_every_problem_of_the_service_is_either_sent_again_or_not() -> None:
    assert {"contention", "overloaded", "database-unavailable", "outcome-unknown", "internal-error"} <= set(PASSING)
    assert {"insufficient-funds", "version-conflict", "unauthenticated", "idempotency-key-reused"} <= set(FINAL)


async def test_the_service_has_the_last_word_on_what_may_be_sent_again() -> None:
    """Not the status, nor a list of names: what is new to the client is treated as the service says."""
    new = {"type": "/problems/closed-for-the-night", "title": "Closed", "status": 422, "outcome": "not_applied"}
    again = httpx.Response(422, json={**new, "retry": "same_key"})
    never = httpx.Response(503, json={**new, "status": 503, "retry": "never"})
    script = Script([again, applied()])
    await script.client().credit(WALLET, 5)
    assert len(script.asked) == 2
    script = Script([never, applied()])
    with pytest.raises(Refused, match="closed-for-the-night"):
        await script.client().credit(WALLET, 5)
    assert len(script.asked) == 1


async def test_an_intent_has_a_key_of_its_own_or_the_one_that_it_is_given() -> None:
    script = Script([applied()])
    client = script.client()
    first, second = await client.credit(WALLET, 5), await client.credit(WALLET, 5)
    third = await client.credit(WALLET, 5, key="order-7")
    assert script.keys == [first.key, second.key, "order-7"]
    assert len(set(script.keys)) == 3
    assert third.key == "order-7"


async def test_what_cannot_be_a_command_is_not_sent() -> None:
    script = Script([applied()])
    for wrong in (0, -1, 2**53, True, 1.0, "1"):
        with pytest.raises(InvalidCommand):
            await script.client().credit(WALLET, wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidCommand):
        await script.client().credit(WALLET, 1, key="a b")
    assert not script.asked


async def test_a_read_is_asked_again_too_and_is_never_in_doubt() -> None:
    script = Script([LOST[0], problem("database-unavailable"), refusal("wallet-not-found")])
    with pytest.raises(NotFound):
        await script.client().wallet(WALLET)
    assert len(script.asked) == 3
    script = Script([LOST[0]])
    with pytest.raises(ServiceUnavailable):
        await script.client().wallet(WALLET)


# -------------------------------------------------------------------- after how long


async def test_the_service_is_left_alone_for_as_long_as_it_asks() -> None:
    script = Script([problem("overloaded", "3"), problem("contention", "7"), applied()])
    await script.client(backoff_s_first=0.1, backoff_s_max=1.0).credit(WALLET, 5)
    first, second = script.waits
    assert 3 <= first <= 3.1
    assert 7 <= second <= 7.2


async def test_a_time_to_come_back_at_is_honoured_and_nonsense_asks_for_nothing() -> None:
    in_a_while = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    long_ago = "Sun, 06 Nov 1994 08:49:37 GMT"
    replies = [problem("overloaded", text) for text in (in_a_while, long_ago, "soon", "-5", "1e9")]
    script = Script([*replies, applied()])
    await script.client(backoff_s_first=0.0).credit(WALLET, 5)
    assert 15 < script.waits[0] <= 20
    assert script.waits[1:] == [0, 0, 0, 0]


async def test_waits_are_random_shares_of_windows_that_double_up_to_a_limit() -> None:
    waits: list[list[float]] = []
    for _ in range(60):
        script = Script([*[problem("contention")] * 6, applied()])
        await script.client(backoff_s_first=0.1, backoff_s_max=1.0).credit(WALLET, 5)
        waits.append(script.waits)
    windows = [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    for window, column in zip(windows, zip(*waits, strict=True), strict=True):
        assert all(0 <= wait <= window for wait in column)
        # Not just some jitter on top: the whole window is used.
        assert min(column) < window * 0.3
        assert max(column) > window * 0.7


# -------------------------------------------------------------------- until when


async def test_at_the_deadline_a_write_of_unknown_fate_is_told_with_its_key() -> None:
    script = Script([LOST[0]])
    with pytest.raises(OutcomeUnknown) as unknown:
        await script.client(deadline_s=10).credit(WALLET, 5)
    assert {unknown.value.key} == set(script.keys)
    assert len(script.asked) > 3
    assert 5 < script.now <= 10


async def test_at_the_deadline_a_write_that_certainly_did_not_happen_is_told_as_that() -> None:
    replies: list[Reply] = [problem("overloaded", "1"), problem("contention", "1"), problem("database-unavailable")]
    for reply in (*replies, *NOT_SENT):
        script = Script([reply])
        with pytest.raises(ServiceUnavailable) as unavailable:
            await script.client(deadline_s=5).credit(WALLET, 5, key="mine")
        assert unavailable.value.key == "mine"
        assert script.now <= 5


async def test_nobody_waits_for_what_comes_after_the_deadline() -> None:
    script = Script([problem("overloaded", "3600")])
    with pytest.raises(ServiceUnavailable):
        await script.client(deadline_s=30).credit(WALLET, 5)
    assert (len(script.asked), script.waits) == (1, [])


async def test_no_attempt_is_given_more_time_than_is_left() -> None:
    given: list[float] = []

    class Attempted:
        again = True
        retry_after_s = 0.0

    async def attempt(timeout_s: float) -> Attempted:
        given.append(timeout_s)
        script.now += 4
        return Attempted()

    script = Script([])
    retries = Retries(10, 6, backoff_s_first=0, now=lambda: script.now, sleep=script.sleep)
    await retries.insist(attempt)
    assert given == [6, 6, 2]


async def test_who_stops_waiting_is_let_go_at_once_and_nothing_is_sent_any_more() -> None:
    waiting = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    script = Script([LOST[0]])
    client = script.client()
    client.wire = attrs.evolve(client.wire, retries=Retries(sleep=sleep))
    call = asyncio.create_task(client.credit(WALLET, 5))
    await waiting.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert len(script.asked) == 1


async def test_who_stops_waiting_for_an_answer_is_let_go_at_once() -> None:
    asked = asyncio.Event()

    async def hang(request: httpx.Request) -> httpx.Response:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    async with httpx.AsyncClient(transport=httpx.MockTransport(hang), verify=False) as http:
        call = asyncio.create_task(WalletClient("http://wallet.test", "key", http=http).credit(WALLET, 5))
        await asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
