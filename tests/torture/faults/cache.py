"""Faults of Redis: its process, its memory, and what is in it."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import redis.asyncio as redis
from redis.exceptions import RedisError

from tests.support.proxy.redis import Point
from tests.support.proxy.rules import Action, Cut, HalfOpen, Replace, Stall, Truncate
from tests.torture.faults.kinds import FIRED_S_MAX, FaultKind, NotFired, Scene, Strike, ready_instance, sent, stopped
from tests.torture.processes import HOST, POLL_S, eventually
from tests.torture.stage import Stage

LANE: Final = "redis"
SCANNED_MAX: Final = 2_000
ASKS: Final = "MGET"
"""What the service asks with."""


@asynccontextmanager
async def _connected(stage: Stage) -> AsyncIterator["redis.Redis"]:
    client = redis.Redis(host=HOST, port=stage.redis.port, socket_timeout=5, socket_connect_timeout=5)
    try:
        yield client
    finally:
        await client.aclose()


async def _restart(stage: Stage) -> None:
    stage.redis.start()
    deadline = asyncio.get_running_loop().time() + FIRED_S_MAX
    while asyncio.get_running_loop().time() < deadline:
        try:
            async with _connected(stage) as client:
                await client.ping()
                return
        except (RedisError, OSError):
            await asyncio.sleep(POLL_S)
    raise NotFired("Redis does not come back")


async def kill(scene: Scene) -> str:
    """SIGKILL, and an empty one in its place a while later."""
    stage = scene.stage
    (pid,) = sent([stage.redis.pid], signal.SIGKILL)
    if not await eventually(lambda: not stage.redis.is_alive(), FIRED_S_MAX):
        raise NotFired("Redis does not die")
    await asyncio.sleep(seconds := scene.chance.uniform(0.1, 3.0))
    await _restart(stage)
    return f"process {pid}; an empty one {seconds:.1f} s later"


async def stop(scene: Scene) -> str:
    """SIGSTOP, and SIGCONT."""
    async with stopped([scene.stage.redis.pid]) as pids:
        await asyncio.sleep(seconds := scene.chance.uniform(0.3, 3.0))
    return f"process {pids[0]} for {seconds:.1f} s"


async def flush(scene: Scene) -> str:
    """Everything is forgotten."""
    async with _connected(scene.stage) as client:
        keys = await client.dbsize()
        if not keys:
            raise NotFired("there was nothing in it")
        await client.flushall()
    return f"{keys} keys forgotten"


async def fill(scene: Scene) -> str:
    """There is no memory for anything new."""
    async with _connected(scene.stage) as client:
        await client.config_set("maxmemory", "1")
        try:
            before = (await client.info("errorstats")).get("errorstat_OOM", {"count": 0})["count"]
            deadline = asyncio.get_running_loop().time() + FIRED_S_MAX
            await asyncio.sleep(scene.chance.uniform(0.5, 2.0))
            while (after := (await client.info("errorstats")).get("errorstat_OOM", {"count": 0})["count"]) == before:
                if asyncio.get_running_loop().time() > deadline:
                    raise NotFired("nothing was refused")
                await asyncio.sleep(POLL_S)
        finally:
            await client.config_set("maxmemory", "0")
    return f"{after - before} writes refused"


async def _values(client: Any) -> dict[bytes, bytes]:
    """Some keys and what is under them."""
    keys: list[bytes] = []
    async for key in client.scan_iter(count=500):
        keys.append(key)
        if len(keys) >= SCANNED_MAX:
            break
    found = {}
    for key in keys:
        if await client.type(key) == b"string" and (value := await client.get(key)) is not None:
            found[key] = value
    if not found:
        raise NotFired("there was nothing in it")
    return found


async def damage(scene: Scene) -> str:
    """What is under the keys is cut off, has flipped bits, is something else, or of another type."""
    async with _connected(scene.stage) as client:
        found = await _values(client)
        for key, value in found.items():
            match scene.chance.randrange(4):
                case 0:
                    await client.set(key, value[: len(value) // 2])
                case 1:
                    place = scene.chance.randrange(len(value))
                    flipped = value[place] ^ (1 << scene.chance.randrange(8))
                    await client.set(key, value[:place] + bytes([flipped]) + value[place + 1 :])
                case 2:
                    await client.set(key, scene.chance.randbytes(40))
                case _:
                    await client.delete(key)
                    await client.rpush(key, value)
    return f"{len(found)} values damaged"


async def swap(scene: Scene) -> str:
    """Under each key is what was written under another."""
    async with _connected(scene.stage) as client:
        found = await _values(client)
        if len(found) < 2:
            raise NotFired("there was nothing to swap")
        keys = list(found)
        for key, other in zip(keys, [*keys[1:], keys[0]], strict=True):
            await client.set(key, found[other])
    return f"{len(found)} values swapped"


def _at(point: Point, *actions: Action) -> Strike:
    """The way to Redis is cut, goes silent, or brings something else, at one point of the protocol."""

    async def strike(scene: Scene) -> str:
        proxy = scene.stage.redis_proxies[await ready_instance(scene)]
        action = scene.chance.choice(actions)
        if isinstance(action, Stall):
            action = Stall(scene.chance.uniform(0.2, 2.0))
        rule = proxy.arm(point, action, times=scene.chance.randint(1, 5), text=ASKS)
        try:
            if not await eventually(lambda: rule.count > 0, FIRED_S_MAX):
                raise NotFired(f"nobody came to {point}")
            await asyncio.sleep(getattr(action, "seconds", None) or 0.3)
            return f"{rule.count} × {type(action).__name__.lower()}"
        finally:
            proxy.disarm(rule)

    return strike


def _one_bit_off(reply: bytes) -> bytes:
    """The reply with one bit of its last value changed; what says how long it is stays as it is."""
    place = len(reply) - 3
    return reply[:place] + bytes([reply[place] ^ 1]) + reply[place + 1 :] if place > 0 else reply


def _is_there(stage: Stage) -> str:
    return "" if stage.cast.redis else "there is no cache"


KINDS: Final = (
    FaultKind("redis-kill", LANE, kill, _is_there),
    FaultKind("redis-stop", LANE, stop, _is_there),
    FaultKind("redis-flush", LANE, flush, _is_there),
    FaultKind("redis-full", LANE, fill, _is_there),
    FaultKind("redis-damaged", LANE, damage, _is_there),
    FaultKind("redis-swapped", LANE, swap, _is_there),
    FaultKind("redis-cut", LANE, _at(Point.REQUEST_SENT, Cut(), Cut(reset=False)), _is_there),
    FaultKind("redis-cut-reply", LANE, _at(Point.REPLY, Truncate(), Cut()), _is_there),
    FaultKind("redis-stall", LANE, _at(Point.REPLY, Stall()), _is_there),
    FaultKind("redis-half-open", LANE, _at(Point.REQUEST, HalfOpen()), _is_there),
    FaultKind("redis-lies", LANE, _at(Point.REPLY, Replace(_one_bit_off), Replace(lambda _: b"+OK\r\n")), _is_there),
)
