"""A PostgreSQL of the service's own, for a start without a database server: the binaries come from a wheel.

The data folder holds

- ``postgres/``, the cluster, private to the account that runs the server;
- ``socket/``, where the server listens; it listens on no network address;
- ``postgres.log`` of this run, and ``postgres.log.1`` of the one before;
- ``lock``, held for as long as a service uses the folder.

PostgreSQL refuses to run as root. For root the server runs as the owner of an existing cluster, or as the user
``pgserver``, who is created. That user has to reach the cluster and the binaries, so folders above them that others may
not enter become enterable (``o+x``): names inside can be reached, not listed. ``/root`` turns from 0700 to 0711.
"""

import atexit
import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

import attrs

from adapters.embedded_postgres_processes import (
    TOOL_S_MAX,
    VERSION,
    Account,
    EmbeddedPostgresError,
    PidFile,
    account_for,
    end_processes,
    give,
    launch,
    open_binaries,
    open_way,
    polls,
    postmaster_of,
    run_tool,
)

__all__ = ["DATABASE", "READY_S_MAX", "DataDirInUse", "EmbeddedPostgres", "EmbeddedPostgresError"]

DATABASE = "wallet"
# Recovery after a crash replays what was written since the last checkpoint, which may be gigabytes.
READY_S_MAX = 300.0

_SUPERUSER = "postgres"
_PORT = 5432  # Only a part of the socket's name.
# Twice the default: a proof of 300,000 entries reads a third more of them a second. Taken as it is used.
_SHARED_BUFFERS = "256MB"
_LOG_LINES_SHOWN = 15
# sockaddr_un holds 104 bytes on macOS and 108 on Linux, with a zero at the end.
_SOCKET_PATH_BYTES_MAX = 103
# Acknowledged means on disk, and that is the service's promise as much as the database's.
_DURABLE_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes")


class DataDirInUse(EmbeddedPostgresError):
    """Another service uses the data folder now."""


def _resolved(path: str | Path) -> Path:
    return Path(path).expanduser().resolve()


