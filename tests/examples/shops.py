"""The shop in processes of its own, which start fast, so that they can be killed often.

One process imports the shop, and is forked for each start. What runs is the shop's own ``main``.
"""

import asyncio
import os
import signal
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

import attrs
import httpx

from tests.client.live import free_port
from tests.http.process import environment
from tests.support.waits import until

ROOT: Final = Path(__file__).parents[2]
RETRY_S: Final = 0.02
LOOK_S: Final = 0.2

FORKING: Final = """
import os, signal, sys
import httpx
from examples.checkout import __main__ as shop
from examples.checkout.orders import Orders
{change}
# What is made once for a process is made here once for all.
httpx.AsyncClient()
shop.create_app(None, None, None)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
pid = None
for _ in sys.stdin:
    pid = os.fork()
    if not pid:
        shop.main()
        os._exit(0)
    print(pid, flush=True)
if pid:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


@attrs.define
class Shop:
    """A shop that can be started and killed. ``customers`` is a client of its HTTP."""

    database: Path
    customers: httpx.AsyncClient
    _starter: Process
    _pid: int = 0

    async def start(self) -> None:
        """Start it. Returns when it answers."""
        if self._starter.stdin is None or self._starter.stdout is None:
            raise RuntimeError("the starter has no way to be told")
        self._starter.stdin.write(b"\n")
        self._pid = int(await self._starter.stdout.readline())
        await until(self.answers)

    async def kill(self) -> None:
        """Kill it. Returns when it is gone."""
        os.kill(self._pid, signal.SIGKILL)
        await until(self._gone)

    async def _gone(self) -> bool:
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return True
        return False

    async def answers(self) -> bool:
        """Whether it answers at all, within the time for a look."""
        try:
            await self.customers.get("/orders/none", timeout=LOOK_S)
        except httpx.TransportError:
            return False
        return True

    @contextmanager
    def locked(self) -> Iterator[None]:
        """While this lasts the shop can read its database, and waits where it writes."""
        other = sqlite3.connect(self.database, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            yield
        finally:
            other.close()

    def rows(self) -> dict[str, tuple[str, int]]:
        """The state and the amount of each order, by its id."""
        looking = sqlite3.connect(self.database)
        try:
            return {
                id: (state, amount) for id, state, amount in looking.execute("SELECT id, state, amount FROM orders")
            }
        finally:
            looking.close()

    async def place(self, id: str, customer: UUID, amount: int) -> str:
        """As a browser does that insists: the state of the order when it is no longer under way."""
        return await self._insist("PUT", f"/orders/{id}", {"customer": str(customer), "amount": amount})

    async def end(self, id: str, how: str) -> str:
        """Ship or cancel it, likewise."""
        return await self._insist("POST", f"/orders/{id}/{how}", None)

    async def _insist(self, method: str, path: str, content: object) -> str:
        while True:
            try:
                answer = await self.customers.request(method, path, json=content)
            except httpx.TransportError:
                pass
            else:
                if answer.status_code == 200:
                    return str(answer.json()["state"])
                # 404: to be cancelled, and its placing has yet to arrive.
                assert answer.status_code in (202, 404), answer.text
            await asyncio.sleep(RETRY_S)


@asynccontextmanager
async def shop_at(wallet_url: str, api_key: str, folder: Path, change: str = "") -> AsyncIterator[Shop]:
    """A shop with a database in this folder, not yet started; with a change to its code. It is killed at the end."""
    with free_port() as bound:
        port = bound.getsockname()[1]
    database = folder / "orders.sqlite"
    settings = {
        "WALLET_URL": wallet_url,
        "WALLET_API_KEY": api_key,
        "CHECKOUT_DATABASE": str(database),
        "CHECKOUT_PORT": str(port),
    }
    program = (sys.executable, "-c", FORKING.format(change=change))
    starter = await asyncio.create_subprocess_exec(
        *program, cwd=ROOT, env=environment(settings), stdin=PIPE, stdout=PIPE
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as customers:
            yield Shop(database, customers, starter)
    finally:
        if starter.stdin is not None:
            starter.stdin.close()
        await starter.wait()
