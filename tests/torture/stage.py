"""Everything that a campaign runs on: PostgreSQL, Redis, proxies before both, and instances of the service."""

import asyncio
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID, uuid4

import asyncpg
import attrs
import psutil

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres_processes import processes_of
from adapters.postgres.migrate import upgrade
from tests.http.process import API_KEY
from tests.support.proxy.postgres import PostgresProxy
from tests.support.proxy.redis import RedisProxy
from tests.torture.processes import HOST, SERVE, CampaignError, Disk, Instance, RedisServer, eventually, faketime

REQUEST_TIMEOUT_MS: Final = 1_000
"""How long a request waits; short, so that the campaign gets to see what happens after that."""

POSTGRES_S_MAX: Final = 60.0


@attrs.frozen
class Cast:
    """How much of everything there is, and what is done to it before it starts."""

    instances: int = 2
    workers: int = 2
    redis: bool = True
    disk: bool = True
    """Whether PostgreSQL gets a disk that can be filled, where this process may mount one."""
    command: Sequence[str] = SERVE
    statements: Sequence[str] = ()
    """Run by the database's owner before the service starts; a test of the checker takes constraints away."""


@attrs.define
class Stage:
    """What is running. A context manager, on the event loop that its proxies are served by."""

    cast: Cast
    folder: Path
    disk: Disk
    postgres: EmbeddedPostgres
    redis: RedisServer
    instances: list[Instance] = attrs.field(factory=list)
    proxies: list[PostgresProxy] = attrs.field(factory=list)
    redis_proxies: list[RedisProxy] = attrs.field(factory=list)
    tenant: UUID = attrs.field(factory=uuid4)
    _stack: AsyncExitStack = attrs.field(factory=AsyncExitStack, init=False)

    @classmethod
    def new(cls, cast: Cast) -> Self:
        """In a new folder, which is there until the stage is left."""
        folder = Path(tempfile.mkdtemp(prefix="wallet-torture-"))
        disk = Disk(folder / "disk")
        if cast.disk:
            disk.mount()
        return cls(cast, folder, disk, EmbeddedPostgres(folder / "disk" / "data"), RedisServer(folder, free_port()))

    @property
    def dsn(self) -> str:
        """The database owner's URL, past the proxies."""
        return self.postgres.url()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [(HOST, instance.port) for instance in self.instances]

    @property
    def api_key(self) -> str:
        return API_KEY

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.resume_all()
        for instance in self.instances:
            instance.end()
        await self._stack.aclose()
        self.redis.end()
        self.disk.free()
        await asyncio.to_thread(self.postgres.stop)
        self.disk.unmount()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _start(self) -> None:
        await asyncio.to_thread(self.postgres.start)
        await upgrade(self.dsn)
        async with self.session() as owner:
            for statement in self.cast.statements:
                await owner.execute(statement)
        if self.cast.redis:
            self.redis.start()
        clock = self.folder / "clock"
        clock.write_text("+0\n")
        for number in range(self.cast.instances):
            proxy = await self._stack.enter_async_context(PostgresProxy.before(self.dsn))
            self.proxies.append(proxy)
            settings = {"WALLET_DATABASE_URL": proxy.dsn, "WALLET_REQUEST_TIMEOUT_MS": str(REQUEST_TIMEOUT_MS)}
            if self.cast.redis:
                url = f"redis://{HOST}:{self.redis.port}/0"
                cache_proxy = await self._stack.enter_async_context(RedisProxy.before(url))
                self.redis_proxies.append(cache_proxy)
                settings["WALLET_REDIS_URL"] = cache_proxy.url
            self.instances.append(
                Instance(
                    number,
                    free_port(),
                    settings,
                    self.folder / f"instance-{number}.log",
                    self.cast.command,
                    self.cast.workers,
                    # One clock that is right, to compare with.
                    clock if number == self.cast.instances - 1 and faketime() is not None else None,
                )
            )
        await asyncio.gather(*(instance.start_again() for instance in self.instances))
        async with self.session() as owner:
            self.tenant = await owner.fetchval("SELECT id FROM tenants WHERE name = 'default'")

    def session(self, **options: Any) -> "_Session":
        """A session of the database's owner."""
        return _Session(self.dsn, options)

    def backends(self) -> list[psutil.Process]:
        """The server's processes that serve connections."""
        found = []
        for process in processes_of(self.postgres.cluster):
            with suppress(psutil.Error):
                title = " ".join(process.cmdline())
                if title.startswith("postgres: postgres wallet"):
                    found.append(process)
        return found

    def resume_all(self) -> None:
        """Let everything go on that was stopped."""
        pids = [process.pid for process in processes_of(self.postgres.cluster)]
        if self.redis.is_alive():
            pids.append(self.redis.pid)
        for instance in self.instances:
            if instance.is_alive():
                pids += [instance.pid, *instance.worker_pids()]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    async def revive_postgres(self) -> None:
        """Have PostgreSQL answer again, whatever happened to it."""
        if not self.postgres.is_alive():
            await asyncio.to_thread(self.postgres.revive)
        if not await self._answers():
            raise CampaignError(f"PostgreSQL does not answer within {POSTGRES_S_MAX:g} s")

    async def _answers(self) -> bool:
        deadline = asyncio.get_running_loop().time() + POSTGRES_S_MAX
        while asyncio.get_running_loop().time() < deadline:
            try:
                async with self.session(timeout=2) as owner:
                    await owner.fetchval("SELECT 1")
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                if not self.postgres.is_alive():
                    await asyncio.to_thread(self.postgres.revive)
                await asyncio.sleep(0.1)
            else:
                return True
        return False

    async def heal(self) -> None:
        """Undo every fault, and return when all is as it was at the beginning."""
        for proxy in (*self.proxies, *self.redis_proxies):
            proxy.disarm()
            await proxy.listen()
        self.disk.free()
        self.resume_all()
        (self.folder / "clock").write_text("+0\n")
        await self.revive_postgres()
        if self.cast.redis and not self.redis.is_alive():
            self.redis.start()
        for instance in self.instances:
            await instance.start_again()
            if not await eventually(lambda one=instance: len(one.worker_pids()) == one.workers, 30.0):  # type: ignore[misc]  # mypy does not infer the default's type
                raise CampaignError(f"instance {instance.number} lacks workers")


@attrs.define
class _Session:
    dsn: str
    options: dict[str, Any]
    _connection: asyncpg.Connection | None = None

    async def __aenter__(self) -> asyncpg.Connection:
        self._connection = await asyncpg.connect(self.dsn, **self.options)
        return self._connection

    async def __aexit__(self, *failure: object) -> None:
        if self._connection is not None:
            # A server that was killed meanwhile says no farewell.
            with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._connection.close(timeout=2)


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
