"""More than the service can do: it turns away at once what it has no room for, and is itself again right afterwards.

``WALLET_TEST_OVERLOAD_S`` has the flood last for as many seconds as it says.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import psutil
import pytest

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres_processes import processes_of
from adapters.postgres.admin import Admin
from adapters.postgres.engine import create_engine
from adapters.postgres.migrate import upgrade
from tests.databases import run as run_async
from tests.faults.served import served
from tests.faults.wire import Reply, Wire
from tests.http.process import Running
from tests.support.waits import until

FLOOD_S: Final = int(os.environ.get("WALLET_TEST_OVERLOAD_S", "6"))
FLOOD_CONNECTIONS: Final = 150
BATCH_COMMANDS: Final = 1000
"""Ten batches fill the queue, and one more is under way: what is offered at any time is over ten times as much."""

MEMORY_MIB_MAX: Final = 500
RECOVERY_S_MAX: Final = 2.0 if "WALLET_TEST_OVERLOAD_S" in os.environ else 8.0
"""How soon all is normal again, in seconds. Beside other tests the machine is several times slower."""

TIMEOUT_MS: Final = "1000"
TENANTS: Final = ("a", "b", "c", "d", "e")


async def flood(service: Running, wallet: str) -> Any:
    """What wrk counted."""
    program = shutil.which("wrk")
    assert program is not None, "the load generator wrk is needed, and not found"
    script = Path(__file__).parent / "loads" / "flood.lua"
    process = await asyncio.create_subprocess_exec(
        *(program, "--threads", "1", "--connections", str(FLOOD_CONNECTIONS), "--duration", f"{FLOOD_S}s"),
        *("--latency", "--timeout", "15s", "--script", str(script), service.url),
        *("--", service.api_key, wallet, str(BATCH_COMMANDS)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output
    return json.loads(output.decode().partition("RESULT ")[2])


async def test_ten_times_the_capacity_is_shed_and_then_all_is_normal(database: str) -> None:
    async with served(database) as service:
        wire = Wire.to(service)
        wallet, quiet = await wire.open_wallet(), await wire.open_wallet("quiet")
        process = psutil.Process(service.process.pid)
        memory: list[int] = []
        replies: list[Reply] = []
        slowest_s = 0.0
        cpu_began = process.cpu_times()
        flooding = asyncio.create_task(flood(service, wallet))
        while not flooding.done():
            memory.append(process.memory_info().rss)
            began = time.monotonic()
            reply = await wire.credit(quiet, f"quiet-{len(replies)}")
            reply.check()
            replies.append(reply)
            slowest_s = max(slowest_s, time.monotonic() - began)
            await asyncio.sleep(0.02)
        counted = await flooding
        began = time.monotonic()
        while (await wire.credit(quiet, "afterwards")).status != 201:
            assert time.monotonic() - began < RECOVERY_S_MAX
            await asyncio.sleep(0.05)
        assert time.monotonic() - began < RECOVERY_S_MAX
        balance = (await wire.get(f"/v1/wallets/{quiet}")).json()["balance"]
        cpu = process.cpu_times()
        wire.close()
    statuses = Counter({int(status): count for status, count in counted["statuses"].items()})
    mine = Counter(reply.status for reply in replies)
    report = {
        **counted,
        "credits beside it": dict(mine),
        "slowest_s": round(slowest_s, 3),
        "memory_mib": [round(of(memory) / 2**20) for of in (min, max)],
        "cpu_s": round(cpu.user + cpu.system - cpu_began.user - cpu_began.system, 1),
    }
    sys.stderr.write(f"{report}\n")
    assert set(statuses) <= {200, 503, 504}, report
    assert statuses[200] > 0
    assert statuses[503] > statuses[200], report
    assert (counted["without_retry_after"], counted["broken"], counted["late"]) == (0, 0, 0), report
    assert set(mine) <= {201, 503, 504}, report
    assert slowest_s < 7, report
    assert max(memory) < MEMORY_MIB_MAX * 2**20, report
    assert mine[201] < balance <= mine[201] + mine[504] + 1
    await check_each_took_effect_once(database, wallet, statuses)


async def check_each_took_effect_once(database: str, wallet: str, statuses: Counter[int]) -> None:
    connection = await asyncpg.connect(database)
    try:
        credits = await connection.fetchval("SELECT count(*) FROM transactions WHERE idempotency_key LIKE 'flood-%'")
        balance = await connection.fetchval("SELECT balance FROM wallets WHERE id = $1", wallet)
    finally:
        await connection.close()
    assert credits == balance
    # wrk hangs up on those that are under way when its time is over.
    answered, unknown = statuses[200], statuses[504] + FLOOD_CONNECTIONS
    assert answered * BATCH_COMMANDS <= balance <= (answered + unknown) * BATCH_COMMANDS


# -------------------------------------------------------------------- a slow database


@asynccontextmanager
async def locked(database: str, *statements: str) -> AsyncIterator[None]:
    connection = await asyncpg.connect(database)
    lock = connection.transaction()
    await lock.start()
    try:
        for statement in statements:
            await connection.execute(statement)
        yield
    finally:
        await lock.rollback()
        await connection.close()


async def timed(work: Any) -> tuple[Reply, float]:
    began = time.monotonic()
    reply: Reply = await work
    return reply, time.monotonic() - began


async def at_once(wires: Sequence[Wire], wallets: Sequence[str], key: str) -> list[tuple[Reply, float]]:
    return await asyncio.gather(*(timed(wire.credit(wallet, key)) for wire, wallet in zip(wires, wallets, strict=True)))


async def test_what_waits_behind_a_slow_write_is_told_that_it_did_not_happen(database: str) -> None:
    """The one whose batch has begun is unknown; the one whose batch has not is not, and may be done elsewhere."""
    async with served(database, WALLET_REQUEST_TIMEOUT_MS=TIMEOUT_MS) as service:
        first, second = Wire.to(service), Wire.to(service)
        wallet = await first.open_wallet()
        async with locked(database, "LOCK TABLE wallets IN ACCESS EXCLUSIVE MODE"):
            begun = asyncio.create_task(timed(first.credit(wallet, "begun")))
            await asyncio.sleep(0.1)
            waiting, waited_s = await timed(second.credit(wallet, "waiting"))
            assert (waiting.status, waiting.problem) == (503, "overloaded")
            assert waiting.json()["outcome"] == "not_applied"
            assert 0.4 < waited_s < 0.95
            unknown, took_s = await begun
            assert (unknown.status, unknown.problem) == (504, "outcome-unknown")
            assert took_s < 2
        assert (await first.credit(wallet, "begun")).status == 201
        assert (await first.get("/v1/idempotency-keys?key=waiting")).status == 404
        assert (await second.credit(wallet, "waiting")).status == 201
        assert (await first.get(f"/v1/wallets/{wallet}")).json()["balance"] == 2
        for wire in (first, second):
            wire.close()


async def test_tenants_that_keep_every_connection_busy_have_the_others_told_in_time(database: str) -> None:
    """Reads go on, and once the connections are free all is normal."""
    engine = create_engine(database)
    keys = [(await Admin(engine).create_key(tenant, "till", ["read", "write"]))[1] for tenant in TENANTS]
    await engine.dispose()
    async with served(database, WALLET_REQUEST_TIMEOUT_MS=TIMEOUT_MS) as service:
        address = Wire.to(service).address
        wires = [Wire(address, key) for key in keys]
        wallets = [await wire.open_wallet() for wire in wires]
        rows = ", ".join(f"'{wallet}'" for wallet in wallets[:4])
        async with locked(database, f"SELECT FROM wallets WHERE id IN ({rows}) FOR UPDATE"):
            busy = asyncio.create_task(at_once(wires[:4], wallets[:4], "busy"))
            await asyncio.sleep(0.1)
            other, waited_s = await timed(wires[4].credit(wallets[4], "other"))
            assert (other.status, other.problem) == (503, "overloaded")
            assert waited_s < 0.95
            other.check()
            read, read_s = await timed(wires[4].get(f"/v1/wallets/{wallets[4]}"))
            assert (read.status, read_s < 0.5) == (200, True)
            assert [(reply.status, took_s < 2) for reply, took_s in await busy] == [(504, True)] * 4
        began = time.monotonic()
        for wire, wallet, key in zip(wires, wallets, ["busy"] * 4 + ["other"], strict=True):
            assert (await wire.credit(wallet, key)).status == 201
            assert (await wire.get(f"/v1/wallets/{wallet}")).json()["balance"] == 1
            wire.close()
        assert time.monotonic() - began < RECOVERY_S_MAX


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


@contextmanager
def suspended(cluster: Path) -> Iterator[None]:
    """While this lasts the server is there, and does nothing."""
    pids = [process.pid for process in processes_of(cluster)]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def test_a_database_that_does_nothing_for_a_while_is_told_in_time_and_then_all_is_normal(
    own_server: tuple[str, Path],
) -> None:
    url, cluster = own_server
    async with served(url, WALLET_REQUEST_TIMEOUT_MS=TIMEOUT_MS) as service:
        wires = [Wire.to(service) for _ in range(20)]
        wallet = await wires[0].open_wallet()
        with suspended(cluster):
            for attempt in range(2):
                writes, read = await asyncio.gather(
                    at_once(wires[:-1], [wallet] * 19, f"write-{attempt}"),
                    timed(wires[-1].get(f"/v1/wallets/{wallet}")),
                )
                for reply, took_s in [*writes, read]:
                    reply.check()
                    assert reply.status in (503, 504), reply.body
                    # Half a second in the queue or a second in all; the rest is for a busy machine.
                    assert took_s < 5

        async def is_normal() -> bool:
            return (await wires[0].credit(wallet, "write-0")).status == 201

        await until(is_normal, within_s=RECOVERY_S_MAX)
        assert (await wires[1].credit(wallet, "write-1")).status == 201
        assert (await wires[0].get(f"/v1/wallets/{wallet}")).json()["balance"] == 2
        for wire in wires:
            wire.close()
