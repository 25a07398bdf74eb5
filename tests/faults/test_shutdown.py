"""Stopping and restarting under load: each request is answered whole or not at all; nothing acknowledged is lost."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import asyncpg
import attrs
import psutil
import pytest

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres_processes import end_processes, processes_of
from adapters.postgres.migrate import upgrade
from tests.databases import Databases
from tests.databases import run as run_async
from tests.faults.balancer import Balancer
from tests.faults.served import served
from tests.faults.wire import Closed, Reply, Wire
from tests.http.process import STOP_S_MAX, Running
from tests.support.waits import until

CLIENTS: Final = 8
STOP_UNDER_LOAD_S_MAX: Final = 15.0
STOPS_MAX: Final = 4
HUNG_STOP_S_MAX: Final = 30.0
"""What the service promises, whatever the database does: see docs/limits.md."""

RETRY_S: Final = 0.02


@attrs.define
class Load:
    """Clients that credit one wallet with 1 under a new key each time, and settle each key before the next one."""

    wires: list[Wire]
    wallet: str
    insist: bool
    """Whether a request that got no answer is sent again under its key; else its client leaves."""
    acknowledged: list[str] = attrs.field(factory=list)
    unanswered: list[str] = attrs.field(factory=list)
    replies: list[Reply] = attrs.field(factory=list)
    enough: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number, wire in enumerate(self.wires):
                tasks.create_task(self._client(number, wire))

    async def _client(self, number: int, wire: Wire) -> None:
        attempt = 0
        while not self.enough.is_set():
            attempt += 1
            if not await self._settle(wire, f"{number}-{attempt}"):
                return
        wire.close()

    async def _settle(self, wire: Wire, key: str) -> bool:
        while True:
            try:
                reply = await wire.credit(self.wallet, key)
            except Closed:
                if not self.insist:
                    self.unanswered.append(key)
                    return False
                await asyncio.sleep(RETRY_S)
                continue
            reply.check()
            self.replies.append(reply)
            if reply.status == 201:
                self.acknowledged.append(key)
                return True
            assert reply.json()["retry"] == "same_key", reply.body
            await asyncio.sleep(RETRY_S)

    async def has(self, count: int) -> bool:
        return len(self.acknowledged) >= count


async def credited(database: str) -> dict[str, int]:
    """How often each key took effect."""
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch(
            "SELECT idempotency_key, count(*) FROM transactions WHERE kind = 'post' GROUP BY idempotency_key"
        )
    finally:
        await connection.close()
    return {row[0]: row[1] for row in rows}


async def stopped(service: Running, *numbers: signal.Signals) -> int:
    for number in numbers:
        service.process.send_signal(number)
    return await asyncio.to_thread(service.process.wait, STOP_S_MAX)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_stop_under_load_answers_each_request_whole_or_not_at_all(databases: Databases, workers: str) -> None:
    for _ in range(STOPS_MAX):
        database = await asyncio.to_thread(databases.create)
        load = await stopped_under_load(database, workers)
        await asyncio.to_thread(databases.drop, database)
        # Clients whose connection was in use learn from their last answer that they have to make another one. It is up
        # to chance whether one was.
        if any(reply.last for reply in load.replies):
            return
    pytest.fail("no client was told that its connection ends")


async def stopped_under_load(database: str, workers: str) -> Load:
    """A load that was under way when the service was stopped, with everything checked that holds in any case."""
    async with served(database, WALLET_WORKERS=workers) as service:
        wire = Wire.to(service)
        load = Load([Wire.to(service) for _ in range(CLIENTS)], await wire.open_wallet(), insist=False)
        running = asyncio.create_task(load.run())
        await until(lambda: load.has(100), within_s=60)
        began = time.monotonic()
        # Half an answer is ``Torn``, and no answer at all a ``TimeoutError``: neither is expected, and both fail.
        code, _ = await asyncio.gather(stopped(service, signal.SIGTERM), running)
        assert code == 0
        assert time.monotonic() - began < STOP_UNDER_LOAD_S_MAX
        wire.close()
    effects = await credited(database)
    assert set(effects.values()) == {1}
    assert set(load.acknowledged) <= set(effects)
    assert set(effects) <= {*load.acknowledged, *load.unanswered}
    assert len(load.unanswered) == CLIENTS
    return load


@pytest.mark.parametrize(
    ("workers", "number", "times"),
    [("1", signal.SIGINT, 1), ("2", signal.SIGINT, 2), ("1", signal.SIGTERM, 1000), ("2", signal.SIGTERM, 1000)],
)
async def test_however_many_signals_come_the_end_is_orderly(workers: str, number: signal.Signals, times: int) -> None:
    """Also for the service's own database, which is not left behind."""
    folder = Path(tempfile.mkdtemp(prefix="wallet-test-"))
    try:
        async with served(WALLET_DATA_DIR=str(folder / "data"), WALLET_WORKERS=workers) as service:
            wire = Wire.to(service)
            await wire.open_wallet()
            wire.close()
            for _ in range(times):
                service.process.send_signal(number)
                await asyncio.sleep(0.05)
                if service.process.poll() is not None:
                    break
            assert await stopped(service) == 0
        assert processes_of(folder / "data" / "postgres") == []
        assert not any("Traceback" in line for line in service.output), "".join(service.output)
    finally:
        end_processes(folder / "data" / "postgres")
        shutil.rmtree(folder)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_impatience_cancels_no_write(database: str, workers: str) -> None:
    """Ctrl-C, twice: a terminal sends it to the workers as well."""
    async with served(database, WALLET_WORKERS=workers) as service:
        wire = Wire.to(service)
        wallet = await wire.open_wallet()
        locker = await asyncpg.connect(database)
        lock = locker.transaction()
        await lock.start()
        await locker.execute("LOCK TABLE wallets IN ACCESS EXCLUSIVE MODE")
        under_way = asyncio.create_task(wire.credit(wallet, "under-way"))
        await asyncio.sleep(0.2)
        parent = psutil.Process(service.process.pid)
        processes = [parent, *parent.children(recursive=True)]
        for _ in range(2):
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGINT)
            await asyncio.sleep(1)
        await lock.rollback()
        await locker.close()
        reply = await under_way
        assert (reply.status, reply.last) == (201, True), reply.body
        assert await stopped(service) == 0
    assert await credited(database) == {"under-way": 1}


