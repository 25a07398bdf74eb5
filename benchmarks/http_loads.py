"""Loads over HTTP on one service."""

import json
import random
import tempfile
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Final

from benchmarks.ledger import API_KEY, wallet_id
from benchmarks.redis import running_redis
from benchmarks.rows import HOT_ALONE, SPREAD_ALONE, Row
from benchmarks.service import Service, on_database, serving
from benchmarks.stage import Stage

CONNECTIONS: Final = (1, 16, 64, 256)
USUAL_CONNECTIONS: Final = 64
BATCH_SIZES: Final = (100, 1000)
BATCH_CONNECTIONS: Final = 4
REPLAYED_KEYS: Final = 10_000
REPLAYED_BATCH: Final = 100
HOLDS_A_SECOND: Final = 500
"""More than a fortieth, the share of captures, of what the mixed load comes to."""
WARM_UP_S: Final = 2


def warm_up(stage: Stage, *services: Service) -> None:
    """Have connections, plans and caches made before anything is measured."""
    stage.load("credits.lua", USUAL_CONNECTIONS, seconds=WARM_UP_S).run(*services)
    stage.ledger.settle()


def no_ops(stage: Stage, service: Service) -> Iterator[Row]:
    """What HTTP alone costs: the least answer, and a write that is refused before it asks anything of the database."""
    load = stage.load("live.lua", USUAL_CONNECTIONS)
    yield stage.row("noop-live", "HTTP no-op: GET /health/live", [service], load, effect="nothing")
    load = stage.load("refused.lua", USUAL_CONNECTIONS)
    name = "HTTP no-op: credit of 0, decoded and refused"
    yield stage.row("noop-refused", name, [service], load, effect="refused")


def credits(stage: Stage, service: Service) -> Iterator[Row]:
    """Single credits at each number of connections, spread over all wallets and on one."""
    for wallets, kind, alone in ((None, "spread", SPREAD_ALONE), (1, "hot", HOT_ALONE)):
        for connections in CONNECTIONS:
            name = f"HTTP credits, {connections} connection{'s' * (connections > 1)}, {kind}"
            yield stage.row(
                f"credits-{kind}-{connections}",
                name,
                [service],
                stage.load("credits.lua", connections, wallets=wallets),
                alone=alone if connections == 1 else None,
            )


def mixed(stage: Stage, service: Service) -> Iterator[Row]:
    """Half credits, and some of everything else."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{id}\n" for id in stage.ledger.place_holds(HOLDS_A_SECOND * stage.seconds))
        file.flush()
        load = stage.load("mixed.lua", USUAL_CONNECTIONS, file.name)
        yield stage.row("mixed", f"HTTP mixed load, {USUAL_CONNECTIONS} connections", [service], load, effect="writes")


def batches(stage: Stage, service: Service) -> Iterator[Row]:
    """Batches of each size. What is counted are the commands in them."""
    for size in BATCH_SIZES:
        name = f"HTTP batches of {size}, {BATCH_CONNECTIONS} connections, commands"
        load = stage.load("batches.lua", BATCH_CONNECTIONS, str(size))
        yield stage.row(f"batches-{size}", name, [service], load, size=size)


def reads(stage: Stage, service: Service) -> Iterator[Row]:
    """Wallets by id."""
    load = stage.load("reads.lua", USUAL_CONNECTIONS)
    yield stage.row("reads", f"HTTP reads, {USUAL_CONNECTIONS} connections", [service], load, effect="nothing")


def replays(stage: Stage, service: Service, workers: int | None) -> Iterator[Row]:
    """Credits that were made before this load, sent again: without a cache, and with one that has all of them."""
    made = [(str(uuid.uuid4()), str(wallet_id(random.randint(1, stage.ledger.wallets)))) for _ in range(REPLAYED_KEYS)]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{key} {wallet}\n" for key, wallet in made)
        file.flush()
        load = stage.load("replays.lua", USUAL_CONNECTIONS, file.name)
        _credit(service, made)
        name = f"HTTP replays, {USUAL_CONNECTIONS} connections"
        yield stage.row("replays", f"{name}, without Redis", [service], load, effect="nothing")
        with running_redis() as redis, serving(on_database(stage.ledger.dsn, workers, redis.url)) as cached:
            # What it answers, it remembers.
            _credit(cached, made)
            stage.load("replays.lua", USUAL_CONNECTIONS, file.name, seconds=WARM_UP_S).run(cached)
            yield stage.row("replays-redis", f"{name}, with Redis", [cached], load, effect="nothing", redis=redis)


def _credit(service: Service, made: list[tuple[str, str]]) -> None:
    for start in range(0, len(made), REPLAYED_BATCH):
        commands = [
            {"type": "credit", "idempotency_key": key, "wallet_id": wallet, "amount": 1}
            for key, wallet in made[start : start + REPLAYED_BATCH]
        ]
        request = urllib.request.Request(
            f"{service.url}/v1/batches",
            json.dumps({"commands": commands}).encode(),
            {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            results = json.load(answer)["results"]
        if any(result["status"] != 201 for result in results):
            raise RuntimeError(f"credits could not be made: {results[0]}")
