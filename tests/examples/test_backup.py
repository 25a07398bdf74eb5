"""The commands of docs/how-to/backup.md keep a ledger that is killed under load, and prove what they brought back."""

import asyncio
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote
from uuid import UUID, uuid4

import asyncpg
import attrs
import pytest

from adapters.embedded_postgres import DATABASE, EmbeddedPostgres
from adapters.embedded_postgres_processes import account_for, end_processes, give
from adapters.http_client import Done, WalletClient
from adapters.postgres.admin import Admin, tenant_id_of
from adapters.postgres.engine import create_engine
from adapters.postgres.events import PostgresEvents
from adapters.postgres.migrate import upgrade
from tests.databases import run
from tests.examples.page import Shell, blocks
from tests.support.embedded import running_postmaster
from tests.support.over_http import services_over
from tests.support.proxy.rules import Firings
from tests.support.waits import until

(
    MAKE_SLOT,
    RECEIVE,
    WAIT_FOR_IT,
    COPY,
    CHECKPOINT,
    RESTORE,
    TO_A_POINT,
    START,
    VERIFY,
    RAISE_THE_CLOCK,
    DUMP,
    RESTORE_DUMP,
    UPGRADE_DUMP,
) = blocks("backup.md")
VERIFY_ALL, VERIFY_SINCE = VERIFY.splitlines()

WRITERS: Final = 6
EARLY: Final = 60
LATE: Final = 60
AT_ONCE: Final = 20
OPENED: Final = "open"


@attrs.define
class Writers:
    """Customers who credit one wallet, and what they were told."""

    client: WalletClient
    wallet: UUID
    acknowledged: list[str] = attrs.field(factory=list)
    told: Firings = attrs.field(factory=Firings)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """They write as fast as they are answered. At the end each has been told what became of its last write."""
        leaving = False

        async def write() -> None:
            while not leaving:
                done = await self.client.credit(self.wallet, 1)
                self.acknowledged.append(done.key)
                self.told.add()

        async with asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(write())
            yield
            leaving = True


@attrs.frozen
class Disaster:
    """What is left of a server that was killed: its backups, and what clients were told until ``point``, and after."""

    shell: Shell
    api_key: str
    wallet: UUID
    early: frozenset[str]
    late: frozenset[str]
    point: datetime
    cursor: str
    """Of a consumer of events who was told all of it."""


