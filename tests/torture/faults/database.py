"""Faults of PostgreSQL: its processes, its locks, its connections, its disk, and the way to it."""

import asyncio
import signal
import time
from contextlib import AsyncExitStack, suppress
from typing import Final

import asyncpg
import psutil

from adapters.embedded_postgres_processes import postmaster_of, processes_of
from tests.support.proxy.postgres import Point, PostgresProxy
from tests.support.proxy.rules import Action, Cut, HalfOpen, Stall, Truncate
from tests.torture.faults.kinds import FIRED_S_MAX, FaultKind, NotFired, Scene, Strike, ready_instance, sent, stopped
from tests.torture.processes import POLL_S, eventually
from tests.torture.stage import REQUEST_TIMEOUT_MS, Stage

SERVICE: Final = "datname = 'wallet' AND application_name = 'wallet-service'"
LANE: Final = "postgres"
READERS: Final = 6


async def kill_postmaster(scene: Scene) -> str:
    """SIGKILL to the postmaster; its children notice. Then it is started again, and recovers."""
    postmaster = postmaster_of(scene.stage.postgres.cluster)
    if postmaster is None:
        raise NotFired("there is no postmaster")
    postmaster.kill()
    return await _recovered(scene, postmaster.pid, "the postmaster")


async def kill_all(scene: Scene) -> str:
    """SIGKILL to all processes of the server at one instant, as when its machine fails."""
    processes = processes_of(scene.stage.postgres.cluster)
    pids = sent([process.pid for process in processes], signal.SIGSTOP)
    sent(pids, signal.SIGKILL)
    return await _recovered(scene, pids[0] if pids else 0, f"all {len(pids)} processes")


async def _recovered(scene: Scene, pid: int, what: str) -> str:
    if not pid or not await eventually(lambda: not scene.stage.postgres.is_alive(), FIRED_S_MAX):
        raise NotFired(f"{what} did not die")
    await asyncio.sleep(scene.chance.uniform(0, 1.0))
    began = time.monotonic()
    await scene.stage.revive_postgres()
    return f"{what}; answers {time.monotonic() - began:.1f} s after the start"


async def kill_backend(scene: Scene) -> str:
    """SIGKILL to one backend, upon which the server ends all others and recovers."""
    backends = scene.stage.backends()
    if not backends:
        raise NotFired("there is no backend")
    victim, other = scene.chance.choice(backends), backends[0]
    victim.kill()
    # The others end too: that is how the server takes it.
    if not await eventually(lambda: not psutil.pid_exists(other.pid), FIRED_S_MAX):
        raise NotFired("the other backends live on")
    await scene.stage.revive_postgres()
    return f"backend {victim.pid}, and with it {len(backends) - 1} others"


async def stop_backends(scene: Scene) -> str:
    """SIGSTOP to some backends, and SIGCONT."""
    backends = [process.pid for process in scene.stage.backends()]
    chosen = scene.chance.sample(backends, min(len(backends), scene.chance.randint(1, 6)))
    async with stopped(chosen) as pids:
        await asyncio.sleep(seconds := scene.chance.uniform(0.3, 3.0))
    return f"{len(pids)} of {len(backends)} backends for {seconds:.1f} s"


async def stop_all(scene: Scene) -> str:
    """SIGSTOP to the whole server, and SIGCONT."""
    async with stopped([process.pid for process in processes_of(scene.stage.postgres.cluster)]) as pids:
        await asyncio.sleep(seconds := scene.chance.uniform(0.3, 2.5))
    return f"{len(pids)} processes for {seconds:.1f} s"


async def end_sessions(scene: Scene) -> str:
    """All the service's sessions are ended at once: its pools have to fill again."""
    async with scene.stage.session() as owner:
        ended = await owner.fetchval(
            f"SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {SERVICE}"
        )
    if not ended:
        raise NotFired("the service had no session")
    return f"{ended} sessions"