@attrs.define(eq=False)
class EmbeddedPostgres:
    """One PostgreSQL cluster under ``data_dir``, started and stopped with the service. A context manager.

    Blocks while it starts and stops; to be used before and after an event loop runs, by one thread. The data stays
    between runs. ``ready_s_max`` bounds the wait for a server that recovers from a crash, in seconds.
    """

    data_dir: Path = attrs.field(converter=_resolved)
    ready_s_max: float = READY_S_MAX
    _lock: IO[str] | None = attrs.field(init=False, default=None)
    _account: Account | None = attrs.field(init=False, default=None)
    _socket_dir: Path | None = attrs.field(init=False, default=None)
    _port: int = attrs.field(init=False, default=_PORT)
    _server: subprocess.Popen[bytes] | None = attrs.field(init=False, default=None)
    _starter_pid: int = attrs.field(init=False, default=0)

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data folder."""
        return self.data_dir / "postgres"

    @property
    def log(self) -> Path:
        """What the server wrote in this run."""
        return self.data_dir / "postgres.log"

    def url(self, database: str = DATABASE) -> str:
        """Return a libpq connection URI of the superuser, over the Unix socket. Valid between start and stop."""
        if self._socket_dir is None:
            raise RuntimeError("the embedded PostgreSQL is not started")
        host = quote(str(self._socket_dir))
        return f"postgresql://{_SUPERUSER}@/{quote(database, safe='')}?host={host}&port={self._port}"

    def start(self) -> None:
        """Start the server, or take over one that a killed service left; create the database ``wallet`` if missing.

        Returns when the server answers. Raises ``DataDirInUse`` if another service holds the folder, and
        ``EmbeddedPostgresError`` if the folder is not a cluster of this version, the server does not get ready, or a
        setting would let it lose acknowledged writes; then nothing is left running.
        """
        if self._lock is not None:
            raise RuntimeError("the embedded PostgreSQL is started already")
        try:
            self._take_folder()
            if not self._take_over():
                # With the folder locked, whatever still serves the cluster is a leftover, and so are its files.
                end_processes(self.cluster)
                self._create_cluster()
                self._launch()
            self._create_database()
            self._require_durable()
        except BaseException as error:
            self.stop()
            if isinstance(error, OSError | subprocess.SubprocessError):
                raise EmbeddedPostgresError(f"PostgreSQL cannot be started in {self.data_dir}: {error}") from error
            raise
        atexit.register(self.stop)

    def stop(self) -> None:
        """Stop the server, with a checkpoint, and free the folder. Does nothing if not started, or stopped already.

        Waits for a bounded time. Raises ``EmbeddedPostgresError`` if the server cannot be ended.
        """
        # A forked child has a copy of this object, but the server is its parent's.
        if self._lock is None or self._starter_pid != os.getpid():
            return
        atexit.unregister(self.stop)
        try:
            end_processes(self.cluster)
            if self._server is not None:
                self._server.wait(TOOL_S_MAX)
            if self._socket_dir is not None:
                with suppress(OSError):
                    self._socket_dir.rmdir()
        finally:
            self._lock.close()
            self._lock = self._server = self._socket_dir = None

    def is_alive(self) -> bool:
        """Whether the server that was started still runs."""
        if self._server is not None:
            return self._server.poll() is None
        return postmaster_of(self.cluster) is not None

    def revive(self) -> None:
        """Start the server again, at the same place, after it ended without being stopped.

        Returns when it answers, after it has recovered. Raises ``EmbeddedPostgresError``.
        """
        try:
            end_processes(self.cluster)
            self._launch()
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedPostgresError(f"PostgreSQL cannot be started in {self.data_dir}: {error}") from error

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _take_folder(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        # Opened without truncation, since the holder's pid in it is worth reading for who comes second.
        lock = (self.data_dir / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise DataDirInUse(
                f"the data folder {self.data_dir} is in use by another wallet service (process {holder}); "
                "stop that one, or set WALLET_DATA_DIR to another folder"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock, self._starter_pid = lock, os.getpid()
        self._account = account_for(self.cluster)
        open_way(self._account, self.cluster)
        open_binaries(self._account)

    def _take_over(self) -> bool:
        """Use a running server of this cluster. False if there is none that can be used."""
        for _ in polls(self.ready_s_max):
            postmaster, pid_file = postmaster_of(self.cluster), PidFile.read(self.cluster)
            if postmaster is None or pid_file is None or pid_file.pid != postmaster.pid:
                return False
            if pid_file.status == "ready":
                self._socket_dir, self._port = pid_file.socket_dir, pid_file.port
                try:
                    self._sql("postgres", "SELECT 1")
                except EmbeddedPostgresError:
                    return False
                return True
        raise self._never_ready()

    def _create_cluster(self) -> None:
        version_file = self.cluster / "PG_VERSION"
        if version_file.exists():
            if (found := version_file.read_text().strip()) != str(VERSION):
                raise EmbeddedPostgresError(
                    f"{self.cluster} was written by PostgreSQL {found}, and this is {VERSION}: "
                    "dump it with the old version and restore it with the new one"
                )
            return
        if self.cluster.exists() and any(self.cluster.iterdir()):
            raise EmbeddedPostgresError(f"{self.cluster} holds files, but no PostgreSQL cluster; they are left alone")
        # Made beside its place and then moved there, so that an interrupted attempt is never taken for a cluster.
        unfinished = self.data_dir / "postgres.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        give(unfinished, self._account)
        # The built-in provider sorts the same way on every system and after every upgrade of it.
        locale = ("--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--encoding=UTF8")
        place = ("--pgdata", str(unfinished), "--username", _SUPERUSER, "--auth=trust")
        run_tool("initdb", *place, *locale, account=self._account)
        unfinished.rename(self.cluster)
        # Without this a power cut could take the folder, with everything committed in it.
        for folder in (self.data_dir, self.data_dir.parent):
            _sync(folder)

    def _launch(self) -> None:
        self._socket_dir, self._port = self._make_socket_dir(), _PORT
        # Both name a process that is gone; PostgreSQL would not start if the id belonged to another one by now.
        stale = (self.cluster / "postmaster.pid", *self._socket_dir.glob(".s.PGSQL.*"))
        for path in stale:
            path.unlink(missing_ok=True)
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        options = {
            "listen_addresses": "",
            "port": str(_PORT),
            "unix_socket_directories": str(self._socket_dir),
            "unix_socket_permissions": "0700",
            "log_checkpoints": "off",
            "shared_buffers": _SHARED_BUFFERS,
        }
        self._server = launch(self.cluster, options, self.log, self._account)
        for _ in polls(self.ready_s_max):
            if self._server.poll() is not None:
                raise EmbeddedPostgresError(
                    f"PostgreSQL ended while it started in {self.data_dir}:\n{self._log_tail()}"
                )
            pid_file = PidFile.read(self.cluster)
            if pid_file is not None and pid_file.pid == self._server.pid and pid_file.status == "ready":
                return
        raise self._never_ready()

    def _create_database(self) -> None:
        if not self._sql("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"):  # noqa: S608 - a constant
            self._sql("postgres", f"CREATE DATABASE {DATABASE}")

    def _require_durable(self) -> None:
        shown = self._sql(DATABASE, "; ".join(f"SHOW {name}" for name in _DURABLE_SETTINGS)).split()
        weak = [f"{name} = {value}" for name, value in zip(_DURABLE_SETTINGS, shown, strict=True) if value != "on"]
        if weak:
            raise EmbeddedPostgresError(
                f"PostgreSQL in {self.cluster} could lose acknowledged writes: {', '.join(weak)}; it has to be on"
            )

    def _make_socket_dir(self) -> Path:
        folder = self.data_dir / "socket"
        # Commas separate hosts in a connection URI, and folders in PostgreSQL's settings; quotes are no safer there.
        awkward = any(character in str(folder) for character in ",\"'\\")
        if awkward or len(os.fsencode(folder / f".s.PGSQL.{_PORT}")) > _SOCKET_PATH_BYTES_MAX:
            name = hashlib.sha256(os.fsencode(self.cluster)).hexdigest()[:16]
            folder = Path(tempfile.gettempdir()) / f"wallet-{name}"
        folder.mkdir(mode=stat.S_IRWXU, exist_ok=True)
        # In a folder for everyone's temporary files another user may have been there first, with a link perhaps.
        owner = os.geteuid() if self._account is None else self._account.uid
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (owner, os.geteuid()):
            raise EmbeddedPostgresError(f"{folder} is another user's, and the socket cannot be made there")
        give(folder, self._account)
        open_way(self._account, folder)
        return folder

    def _sql(self, database: str, statement: str) -> str:
        host = ("--host", str(self._socket_dir), "--port", str(self._port), "--username", _SUPERUSER)
        output = ("--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--set", "ON_ERROR_STOP=1")
        target = ("--dbname", database, "--command", statement)
        return run_tool("psql", *host, *output, *target, account=self._account)

    def _never_ready(self) -> EmbeddedPostgresError:
        return EmbeddedPostgresError(
            f"PostgreSQL in {self.data_dir} was not ready after {self.ready_s_max:g} s:\n{self._log_tail()}"
        )

    def _log_tail(self) -> str:
        with suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:])
        return "(no log)"


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