@attrs.frozen
class Restored:
    """A server that was made of the backups."""

    url: str
    shell: Shell


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that the user who runs PostgreSQL reaches, which those of pytest are not while another pytest begins."""
    made = Path(tempfile.mkdtemp(prefix="wallet-backup-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def place(folder: Path) -> Path:
    """Where the backups are kept."""
    made = folder / "backups"
    made.mkdir()
    give(made, account_for(made))
    return made


@pytest.fixture(scope="module")
def primary(folder: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(folder / "primary") as server:
        run(upgrade(server.url()))
        yield server


def shell_for(server: EmbeddedPostgres, place: Path) -> Shell:
    variables = {"PGHOST": str(server.data_dir / "socket"), "PGUSER": "postgres", "BACKUPS": str(place)}
    return Shell({**variables, "KEPT": str(place)}, account_for(server.cluster))


@pytest.fixture(scope="module")
def disaster(primary: EmbeddedPostgres, place: Path) -> Disaster:
    """The page is followed, under load; then the server is killed, and its files are lost."""
    shell = shell_for(primary, place)
    shell.run(MAKE_SLOT)
    with shell.started(RECEIVE) as receiver, services_over(primary.url()) as services:
        try:
            shell.run(WAIT_FOR_IT)
            made = run(_go_on_until_the_end(primary, shell, services.url))
        finally:
            receiver.send_signal(signal.SIGINT)
    shutil.rmtree(primary.cluster)
    return made


async def _go_on_until_the_end(primary: EmbeddedPostgres, shell: Shell, url: str) -> Disaster:
    owner = create_engine(primary.url(), pool_size=1)
    _, api_key = await Admin(owner).create_key("default", "tests", ("read", "write"))
    await owner.dispose()
    async with WalletClient(url, api_key) as client:
        writers = Writers(client, (await client.open("EUR", key=f"{OPENED}/1")).wallet.id)
        async with writers.writing():
            await asyncio.to_thread(shell.run, COPY)
            await writers.told.reach(writers.told.count + EARLY)
        early = frozenset(writers.acknowledged)
        point = await _now(primary.url())
        async with writers.writing():
            await writers.told.reach(len(early) + LATE)
            done = await asyncio.to_thread(shell.wallet, CHECKPOINT, primary.url())
            assert done.exit_code == 0, done.output
        late = frozenset(writers.acknowledged) - early
    cursor = await told(primary.url(), None, await decided_in(primary.url()))
    running_postmaster(primary.data_dir).kill()
    end_processes(primary.cluster)
    return Disaster(shell, api_key, writers.wallet, early, late, point, cursor)


async def events_after(dsn: str, cursor: str | None) -> list[str]:
    """The keys of all events after a cursor, and the cursor behind them."""
    engine = create_engine(dsn, pool_size=1)
    try:
        page = await PostgresEvents(engine).events(tenant_id_of("default"), after=cursor, limit=10_000)
    finally:
        await engine.dispose()
    return [*(each.transaction.key for each in page.items), page.next_cursor]


async def told(dsn: str, cursor: str | None, keys: Collection[str]) -> str:
    """Return when the events after a cursor are of these keys, and the cursor behind them. Housekeeping of the server
    may hold events back for a moment."""
    found: list[str] = []

    async def all_are_told() -> bool:
        nonlocal found
        found = await events_after(dsn, cursor)
        return sorted(found[:-1]) == sorted(keys)

    await until(all_are_told)
    return found[-1]


async def _now(dsn: str) -> datetime:
    connection = await asyncpg.connect(dsn)
    try:
        now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        return now
    finally:
        await connection.close()


@contextmanager
def restored(disaster: Disaster, *commands: str, point: datetime | None = None) -> Iterator[Restored]:
    """What these commands make of the backups, for as long as the context lasts."""
    folder = Path(disaster.shell.variables["BACKUPS"]) / uuid4().hex[:8]
    cluster = folder / "cluster"
    folder.mkdir()
    give(folder, disaster.shell.account)
    places = {"CLUSTER": str(cluster), "POINT": str(point), "PGHOST": str(folder)}
    shell = attrs.evolve(disaster.shell, variables={**disaster.shell.variables, **places})
    for command in commands:
        shell.run(command)
    # A place of its own, on this machine.
    socket = f"listen_addresses = ''\nunix_socket_directories = '{folder}'"
    shell.run(f'echo "{socket}" >> "$CLUSTER/postgresql.auto.conf"')
    url = f"postgresql://postgres@/{DATABASE}?host={quote(str(folder))}&port=5432"
    try:
        shell.run(START)
        run(until(lambda: _takes_writes(url)))
        yield Restored(url, shell)
    finally:
        end_processes(cluster)
        shutil.rmtree(folder)


async def _takes_writes(url: str) -> bool:
    connection = await asyncpg.connect(url)
    try:
        return not await connection.fetchval("SELECT pg_is_in_recovery()")
    finally:
        await connection.close()


def verified(shell: Shell, url: str) -> tuple[int, int]:
    """The exit codes of both proofs of the page."""
    everything, since = (shell.wallet(command, url) for command in (VERIFY_ALL, VERIFY_SINCE))
    return everything.exit_code, since.exit_code


async def decided_in(url: str) -> set[str]:
    """The keys of everything in the ledger."""
    connection = await asyncpg.connect(url)
    try:
        return {row[0] for row in await connection.fetch("SELECT idempotency_key FROM transactions")}
    finally:
        await connection.close()


async def keys_in(url: str) -> set[str]:
    """The keys of the credits in the ledger."""
    return {key for key in await decided_in(url) if not key.startswith(OPENED)}


def test_at_the_end_of_the_log_nothing_that_was_acknowledged_is_missing_and_a_dump_takes_all_of_it_along(
    disaster: Disaster,
) -> None:
    with restored(disaster, RESTORE) as server:
        assert verified(server.shell, server.url) == (0, 0)
        assert run(keys_in(server.url)) == disaster.early | disaster.late
        server.shell.run(DUMP)
        server.shell.run(RESTORE_DUMP)
        loaded = server.url.replace(f"/{DATABASE}?", f"/{DATABASE}_restored?")
        assert server.shell.wallet(UPGRADE_DUMP, loaded).exit_code == 0
        assert verified(server.shell, loaded) == (0, 0)
        run(told(loaded, None, run(decided_in(server.url))))


def test_at_a_point_in_time_what_came_later_is_missed_and_comes_back_once_with_its_keys(disaster: Disaster) -> None:
    with restored(disaster, RESTORE, TO_A_POINT, point=disaster.point) as server:
        url = server.url
        assert run(keys_in(url)) == disaster.early
        assert verified(server.shell, url) == (0, 1)
        assert str(disaster.wallet) in server.shell.wallet(VERIFY_SINCE, url).output
        unseen, *resent = sorted(disaster.late)
        with services_over(url) as services:
            assert run(_send(services.url, disaster, [unseen])) == set()
        assert run(events_after(url, disaster.cursor)) == [disaster.cursor], "unless the clock is raised"
        server.shell.run(RAISE_THE_CLOCK)
        with services_over(url) as services:
            replayed = run(_send(services.url, disaster, [*disaster.early, *disaster.late]))
        assert replayed == {*disaster.early, unseen}
        assert run(keys_in(url)) == disaster.early | disaster.late
        run(told(url, disaster.cursor, resent))
        assert server.shell.wallet(VERIFY_ALL, url).exit_code == 0


async def _send(url: str, disaster: Disaster, keys: list[str]) -> set[str]:
    """Have clients send what they have written down. Returns the keys that were there already."""
    room = asyncio.Semaphore(AT_ONCE)

    async def send(key: str) -> Done:
        async with room:
            return await client.credit(disaster.wallet, 1, key=key)

    async with WalletClient(url, disaster.api_key) as client:
        done = await asyncio.gather(*map(send, keys))
        wallet = await client.wallet(disaster.wallet)
    assert wallet.balance == wallet.version - 1
    return {each.key for each in done if each.replayed}


def test_without_the_log_acknowledged_writes_are_lost_and_the_checkpoint_misses_them(disaster: Disaster) -> None:
    """The copy alone, with which no log was kept: whole, sound, and too old."""
    with restored(disaster, 'cp -a "$BACKUPS/base" "$CLUSTER"') as server:
        assert verified(server.shell, server.url) == (0, 1)
        assert run(keys_in(server.url)) < disaster.early