async def exhaust_connections(scene: Scene) -> str:
    """Every connection that the server has to give is taken, and the service's are ended."""
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(scene.stage.session())
        taken, refused = 0, False
        deadline = time.monotonic() + scene.chance.uniform(1.0, 2.5)
        while time.monotonic() < deadline:
            try:
                await stack.enter_async_context(scene.stage.session())
                taken += 1
            except asyncpg.TooManyConnectionsError:
                refused = True
                await owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    f" WHERE {SERVICE} AND state = 'idle' ORDER BY random() LIMIT 3"
                )
                await asyncio.sleep(POLL_S)
    if not refused:
        raise NotFired(f"{taken} connections were not all that there are")
    return f"{taken} connections taken, until none was left"


def _locked(*statements: str) -> Strike:
    """A session holds locks for a while, and somebody of the service waits for it."""

    async def strike(scene: Scene) -> str:
        statement = scene.chance.choice(statements)
        async with scene.stage.session() as holder, scene.stage.session() as owner:
            transaction = holder.transaction()
            await transaction.start()
            try:
                await holder.execute(statement)
                seconds = scene.chance.uniform(0.3, 3.0)
                until, waiting = time.monotonic() + seconds, 0
                while time.monotonic() < until + (0 if waiting else FIRED_S_MAX - seconds):
                    waiting = max(
                        waiting,
                        await owner.fetchval(
                            f"SELECT count(*) FROM pg_stat_activity WHERE {SERVICE}"
                            " AND $1 = ANY(pg_blocking_pids(pid))",
                            holder.get_server_pid(),
                        ),
                    )
                    await asyncio.sleep(POLL_S)
            finally:
                with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await transaction.rollback()
        if not waiting:
            raise NotFired("nobody waited for the lock")
        return f"{statement.lower()} for {seconds:.1f} s; {waiting} waited at once"

    return strike


async def fill_disk(scene: Scene) -> str:
    """The disk under the data and the log has no room left for a while."""
    disk, failed = scene.stage.disk, ""
    if not disk.fill():
        raise NotFired("a file could still grow")
    try:
        deadline = time.monotonic() + scene.chance.uniform(1.0, 3.0)
        while time.monotonic() < deadline or not failed:
            if time.monotonic() > deadline + FIRED_S_MAX:
                raise NotFired("the server did not notice")
            try:
                async with scene.stage.session(timeout=2) as owner, owner.transaction():
                    await owner.execute(
                        "CREATE TABLE torture_filler AS"
                        " SELECT number, repeat('x', 1000) FROM generate_series(1, 2000) AS number"
                    )
                    # Nothing of it is kept.
                    raise NotFired("the server wrote to a full disk")
            except NotFired:
                await asyncio.sleep(POLL_S)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                failed = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                await asyncio.sleep(POLL_S * 4)
    finally:
        disk.free()
        await scene.stage.revive_postgres()
    return failed


def _at(point: Point, *actions: Action) -> Strike:
    """The way to the database is cut, or goes silent, at one point of the protocol."""

    async def strike(scene: Scene) -> str:
        proxy = scene.stage.proxies[await ready_instance(scene)]
        action = scene.chance.choice(actions)
        if isinstance(action, Stall):
            action = Stall(scene.chance.uniform(0.2, 2.0))
        rule = proxy.arm(point, action, times=scene.chance.randint(1, 3), application="wallet-service")
        try:
            if point is Point.START_UP:
                # Nobody would connect otherwise.
                proxy.cut_all()
            if not await eventually(lambda: rule.count > 0, FIRED_S_MAX):
                raise NotFired(f"no connection came to {point}")
            await asyncio.sleep(getattr(action, "seconds", None) or 0.3)
            return f"{rule.count} × {action}"
        finally:
            proxy.disarm(rule)

    return strike


async def drop_cancels(scene: Scene) -> str:
    """Reads run out of time while a table is locked, and their cancel requests get lost."""
    number = await ready_instance(scene)
    proxy = scene.stage.proxies[number]
    rule = proxy.arm(Point.CANCEL_REQUEST, Cut(), times=None)
    try:
        async with scene.stage.session() as holder:
            transaction = holder.transaction()
            await transaction.start()
            await holder.execute("LOCK TABLE wallets IN ACCESS EXCLUSIVE MODE")
            try:
                await asyncio.gather(*(scene.trouble.read(number) for _ in range(READERS)))
                if not rule.count:
                    raise NotFired("nobody cancelled anything")
            finally:
                await transaction.rollback()
        return f"{rule.count} cancel requests lost"
    finally:
        proxy.disarm(rule)


