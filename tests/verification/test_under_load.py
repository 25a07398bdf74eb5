"""A ledger is proved while others write to it, and holds at every instant."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from adapters.ids import UuidV7
from adapters.postgres.engine import INDEX_ONLY_PLANS, create_engine
from adapters.postgres.schema import SERVICE_ROLE
from adapters.postgres.unit_of_work import PostgresStore
from tests.support.ids import id_number
from tests.verification.scene import TENANT, prove
from wallet_core import (
    Applied,
    BatchLedger,
    CaptureHold,
    Command,
    OpenWallet,
    Outcome,
    PlaceHold,
    ReleaseHold,
    Reverse,
    Transaction,
    credit,
    debit,
    transfer,
)

WALLETS = [id_number(0x100 + number) for number in range(20)]
WRITERS = 3
PROOFS = 6

BALANCES = "SELECT currency, sum(balance)::bigint FROM wallets WHERE tenant_id = $1 GROUP BY currency"
FLOWS = """
    SELECT posting->>'currency', sum(
        CASE WHEN posting->>'source' IS NULL THEN (posting->>'amount')::bigint ELSE 0 END
        - CASE WHEN posting->>'destination' IS NULL THEN (posting->>'amount')::bigint ELSE 0 END
    )::bigint
    FROM transactions, json_array_elements(result->'postings') AS posting
    WHERE tenant_id = $1 AND outcome = 'applied' GROUP BY 1
"""


def _some(picks: random.Random, keys: "itertools.count[int]", past: Sequence[Transaction]) -> Command:
    key = f"load-{next(keys)}"
    one, other = picks.sample(WALLETS, 2)
    amount = picks.randint(1, 50)
    hold = next((transaction.hold for transaction in reversed(past) if transaction.hold is not None), None)
    match picks.randrange(8):
        case 0 | 1:
            return credit(key, one, amount, metadata={"n": key})
        case 2:
            return debit(key, one, amount)
        case 3 | 4:
            return transfer(key, one, other, amount)
        case 5:
            return PlaceHold(key, one, amount, destination=other)
        case 6 if hold is not None:
            return CaptureHold(key, hold.id, 1, final=False) if amount % 2 else ReleaseHold(key, hold.id)
        case _ if past:
            return Reverse(key, past[-1].id)
        case _:
            return credit(key, one, amount)


@asynccontextmanager
async def writers(dsn: str) -> AsyncIterator[list[Outcome]]:
    """Writers who go on for as long as the context lasts; what they were told."""
    engine = create_engine(dsn, pool_size=WRITERS, role=SERVICE_ROLE, planner=INDEX_ONLY_PLANS)
    ledger = BatchLedger(PostgresStore(engine), UuidV7())
    opened = [OpenWallet(f"open-{id}", "EUR" if number % 4 else "USD", id) for number, id in enumerate(WALLETS)]
    await ledger.execute(TENANT, opened)
    keys = itertools.count()
    told: list[Outcome] = []
    stop = asyncio.Event()

    async def write(number: int) -> None:
        picks = random.Random(number)
        past: list[Transaction] = []
        while not stop.is_set():
            commands = [_some(picks, keys, past) for _ in range(picks.randint(1, 30))]
            outcomes = await ledger.execute(TENANT, commands)
            told.extend(outcomes)
            past.extend(outcome.transaction for outcome in outcomes if isinstance(outcome, Applied))

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(WRITERS):
                group.create_task(write(number))
            yield told
            stop.set()
    finally:
        await engine.dispose()


async def test_each_proof_is_of_one_instant_and_holds(
    scene: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small portions, so that much is written between any two of them.
    monkeypatch.setattr("adapters.postgres.audit.ENTRIES_PER_FETCH", 20)
    monkeypatch.setattr("wallet_core.verify.WALLETS_PER_PAGE", 5)
    path = tmp_path / "checkpoint"
    seen: list[int] = []
    async with writers(scene) as told:
        for number in range(PROOFS):
            proof = await prove(scene)
            assert proof.ok, proof.findings.kept
            seen.append(proof.flows.entries)
            proof = await prove(scene, since=path if number else None, checkpoint=path)
            assert proof.ok, proof.findings.kept
            seen.append(proof.flows.entries)
    assert seen == sorted(set(seen)), "others wrote between any two proofs"
    assert sum(isinstance(outcome, Applied) for outcome in told) > 100
    last = await prove(scene)
    assert last.ok, last.findings.kept
    assert (await prove(scene, since=path)).flows == last.flows


async def test_at_every_instant_balances_sum_to_what_came_in_less_what_left(scene: str) -> None:
    """Guarantee G7, by arithmetic of the database's own."""
    connection = await asyncpg.connect(scene)
    try:
        async with writers(scene):
            for _ in range(20):
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    balances = await connection.fetch(BALANCES, TENANT)
                    await asyncio.sleep(0.01)
                    flows = await connection.fetch(FLOWS, TENANT)
                assert sorted(map(tuple, balances)) == sorted(map(tuple, flows))
    finally:
        await connection.close()
