"""A ledger that nobody tampered with is proved, whatever happened in it."""

from collections import Counter
from uuid import UUID

import attrs
import pytest

from adapters.memory import MemoryStore
from tests.support.ids import CountingIds, id_number
from tests.support.time import Clock
from tests.verification.scene import (
    ALICE,
    BOB,
    CAROL,
    CLOSED,
    DOLLARS,
    LONELY,
    NEW,
    OTHER_TENANT,
    TENANT,
    play,
    prove,
    prove_wallet,
)
from wallet_core import Applied, Fenced, Kind, NotFound, Rejected, Replayed, VersionConflict
from wallet_core.findings import WALLET_CHECKS, Check
from wallet_core.verify import verify_tenant, verify_wallet


async def test_the_scene_has_every_kind_of_transaction_and_of_decision() -> None:
    clock = Clock()
    outcomes = await play(MemoryStore(clock), clock, CountingIds())
    applied = [outcome.transaction for outcome in outcomes if isinstance(outcome, Applied)]
    assert {transaction.kind for transaction in applied} == set(Kind) - {Kind.EXPIRY}
    assert {type(outcome) for outcome in outcomes} == {Applied, Rejected, Fenced, VersionConflict, NotFound, Replayed}


async def test_it_is_proved_on_postgresql(untouched: str) -> None:
    proof = await prove(untouched)
    assert proof.findings.kept == []
    assert proof.ok
    assert [result.check for result in proof.results] == [check for check in Check if check is not Check.CHECKPOINT]
    assert all(result.ok and result.detail == "holds" for result in proof.results)
    assert proof.wallets == 7
    assert proof.flows.entered == Counter({"EUR": 1000 + 500 + 5 + 30 + 4 + 1, "USD": 70})
    assert (await prove(untouched, OTHER_TENANT)).wallets == 1


@pytest.mark.parametrize("wallet_id", [ALICE, BOB, CAROL, DOLLARS, CLOSED, LONELY])
async def test_each_wallet_is_proved_by_itself(untouched: str, wallet_id: UUID) -> None:
    proof = await prove_wallet(untouched, wallet_id)
    assert proof is not None
    assert proof.ok, proof.findings.kept
    assert [result.check for result in proof.results] == list(WALLET_CHECKS)
    assert proof.entries >= 2


async def test_a_wallet_of_another_tenant_is_none_of_this_one(untouched: str) -> None:
    assert await prove_wallet(untouched, BOB, OTHER_TENANT) is None
    assert await prove_wallet(untouched, NEW) is None


async def test_it_is_proved_in_memory_with_the_same_result(untouched: str) -> None:
    clock = Clock()
    store = MemoryStore(clock)
    await play(store, clock, CountingIds())
    async with store.view(TENANT) as view:
        proof = await verify_tenant(view)
        assert proof.ok, proof.findings.kept
        wallet = await view.wallet(ALICE)
        assert wallet is not None
        in_memory = await verify_wallet(view, wallet)
    on_postgresql = await prove(untouched)
    assert attrs.astuple(proof.flows) == attrs.astuple(on_postgresql.flows)
    alone = await prove_wallet(untouched, ALICE)
    assert alone is not None
    # Byte for byte the same history: the last hash covers all of it.
    assert (in_memory.head, in_memory.entries) == (alone.head, alone.entries)


async def test_a_tenant_without_anything_is_proved(untouched: str) -> None:
    proof = await prove(untouched, id_number(0x77))
    assert (proof.ok, proof.wallets, proof.entries_proved) == (True, 0, 0)


async def test_a_wallet_whose_history_comes_in_many_portions_is_proved(
    untouched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.postgres.audit.ENTRIES_PER_FETCH", 3)
    monkeypatch.setattr("wallet_core.verify.WALLETS_PER_PAGE", 2)
    progress: list[tuple[int, int]] = []
    proof = await prove(untouched, progress=lambda done, total: progress.append((done, total)))
    assert proof.ok, proof.findings.kept
    assert proof.entries_proved == proof.flows.entries
    assert progress[-1] == (proof.flows.entries, proof.flows.entries)
    assert progress == sorted(progress)
