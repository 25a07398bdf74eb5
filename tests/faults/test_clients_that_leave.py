"""A client that goes away, at whatever stage of its request, changes nothing in what is decided, and leaves nothing."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import psutil
import pytest

from entrypoints.composition import LEDGER_CONNECTIONS
from tests.faults.wire import Wire
from tests.http.process import Running, serving
from tests.support.waits import until

LEAVERS: Final = 60
MEMORY_MIB_MAX: Final = 30

Leave = Callable[[Wire, bytes], Awaitable[None]]


async def during_the_body(wire: Wire, request: bytes) -> None:
    _, writer = await wire.open()
    writer.write(request[:-3])
    await asyncio.sleep(0.05)


async def right_after_the_body(wire: Wire, request: bytes) -> None:
    _, writer = await wire.open()
    writer.write(request)
    await writer.drain()


async def without_reading_the_answer(wire: Wire, request: bytes) -> None:
    _, writer = await wire.open()
    # A reset, because what came was not read: the harshest end that a connection can have.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    writer.write(request * 3)
    await asyncio.sleep(0.05)


async def while_it_is_carried_out(wire: Wire, request: bytes) -> None:
    _, writer = await wire.open()
    writer.write(request)
    await asyncio.sleep(0.1)


@asynccontextmanager
async def locked(database: str, needed: bool) -> AsyncIterator[None]:
    """While this lasts no write gets further than its first look at the wallets."""
    connection = await asyncpg.connect(database)
    lock = connection.transaction()
    await lock.start()
    if needed:
        await connection.execute("LOCK TABLE wallets IN ACCESS EXCLUSIVE MODE")
    try:
        yield
    finally:
        await lock.rollback()
        await connection.close()


@pytest.mark.parametrize(
    ("leave", "decided"),
    [
        (during_the_body, False),
        (right_after_the_body, True),
        (while_it_is_carried_out, True),
        (without_reading_the_answer, True),
    ],
)
async def test_clients_that_leave_change_nothing_and_leave_nothing(database: str, leave: Leave, decided: bool) -> None:
    with serving(database) as service:
        wire = Wire.to(service)
        wallet = await wire.open_wallet()
        # What is made once is made before it is counted: connections to the database, code, buffers.
        for number in range(20):
            assert (await wire.credit(wallet, f"warm-{number}")).status == 201
        process = psutil.Process(service.process.pid)
        files, memory = process.num_fds(), process.memory_info().rss

        async def leave_one(number: int) -> None:
            leaver = Wire.to(service)
            path = f"/v1/wallets/{wallet}/credits"
            await leave(leaver, leaver.request("POST", path, f"left-{number}", {"amount": 1}))
            leaver.close()

        async with locked(database, leave is while_it_is_carried_out):
            await asyncio.gather(*(leave_one(number) for number in range(LEAVERS)))
        expected = 20 + (LEAVERS if decided else 0)

        async def is_decided() -> bool:
            balance: int = (await wire.get(f"/v1/wallets/{wallet}")).json()["balance"]
            return balance == expected

        await until(is_decided)

        async def nothing_is_left() -> bool:
            # The crowd may have needed more of the connections to the database, which are kept.
            return process.num_fds() < files + LEDGER_CONNECTIONS

        await until(nothing_is_left)
        assert process.memory_info().rss - memory < MEMORY_MIB_MAX * 2**20
        for number in range(LEAVERS):
            found = await wire.get(f"/v1/idempotency-keys?key=left-{number}")
            assert found.status == (200 if decided else 404)
            again = await wire.credit(wallet, f"left-{number}")
            assert again.status == 201
            assert (b"\r\nidempotent-replayed: true\r\n" in again.head) == decided
        assert service_is_silent(service), "".join(service.output)[-6000:]
        wire.close()


def service_is_silent(service: Running) -> bool:
    """Whether the service had nothing to say: no request that failed, and no task that nobody waited for."""
    return not any("Error" in line or "Traceback" in line or "never retrieved" in line for line in service.output)
