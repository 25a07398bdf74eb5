"""The cache over a store that fails: it costs one short wait, then nothing, and comes back by itself."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import attrs
import pytest

from adapters.redis import breaker, cache
from adapters.redis.cache import PENDING_RECEIPTS_MAX, RECEIPT_TTL_S, WRITE_RECEIPTS_MAX, CacheState, RedisReplayCache
from adapters.redis.receipts import RECEIPT_BYTES_MAX
from adapters.redis.store import StoreAway, StoreRefused
from tests.cache.decisions import every_kind
from tests.support.cached import Told
from tests.support.ids import id_number
from tests.support.waits import until
from wallet_core.ports import History

TENANT = id_number(1)
HISTORY = History("h1", b"s" * 32)
DECISION = every_kind()[3]
CALL_S_MAX = 0.05
SOON_S = 0.02


@attrs.define
class Scripted:
    """A store of values that fails as it is told to, and counts what it is asked."""

    values: dict[bytes, bytes] = attrs.field(factory=dict)
    reading: Exception | None = None
    writing: Exception | None = None
    hangs: bool = False
    answer: Sequence[object] | None = None
    meanwhile: Callable[[], object] = lambda: None
    reads: int = 0
    writes: list[int] = attrs.field(factory=list)
    probes: int = 0
    closed: bool = False
    ttl_s: int = 0

    async def get_many(self, keys: Sequence[bytes]) -> Sequence[object]:
        self.reads += 1
        self.meanwhile()
        await self._fail(self.reading)
        return [self.values.get(key) for key in keys] if self.answer is None else self.answer

    async def put_many(self, values: Mapping[bytes, bytes], ttl_s: int) -> None:
        self.writes.append(len(values))
        await self._fail(self.writing)
        self.ttl_s = ttl_s
        self.values.update(values)

    async def ping(self) -> None:
        self.probes += 1
        await self._fail(self.reading)

    async def close(self) -> None:
        self.closed = True
        await self._fail(None)

    async def _fail(self, error: Exception | None) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if error is not None:
            raise error


@attrs.define
class Subject:
    store: Scripted
    told: Told
    cache: RedisReplayCache

    async def find(self, *keys: str) -> set[str]:
        return set(await self.cache.find(TENANT, keys or (DECISION.key,), HISTORY))

    async def remember(self, amount: int = 1) -> None:
        self.cache.remember(TENANT, [attrs.evolve(DECISION, key=f"k{n}") for n in range(amount)], HISTORY)
        await self.cache.written()

    async def until_back(self) -> None:
        async def back() -> bool:
            return not self.cache.state.away

        await until(back)


@pytest.fixture
async def subject(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Subject]:
    """With one receipt in the store, and probes that come soon."""
    monkeypatch.setattr(breaker, "PROBE_S", SOON_S)
    monkeypatch.setattr(cache, "REFUSED_S", SOON_S)
    monkeypatch.setattr(cache, "CLOSE_S_MAX", SOON_S)
    store, told = Scripted(), Told(HISTORY)
    made = RedisReplayCache(store, told, CALL_S_MAX)
    made.start()
    made.remember(TENANT, [DECISION], HISTORY)
    await made.written()
    yield Subject(store, told, made)
    await made.close()


async def test_what_is_kept_is_kept_for_a_day(subject: Subject) -> None:
    assert subject.store.ttl_s == RECEIPT_TTL_S == 86_400
    assert await subject.find() == {DECISION.key}


@pytest.mark.parametrize("failure", [StoreAway("ConnectionError"), StoreRefused("NoPermissionError")])
async def test_the_first_failure_is_the_last_that_anybody_waits_for(subject: Subject, failure: Exception) -> None:
    subject.store.reading = failure
    assert await subject.find() == set()
    assert subject.cache.state.away
    asked = subject.store.reads
    for _ in range(20):
        assert await subject.find() == set()
        await subject.remember()
    assert subject.store.reads == asked
    assert len(subject.store.writes) == 1
    assert subject.cache.state.failures == 1


async def test_it_is_asked_again_once_it_answers_a_question_of_nobodys(subject: Subject) -> None:
    subject.store.reading = StoreAway("ConnectionError")
    await subject.find()
    reads = subject.store.reads

    async def probed() -> bool:
        return subject.store.probes >= 3

    await until(probed)
    assert subject.cache.state.away
    assert subject.store.reads == reads
    subject.store.reading = None
    await subject.until_back()
    assert await subject.find() == {DECISION.key}


async def test_a_store_that_hangs_costs_one_limit_and_probes_of_it_end_too(subject: Subject) -> None:
    subject.store.hangs = True
    started = time.monotonic()
    assert await subject.find() == set()
    assert time.monotonic() - started >= CALL_S_MAX * 0.9

    async def probed() -> bool:
        return subject.store.probes >= 3

    await until(probed)
    assert subject.cache.state.away
    subject.store.hangs = False
    await subject.until_back()
    assert await subject.find() == {DECISION.key}


async def test_a_write_that_hangs_opens_the_breaker_as_well(subject: Subject) -> None:
    subject.store.hangs = True
    await subject.remember()
    assert subject.cache.state.away


async def test_a_store_that_is_full_is_still_read_and_is_not_pestered(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "REFUSED_S", 60.0)
    subject.store.writing = StoreRefused("OutOfMemoryError")
    await subject.remember()
    assert (subject.cache.state.away, subject.cache.state.refusing) == (False, True)
    assert await subject.find() == {DECISION.key}
    tried = len(subject.store.writes)
    for _ in range(20):
        await subject.remember()
    assert len(subject.store.writes) == tried
    assert subject.cache.state.dropped == 21


async def test_a_store_that_has_room_again_is_written_to_again(subject: Subject) -> None:
    subject.store.writing = StoreRefused("OutOfMemoryError")
    await subject.remember()
    subject.store.writing = None

    async def keeps() -> bool:
        await subject.remember()
        return not subject.cache.state.refusing

    await until(keeps)
    assert "k0" in await subject.find("k0")


async def test_each_change_is_logged_once_and_no_more_than_its_kind(
    subject: Subject, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "wallet.cache")
    subject.store.writing = StoreRefused("OutOfMemoryError")
    for _ in range(3):
        await asyncio.sleep(SOON_S)
        await subject.remember()
    subject.store.reading = StoreAway("ConnectionError")
    for _ in range(3):
        await subject.find()
    subject.store.reading = subject.store.writing = None
    await subject.until_back()
    await asyncio.sleep(SOON_S)
    await subject.remember()
    assert caplog.messages == [
        "the replay cache keeps nothing new (OutOfMemoryError)",
        "the replay cache is away (ConnectionError); replays are read from the database",
        "the replay cache is back",
        "the replay cache keeps receipts again",
    ]


async def test_what_does_not_find_room_in_the_queue_is_dropped(subject: Subject) -> None:
    decisions = [attrs.evolve(DECISION, key=f"k{n}") for n in range(PENDING_RECEIPTS_MAX + 7)]
    subject.cache.remember(TENANT, decisions, HISTORY)
    assert subject.cache.state.dropped == 7
    await subject.cache.written()
    assert len(subject.store.values) == 1 + PENDING_RECEIPTS_MAX
    assert max(subject.store.writes) == WRITE_RECEIPTS_MAX


async def test_a_receipt_that_is_too_large_is_left_out(subject: Subject) -> None:
    large = attrs.evolve(DECISION, key="large", intent="x" * RECEIPT_BYTES_MAX)
    subject.cache.remember(TENANT, [large, attrs.evolve(DECISION, key="small")], HISTORY)
    await subject.cache.written()
    assert await subject.find("large", "small") == {"small"}
    assert subject.cache.state.dropped == 1


@pytest.mark.parametrize(
    ("answer", "rejected"),
    [([], 0), ([None], 0), ([None, None], 0), (["right", "one too many"], 0), ([17], 1), (["text"], 1), ([[b"x"]], 1)],
)
async def test_an_odd_answer_is_a_miss(subject: Subject, answer: Sequence[object], rejected: int) -> None:
    (right,) = subject.store.values.values()
    subject.store.answer = [right if value == "right" else value for value in answer]
    assert await subject.find() == set()
    state = subject.cache.state
    assert (state.away, state.misses, state.rejected) == (False, 1, rejected)


async def test_what_is_counted(subject: Subject) -> None:
    await subject.find(DECISION.key, "unknown", "unheard of")
    assert subject.cache.state == CacheState(
        away=False, refusing=False, hits=1, misses=2, rejected=0, dropped=0, failures=0
    )


@pytest.mark.parametrize("now", [None, History("h2", b"s" * 32)])
async def test_nothing_is_told_if_the_history_changed_while_the_store_was_asked(
    subject: Subject, now: History | None
) -> None:
    subject.store.meanwhile = lambda: setattr(subject.told, "known", now)
    assert await subject.find() == set()
    assert subject.store.reads == 1


async def test_what_is_pending_at_the_end_is_written(subject: Subject) -> None:
    subject.cache.remember(TENANT, [attrs.evolve(DECISION, key="last")], HISTORY)
    await subject.cache.close()
    assert any(key.endswith(b":last") for key in subject.store.values)
    assert subject.store.closed
    assert await subject.find() == set()
    await subject.remember()
    assert subject.store.writes == [1, 1]


async def test_the_end_comes_whatever_the_store_does(subject: Subject) -> None:
    subject.store.hangs = True
    subject.cache.remember(TENANT, [DECISION], HISTORY)
    async with asyncio.timeout(5):
        await subject.cache.close()


async def test_before_its_start_it_finds_and_keeps_nothing() -> None:
    store = Scripted(reading=AssertionError())
    idle = RedisReplayCache(store, Told(HISTORY))
    assert await idle.find(TENANT, [DECISION.key], HISTORY) == {}
    idle.remember(TENANT, [DECISION], HISTORY)
    assert idle.state.dropped == 1
    await idle.close()
    assert store.reads == 0
