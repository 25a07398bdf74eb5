"""A streaming standby of an embedded PostgreSQL: made from it, told to take its place, and ended."""

import asyncio
import shutil
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import asyncpg
import attrs

from adapters.embedded_postgres import DATABASE, EmbeddedPostgres
from adapters.embedded_postgres_processes import (
    PidFile,
    account_for,
    end_processes,
    give,
    launch,
    run_tool,
)
from tests.support.waits import until

NAME = "standby"


@attrs.define
class Standby:
    """Its data folder is beside its primary's, and its socket in a folder of its own."""

    primary: EmbeddedPostgres

    @property
    def folder(self) -> Path:
        return self.primary.data_dir / "standby"

    @property
    def cluster(self) -> Path:
        return self.folder / "postgres"

    @property
    def url(self) -> str:
        """A superuser's URL."""
        return f"postgresql://postgres@/{DATABASE}?host={quote(str(self.folder))}&port=5432"

    @property
    def both_urls(self) -> str:
        """A URL that names both servers, the primary first."""
        parts = urlsplit(self.primary.url())
        query = dict(parse_qsl(parts.query))
        hosts = quote(f"{query['host']},{self.folder}", safe="")
        return f"postgresql://{parts.netloc}{parts.path}?host={hosts}&port={query['port']},5432"

    def make(self) -> None:
        """Copy the primary and start to follow it. Returns when it answers; blocks."""
        account = account_for(self.primary.cluster)
        self.folder.mkdir()
        give(self.folder, account)
        query = dict(parse_qsl(urlsplit(self.primary.url()).query))
        source = ("--host", query["host"], "--port", query["port"], "--username", "postgres")
        how = ("--checkpoint=fast", "--write-recovery-conf", "--no-sync")
        run_tool("pg_basebackup", "--pgdata", str(self.cluster), *source, *how, account=account)
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "unix_socket_permissions": "0700",
            # The name by which the primary knows it.
            "cluster_name": NAME,
        }
        launch(self.cluster, options, self.folder / "log", account)
        asyncio.run(until(self._follows))

    async def promote(self) -> None:
        """Have it take writes from now on. Returns when it does."""
        owner = await asyncpg.connect(self.url)
        try:
            if not await owner.fetchval("SELECT pg_promote()"):
                raise AssertionError("the standby was not promoted in time")
        finally:
            await owner.close()

    async def cut_off(self) -> None:
        """Have it receive nothing more."""
        owner = await asyncpg.connect(self.url)
        try:
            await owner.execute("ALTER SYSTEM SET primary_conninfo = ''")
            await owner.execute("SELECT pg_reload_conf()")
            await until(lambda: owner.fetchval("SELECT count(*) = 0 FROM pg_stat_wal_receiver"))
        finally:
            await owner.close()

    def end(self) -> None:
        """End it, whatever state it is in."""
        end_processes(self.cluster)
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _follows(self) -> bool:
        pid_file = PidFile.read(self.cluster)
        if pid_file is None or pid_file.status not in ("standby", "ready"):
            return False
        owner = await asyncpg.connect(self.primary.url())
        try:
            return bool(await owner.fetchval("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"))
        finally:
            await owner.close()


async def require_standby(primary: EmbeddedPostgres, *, synchronous: bool) -> None:
    """Have the primary's COMMITs wait for the standby from now on, or not. Returns when that is so."""
    owner = await asyncpg.connect(primary.url())
    wanted = NAME if synchronous else ""
    try:
        await owner.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{wanted}'")
        await owner.execute("SELECT pg_reload_conf()")
        state = "sync" if synchronous else "async"
        await until(lambda: owner.fetchval("SELECT bool_and(sync_state = $1) FROM pg_stat_replication", state))
    finally:
        await owner.close()