async def refuse(scene: Scene) -> str:
    """No machine answers at the database's address for a while."""
    proxy = scene.stage.proxies[await ready_instance(scene)]
    links = len(proxy.links)
    proxy.refuse()
    proxy.cut_all()
    try:
        await asyncio.sleep(seconds := scene.chance.uniform(0.3, 2.0))
        if not await _is_refused(proxy):
            raise NotFired("connections were taken")
    finally:
        await proxy.listen()
    return f"{links} connections cut, and none taken for {seconds:.1f} s"


async def _is_refused(proxy: PostgresProxy) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    except OSError:
        return True
    writer.close()
    return False


async def go_silent(scene: Scene) -> str:
    """All connections of an instance go silent at once, as when a network drops every packet."""
    proxy = scene.stage.proxies[await ready_instance(scene)]
    links = proxy.silence_all(server_closed=scene.chance.random() < 0.5)
    if not links:
        raise NotFired("there was no connection")
    await asyncio.sleep(REQUEST_TIMEOUT_MS / 1000 + scene.chance.uniform(0.2, 1.5))
    # The network says at last that they are gone; until then nobody can know.
    proxy.cut_all()
    return f"{links} connections"


def _has_disk(stage: Stage) -> str:
    return "" if stage.disk.mounted else "this process may not mount a small file system"


KINDS: Final = (
    FaultKind("postgres-kill", LANE, kill_postmaster),
    FaultKind("postgres-kill-all", LANE, kill_all),
    FaultKind("postgres-stop", LANE, stop_all),
    FaultKind("backend-kill", LANE, kill_backend),
    FaultKind("backend-stop", LANE, stop_backends),
    FaultKind("sessions-ended", LANE, end_sessions),
    FaultKind("connections-exhausted", LANE, exhaust_connections),
    FaultKind("rows-locked", LANE, _locked("SELECT FROM wallets ORDER BY version DESC LIMIT 30 FOR UPDATE")),
    FaultKind(
        "tables-locked",
        LANE,
        _locked(
            "LOCK TABLE wallets IN ACCESS EXCLUSIVE MODE",
            "LOCK TABLE transactions IN ACCESS EXCLUSIVE MODE",
            "LOCK TABLE entries IN SHARE MODE",
        ),
    ),
    FaultKind("disk-full", LANE, fill_disk, _has_disk),
    FaultKind("connection-refused", LANE, refuse),
    FaultKind("connections-silent", LANE, go_silent),
    FaultKind("cancels-lost", LANE, drop_cancels),
    FaultKind("cut-start-up", LANE, _at(Point.START_UP, Cut(), Cut(reset=False))),
    FaultKind("cut-statement", LANE, _at(Point.STATEMENT_SENT, Cut(), Cut(reset=False), Truncate())),
    FaultKind("cut-before-commit", LANE, _at(Point.BEFORE_COMMIT, Cut(), Cut(reset=False))),
    FaultKind("cut-commit-sent", LANE, _at(Point.COMMIT_SENT, Cut(), Cut(reset=False))),
    FaultKind("cut-after-commit", LANE, _at(Point.AFTER_COMMIT, Cut(), Cut(reset=False), Truncate())),
    FaultKind("stall-statement", LANE, _at(Point.STATEMENT_SENT, Stall())),
    FaultKind("stall-before-commit", LANE, _at(Point.BEFORE_COMMIT, Stall())),
    FaultKind("stall-after-commit", LANE, _at(Point.AFTER_COMMIT, Stall())),
    FaultKind("half-open-commit", LANE, _at(Point.AFTER_COMMIT, HalfOpen(), HalfOpen(server_closed=True))),
)