@pytest.fixture
def own_server() -> Iterator[tuple[str, Path]]:
    """A server that this test may stop."""
    folder = Path(tempfile.mkdtemp(prefix="wallet-test-"))
    try:
        with EmbeddedPostgres(folder / "data") as server:
            run_async(upgrade(server.url()))
            yield server.url(), folder / "data" / "postgres"
    finally:
        shutil.rmtree(folder)


async def test_a_database_that_does_nothing_does_not_keep_the_service_from_ending(
    own_server: tuple[str, Path],
) -> None:
    url, cluster = own_server
    async with served(url, WALLET_REQUEST_TIMEOUT_MS="1000") as service:
        first, second = Wire.to(service), Wire.to(service)
        wallet = await first.open_wallet()
        assert (await first.credit(wallet, "before")).status == 201
        pids = [process.pid for process in processes_of(cluster)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            under_way = asyncio.create_task(first.credit(wallet, "hung"))
            await asyncio.sleep(0.2)
            began = time.monotonic()
            assert await stopped(service, signal.SIGTERM) == 0
            assert time.monotonic() - began < HUNG_STOP_S_MAX
            reply = await under_way
            assert (reply.status, reply.problem, reply.last) == (504, "outcome-unknown", True)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        first.close()
        second.close()
    async with served(url) as service:
        wire = Wire.to(service)
        assert (await wire.credit(wallet, "hung")).status == 201
        assert (await wire.get(f"/v1/wallets/{wallet}")).json()["balance"] == 2
        wire.close()


@asynccontextmanager
async def balanced(*services: Running) -> AsyncIterator[Balancer]:
    balancer = Balancer([Wire.to(service).address for service in services])
    await balancer.start()
    try:
        yield balancer
    finally:
        await balancer.stop()


async def test_a_rolling_restart_has_no_request_that_its_key_does_not_settle(database: str) -> None:
    async with served(database) as first, served(database) as second, balanced(first, second) as balancer:
        wires = [Wire(balancer.address, first.api_key) for _ in range(CLIENTS)]
        load = Load(wires, await Wire.to(first).open_wallet(), insist=True)
        running = asyncio.create_task(load.run())
        await until(lambda: load.has(100), within_s=60)
        assert await stopped(first, signal.SIGTERM) == 0
        async with served(database) as third:
            balancer.backends[0] = Wire.to(third).address
            seen = len(load.acknowledged)
            await until(lambda: load.has(seen + 100), within_s=60)
            assert await stopped(second, signal.SIGTERM) == 0
            seen = len(load.acknowledged)
            await until(lambda: load.has(seen + 100), within_s=60)
            load.enough.set()
            await running
    assert await credited(database) == dict.fromkeys(load.acknowledged, 1)
