"""What a crowd, a race and a bug come to, in numbers; and how the workers' numbers become one."""

import asyncio
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import get_args
from uuid import UUID

import pytest

from adapters.ids import UuidV7
from adapters.memory import MemoryStore
from adapters.metrics import catalogue as c
from adapters.metrics.cells import Layout, OneProcess, Worker
from adapters.metrics.exposition import Exposition
from adapters.metrics.recorder import LedgerRecorder
from adapters.observers import together
from tests.observability.scrape import Scrape, is_openmetrics
from tests.support.ids import id_number
from wallet_core import BatchLedger, Command, FenceKey, GroupCommit, OpenWallet, Outcome, credit
from wallet_core.ports import StaleSnapshot, Store, UnitOfWork
from wallet_core.watching import UNWATCHED, Batch, Observer

T = id_number(1)
LAYOUT = Layout(c.FIXED)


class Watched:
    """A recorder, and what it has recorded."""

    def __init__(self) -> None:
        self._cells = OneProcess(LAYOUT)
        self.observer = LedgerRecorder(self._cells.numbers, LAYOUT)
        self._exposition = Exposition(self._cells, LAYOUT, lambda: None, dict)

    async def scrape(self) -> Scrape:
        return Scrape.of((await self._exposition.answer(""))[1].decode())


class LosesRaces:
    """A store whose every unit of work but the last few loses the race."""

    def __init__(self, store: Store, races: int) -> None:
        self._store, self.races = store, races

    def begin(self, tenant: UUID) -> AbstractAsyncContextManager[UnitOfWork]:
        return self._begin(tenant)

    @asynccontextmanager
    async def _begin(self, tenant: UUID) -> AsyncIterator[UnitOfWork]:
        async with self._store.begin(tenant) as unit:
            if self.races:
                self.races -= 1
                raise StaleSnapshot
            yield unit


class Stuck:
    """A ledger that does nothing until it is let, and then fails by a bug."""

    def __init__(self) -> None:
        self.let = asyncio.Event()

    async def execute(self, tenant: UUID, commands: Sequence[Command]) -> Sequence[Outcome]:
        await self.let.wait()
        raise ZeroDivisionError


@pytest.mark.parametrize(("races", "outcome", "lost"), [(3, "fenced", 3), (1000, "contention", 20)])
async def test_lost_races_are_counted_and_so_is_what_they_come_to(races: int, outcome: str, lost: int) -> None:
    watched = Watched()
    ledger = BatchLedger(LosesRaces(MemoryStore(), races), UuidV7(), jitter=lambda: 0.0, observer=watched.observer)
    group = GroupCommit(ledger, observer=watched.observer)
    await group.execute(T, [FenceKey("a"), FenceKey("b")])
    scrape = await watched.scrape()
    assert scrape.counts("wallet_writes_total", "outcome") == {outcome: 2}
    assert scrape("wallet_lost_races_total") == lost
    assert scrape("wallet_batch_attempts_total", kind="plain") == 1
    assert scrape("wallet_batch_attempts_total", kind="locked") == lost - (outcome == "contention")
    assert scrape("wallet_stacked_in_vain_total") == 0


async def test_what_is_turned_away_withdrawn_or_ended_by_a_bug_is_counted() -> None:
    watched, stuck = Watched(), Stuck()
    group = GroupCommit(stuck, batch_commands_max=2, queue_commands_max=4, wait_s_max=0.01, observer=watched.observer)
    first = asyncio.ensure_future(group.execute(T, [FenceKey("a"), FenceKey("b")]))
    await asyncio.sleep(0)
    late = group.execute(T, [FenceKey("c")])
    await asyncio.sleep(0)
    assert group.in_flight == 1
    await group.execute(T, [FenceKey(f"d{number}") for number in range(5)])
    await late
    stuck.let.set()
    with pytest.raises(ZeroDivisionError):
        await first
    scrape = await watched.scrape()
    assert scrape.counts("wallet_shed_commands_total", "cause") == {"queue_full": 5, "waited_too_long": 1}
    assert scrape.counts("wallet_writes_total", "outcome") == {"overloaded": 6, "failed": 2}
    await group.close()


