"""The commands of docs/how-to/upgrade.md, followed while customers write."""

import asyncio
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import httpx
import pytest

from adapters.http_client import Retries, WalletClient
from adapters.postgres import migrate
from adapters.postgres.migrate import migrations_folder
from tests.examples.page import Shell, blocks
from tests.faults.balancer import Balancer
from tests.faults.served import TENANT
from tests.http.process import API_KEY, Running, serving
from tests.migrations.test_upgrade import HEAD, value

UPGRADE, STATUS = blocks("upgrade.md")

CUSTOMERS: Final = 3
PAUSE_S: Final = 0.05
"""After each purchase, so that there is time left for instances to start in."""
BETWEEN: Final = 24
"""How many writes are acknowledged between two steps."""

# What a release may do to tables that are written to: more columns, tables and indexes.
LATER: Final = f'''"""A later revision."""

import sqlalchemy as sa
from alembic import op

revision = "later"
down_revision = "{HEAD}"


def upgrade() -> None:
    for table in ("wallets", "transactions", "entries", "holds"):
        op.add_column(table, sa.Column("note", sa.Text, nullable=False, server_default="none"))
    op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True))
    op.execute("GRANT SELECT ON notes TO wallet_service")
    with op.get_context().autocommit_block():
        op.create_index("notes_idx", "transactions", ["tenant_id", "note"], postgresql_concurrently=True)
'''

NEW_RELEASE: Final = """#!{python}
import sys
from pathlib import Path
from adapters.postgres import migrate
migrate.migrations_folder = lambda: Path({folder!r})
from entrypoints.cli import main
sys.exit(main())
"""


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Where the next release is installed: this one, and one migration more."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrations_folder(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "later.py").write_text(LATER)
    program = tmp_path / "new" / "bin" / "wallet"
    program.parent.mkdir(parents=True)
    program.write_text(NEW_RELEASE.format(python=sys.executable, folder=str(folder)))
    program.chmod(0o755)
    return tmp_path / "new"


@attrs.define
class Fleet:
    """Instances behind one address."""

    dsn: str
    balancer: Balancer
    running: list[Running] = attrs.field(factory=list)
    _stack: AsyncExitStack = attrs.field(factory=AsyncExitStack)

    async def start(self, release: Path | None = None) -> None:
        """Start an instance of this release, or of another one, and have the balancer send to it."""
        program = () if release is None else (str(release / "bin" / "wallet"),)
        context = serving(self.dsn, program)
        instance = await asyncio.to_thread(context.__enter__)
        self._stack.push_async_callback(asyncio.to_thread, context.__exit__, None, None, None)
        self.running.append(instance)
        self._send()

    async def stop(self, instance: Running) -> None:
        """Stop an instance in the middle of its work. Who comes then is sent to another one."""
        self.running.remove(instance)
        code = await asyncio.to_thread(instance.stop, signal.SIGTERM)
        assert code == 0, "".join(instance.output)
        self._send()

    async def close(self) -> None:
        await self._stack.aclose()

    def _send(self) -> None:
        urls = [httpx.URL(each.url) for each in self.running]
        self.balancer.backends = [(url.host, url.port or 80) for url in urls]


@asynccontextmanager
async def fleet_over(dsn: str) -> AsyncIterator[Fleet]:
    balancer = Balancer([])
    await balancer.start()
    fleet = Fleet(dsn, balancer)
    try:
        await asyncio.gather(fleet.start(), fleet.start())
        yield fleet
    finally:
        await balancer.stop()
        await fleet.close()


@attrs.define
class Customers:
    """Customers who write without end, and all that they were told."""

    client: WalletClient
    acknowledged: list[str] = attrs.field(factory=list)
    disturbed: list[str] = attrs.field(factory=list)
    """Answers that were neither a success nor one after which the same is to be sent again."""
    _grown: asyncio.Condition = attrs.field(factory=asyncio.Condition)

    async def write_on(self, count: int = BETWEEN) -> None:
        """Return when so many more writes were acknowledged."""
        async with self._grown:
            wanted = len(self.acknowledged) + count
            await self._grown.wait_for(lambda: len(self.acknowledged) >= wanted)

    async def write(self) -> None:
        """Credits, transfers and holds, of which each has to be done in the end."""
        source, target = [(await self.client.open("EUR")).wallet.id for _ in range(2)]
        while True:
            done = [await self.client.credit(source, 3), await self.client.transfer(source, target, 1)]
            held = await self.client.hold(source, 2, destination=target)
            if held.transaction.hold is not None:
                done += [held, await self.client.capture(held.transaction.hold.id)]
            async with self._grown:
                self.acknowledged += [each.key for each in done]
                self._grown.notify_all()
            await asyncio.sleep(PAUSE_S)

    async def hear(self, answer: httpx.Response) -> None:
        """What comes over the wire, before the client makes the best of it."""
        if answer.is_success:
            return
        await answer.aread()
        if answer.json().get("retry") != "same_key":
            self.disturbed.append(f"{answer.status_code} {answer.text}")


@asynccontextmanager
async def customers_of(address: tuple[str, int]) -> AsyncIterator[Customers]:
    """They write until the end, and must all have been served by then."""
    host, port = address
    async with httpx.AsyncClient(trust_env=False) as http:
        client = WalletClient(f"http://{host}:{port}", API_KEY, retries=Retries(backoff_s_max=0.2), http=http)
        customers = Customers(client)
        http.event_hooks = {"response": [customers.hear]}
        writing = [asyncio.create_task(customers.write()) for _ in range(CUSTOMERS)]
        try:
            yield customers
            assert not any(task.done() for task in writing), [task for task in writing if task.done()]
        finally:
            for task in writing:
                task.cancel()
            await asyncio.gather(*writing, return_exceptions=True)


async def test_instances_are_replaced_one_by_one_while_customers_write(
    database: str, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    async def as_new(block: str) -> None:
        """Run commands as the new release, but in this process, which saves the time that others take to start."""
        with monkeypatch.context() as patching:
            patching.setattr(migrate, "migrations_folder", lambda: new.parent / "migrations")
            for command in block.replace('"$NEW/bin/wallet"', "wallet").splitlines():
                done = await asyncio.to_thread(Shell({}).wallet, command, database)
                assert done.exit_code == 0, done.output

    async with fleet_over(database) as fleet, customers_of(fleet.balancer.address) as customers:
        first, second = fleet.running
        await customers.write_on()

        await as_new(UPGRADE)
        assert await value(database, "SELECT version_num FROM alembic_version") == "later"
        await customers.write_on()

        await fleet.start(new)
        await fleet.stop(first)
        await customers.write_on()
        # An instance of the release before, which starts again on the newer schema: after a crash, or to go back.
        await fleet.start()
        await fleet.stop(second)
        await customers.write_on()
    assert customers.disturbed == []
    await require_all(database, customers.acknowledged)
    await as_new(STATUS)


async def require_all(dsn: str, acknowledged: list[str]) -> None:
    """Raise ``AssertionError`` unless each acknowledged write is in the ledger, once, and the ledger holds."""
    keys = f"SELECT array_agg(idempotency_key) FROM transactions WHERE tenant_id = '{TENANT}'"
    found = await value(dsn, keys)
    assert isinstance(found, list)
    assert len(found) == len(set(found))
    assert set(acknowledged) - set(found) == set()
