"""What a load costs: CPU of everybody who takes part, memory of a worker, and bytes of the write-ahead log."""

import os
import platform
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import attrs
import psutil

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres_processes import postmaster_of
from benchmarks.database import wal_bytes
from benchmarks.redis import Redis
from benchmarks.service import Service

ENDED_S: Final = 0.1


@attrs.define
class Costs:
    """Filled in at the end of what is measured. CPU is in per cent of one core."""

    service_cpu: float | None = None
    postgres_cpu: float = 0.0
    generator_cpu: float | None = None
    redis_cpu: float | None = None
    others_cpu: float = 0.0
    """Of all that has nothing to do with the load, and should not be there."""
    memory_mib: float | None = None
    wal_bytes: int = 0


@attrs.frozen
class Meter:
    """Measures what happens on one database server, with these services and this Redis, if any."""

    server: EmbeddedPostgres
    services: Sequence[Service] = ()
    redis: Redis | None = None
    in_process: bool = False
    """Whether this very process is the service and its load generator in one."""

    @contextmanager
    def measured(self) -> Iterator[Costs]:
        """Measure what is done inside."""
        costs = Costs()
        dsn = self.server.url("postgres")
        wal_before = wal_bytes(dsn)
        clocks = {**self._clocks(), "others": _machine_cpu_s}
        before = {name: clock() for name, clock in clocks.items()}
        started_at = time.perf_counter()
        yield costs
        took_s = time.perf_counter() - started_at
        # A backend whose client has gone takes a moment to end, and is counted with its parent only then.
        time.sleep(ENDED_S)
        for name, clock in clocks.items():
            setattr(costs, f"{name}_cpu", 100 * (clock() - before[name]) / took_s)
        ours = (costs.service_cpu, costs.postgres_cpu, costs.generator_cpu, costs.redis_cpu)
        costs.others_cpu = max(0.0, costs.others_cpu - sum(share or 0.0 for share in ours))
        costs.wal_bytes = wal_bytes(dsn) - wal_before
        memories = [service.memory_mib() for service in self.services]
        if self.in_process:
            memories.append(psutil.Process().memory_info().rss / 2**20)
        costs.memory_mib = max(memories, default=None)

    def _clocks(self) -> dict[str, Callable[[], float]]:
        postmaster = postmaster_of(self.server.cluster)
        if postmaster is None:
            raise RuntimeError("PostgreSQL has ended")
        clocks: dict[str, Callable[[], float]] = {"postgres": lambda: _cpu_s([postmaster.pid])}
        if self.services:
            clocks["service"] = lambda: _cpu_s([service.process.pid for service in self.services])
        if self.in_process:
            clocks["service"] = time.process_time
        else:
            clocks["generator"] = _generator_cpu_s
        redis = self.redis
        if redis is not None:
            clocks["redis"] = lambda: _cpu_s([redis.process.pid])
        return clocks


def _generator_cpu_s() -> float:
    # Of all children that have ended: only load generators do so while something is measured.
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _machine_cpu_s() -> float:
    times: Any = psutil.cpu_times()
    # What runs in guests is in the first two already; the last three are there on Linux only.
    names = ("user", "nice", "system", "irq", "softirq", "steal")
    return float(sum(getattr(times, name, 0.0) for name in names))


def _cpu_s(pids: Sequence[int]) -> float:
    """What these processes and their children have used so far, those children included that have ended."""
    total = 0.0
    for pid in pids:
        root = psutil.Process(pid)
        times: Any = root.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
        for child in root.children(recursive=True):
            # One that ends just now is counted with its parent from then on.
            with suppress(psutil.Error):
                times = child.cpu_times()
                total += times.user + times.system
    return total


def machine() -> dict[str, Any]:
    """What it was measured on."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpus": os.cpu_count(),
        "cpu": models[0] if models else platform.processor(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "load_before": round(os.getloadavg()[0], 2),
    }