async def test_a_batch_on_top_of_another_is_counted_as_such() -> None:
    watched = Watched()
    ledger = BatchLedger(MemoryStore(), UuidV7(), stacks=True, observer=watched.observer)
    group = GroupCommit(ledger, batch_commands_max=50, stacked_commands_min=4, observer=watched.observer)
    wallet = id_number(7)
    await group.execute(T, [OpenWallet("open", "EUR", id=wallet)])
    await asyncio.gather(*(group.execute(T, [credit(f"k{n}", wallet, 1)]) for n in range(200)))
    scrape = await watched.scrape()
    assert scrape("wallet_writes_total", outcome="applied") == 201
    assert scrape("wallet_batch_commands_sum") == 201
    assert scrape("wallet_batch_commands_bucket", le="50.0") == scrape("wallet_batch_commands_count")
    stacked = scrape("wallet_batch_attempts_total", kind="stacked")
    assert stacked >= 1
    assert scrape("wallet_batch_step_duration_seconds_count", step="stack") == stacked
    assert scrape("wallet_batch_step_duration_seconds_count", step="turn") == stacked


async def test_several_observers_hear_the_same_and_one_may_ask_for_origins() -> None:
    one, other = Watched(), Watched()
    asking = Origins()
    observer = together([one.observer, other.observer, asking])
    ledger = BatchLedger(LosesRaces(MemoryStore(), 2), UuidV7(), jitter=lambda: 0.0, observer=observer)
    await GroupCommit(ledger, observer=observer).execute(T, [FenceKey("a")])
    assert (await one.scrape()).samples.keys() == (await other.scrape()).samples.keys()
    assert (await one.scrape())("wallet_lost_races_total") == (await other.scrape())("wallet_lost_races_total") == 2
    assert asking.heard == [[1]]
    assert together([]) is UNWATCHED
    assert together([asking]) is asking


class Origins(Observer):
    def __init__(self) -> None:
        self.heard: list[list[object]] = []
        self.origin = lambda: 1

    def batch(self, commands: int, waited_s: float, origins: Sequence[object]) -> Batch:
        self.heard.append(list(origins))
        return super().batch(commands, waited_s, origins)


def test_each_outcome_has_a_name() -> None:
    assert set(c.OUTCOMES) == set(get_args(Outcome))
    assert len(set(c.OUTCOMES.values())) == len(c.OUTCOMES)


def _work_and_die(folder: Path, times: int) -> None:
    """A worker, up to where it is killed."""
    worker = Worker(LAYOUT, folder)
    worker.numbers[LAYOUT.place(c.WRITES, "applied")] += times
    worker.numbers[LAYOUT.place(c.QUEUE)] = 7
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_dead_worker_has_counted_stays_and_what_it_had_in_hand_does_not(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    for times in (1, 20, 300):
        process = fork.Process(target=_work_and_die, args=(tmp_path, times))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    mine, beside = Worker(LAYOUT, tmp_path), Worker(LAYOUT, tmp_path)
    assert (mine.worker, beside.worker) == (0, 1)
    assert len(list(tmp_path.iterdir())) == 2
    mine.numbers[LAYOUT.place(c.QUEUE)] = 2
    beside.numbers[LAYOUT.place(c.QUEUE)] = 3
    beside.numbers[LAYOUT.place(c.WRITES, "applied")] += 4000
    for asked in (mine, beside):
        scrape = asyncio.run(_scrape_of(asked))
        assert scrape("wallet_writes_total", outcome="applied") == 4321
        assert scrape("wallet_queue_commands") == 5
    beside.close()
    scrape = asyncio.run(_scrape_of(mine))
    assert scrape("wallet_writes_total", outcome="applied") == 4321
    assert scrape("wallet_queue_commands") == 2


async def _scrape_of(worker: Worker) -> Scrape:
    exposition = Exposition(worker, LAYOUT, lambda: None, dict)
    _, plain = await exposition.answer("text/html")
    content_type, strict = await exposition.answer("application/openmetrics-text;version=1.0.0;q=0.5, */*;q=0.1")
    assert content_type.startswith("application/openmetrics-text")
    assert is_openmetrics(strict.decode())
    return Scrape.of(plain.decode())


async def test_a_crowd_of_scrapers_gets_one_answer() -> None:
    looked: Counter[str] = Counter()
    exposition = Exposition(OneProcess(LAYOUT), LAYOUT, lambda: looked.update(["at"]), dict)
    answers = await asyncio.gather(*(exposition.answer(f"text/{n}") for n in range(50)))
    assert len(set(answers)) == 1
    assert looked["at"] == 1
