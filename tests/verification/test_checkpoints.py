"""A checkpoint makes visible what leaves no trace in the database: a tail, a wallet or a history that is another."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.ids import id_number
from tests.verification.scene import (
    ACTIVE,
    ALICE,
    ALSO_ACTIVE,
    BOB,
    CAROL,
    LONELY,
    NEW,
    OTHER_TENANT,
    TENANT,
    go_on,
    prove,
)
from tests.verification.tampering import Owner, entries_of, entry, of, row_of, said, tamper
from wallet_core import CaptureHold, ChangeWallet, NewCeiling, OpenWallet, PlaceHold, credit, transfer
from wallet_core.findings import Check
from wallet_core.verify import TenantProof


def members(path: Path) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def failed(proof: TenantProof) -> set[Check]:
    return {result.check for result in proof.results if not result.ok}


def places(proof: TenantProof, check: Check = Check.CHECKPOINT) -> set[tuple[str | None, int | None]]:
    return {(finding.wallet_id, finding.version) for finding in proof.findings.kept if finding.check is check}


# -------------------------------------------------------------------- an honest ledger


async def test_a_checkpoint_has_the_sums_and_the_end_of_each_chain(untouched: str, checkpoint: Path) -> None:
    header, *heads, trailer = members(checkpoint)
    assert header["tenant"] == {"id": str(TENANT), "name": "default"}
    assert (header["entered"], header["left"]) == ({"EUR": 1540, "USD": 70}, {"EUR": 88})
    assert header["entries"] == sum(head["version"] for head in heads)
    assert [head["wallet"] for head in heads] == sorted(head["wallet"] for head in heads)
    assert trailer["wallets"] == len(heads) == 7
    (alice,) = (head for head in heads if head["wallet"] == str(ALICE))
    assert (alice["version"], alice["balance"], alice["held"], alice["holds"]) == (18, 916, 35, 4)
    assert (alice["terms"]["floor"], alice["terms"]["ceiling"]) == (-50, 9000)


async def test_nothing_has_happened_since(untouched: str, checkpoint: Path) -> None:
    proof = await prove(untouched, since=checkpoint)
    assert proof.ok, proof.findings.kept
    assert proof.results[-1].check is Check.CHECKPOINT
    assert proof.entries_proved == 0
    assert proof.flows.entries == members(checkpoint)[0]["entries"]


async def test_only_what_came_after_is_proved_and_extends_the_checkpoint(
    scene: str, checkpoint: Path, tmp_path: Path
) -> None:
    await go_on(
        scene,
        OpenWallet("open-new", "EUR", NEW),
        # Before all others, so that its place in the checkpoint is not at the end.
        OpenWallet("open-first", "EUR", id_number(1)),
        credit("more", ALICE, 7),
        transfer("on", ALICE, NEW, 3),
        CaptureHold("capture-last", ALSO_ACTIVE),
        PlaceHold("hold-more", BOB, 1),
        ChangeWallet("change-bob", BOB, floor=-1, ceiling=NewCeiling(None)),
    )
    extended, whole = tmp_path / "extended", tmp_path / "whole"
    proof = await prove(scene, since=checkpoint, checkpoint=extended)
    assert proof.ok, proof.findings.kept
    # The first write after the hour of the hold that is still active has expired it, too.
    assert proof.entries_proved == 2 + 1 + 2 + 1 + 1 + 1 + 1
    assert (await prove(scene, checkpoint=whole)).ok
    assert members(extended)[1:-1] == members(whole)[1:-1]
    assert {**members(extended)[0], "at": ""} == {**members(whole)[0], "at": ""}
    assert (await prove(scene, since=extended)).entries_proved == 0


async def test_a_checkpoint_may_take_the_place_of_the_one_it_extends(
    scene: str, checkpoint: Path, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(checkpoint.read_bytes())
    await go_on(scene, credit("more", ALICE, 7))
    assert (await prove(scene, since=path, checkpoint=path)).entries_proved == 2
    assert (await prove(scene, since=path)).entries_proved == 0
    assert [other.name for other in tmp_path.iterdir()] == ["checkpoint"]


async def test_what_was_tampered_with_afterwards_is_found(scene: str, checkpoint: Path, tmp_path: Path) -> None:
    await go_on(scene, credit("more", LONELY, 7), credit("still-more", LONELY, 1))

    async def change(owner: Owner) -> None:
        await owner.do(said("more", "intent", '"metadata":{}', '"metadata":{"a":"b"}'))

    await tamper(scene, change)
    path = tmp_path / "none"
    proof = await prove(scene, since=checkpoint, checkpoint=path)
    assert failed(proof) == {Check.CHAIN}
    assert places(proof, Check.CHAIN) == {(str(LONELY), 5)}
    assert list(tmp_path.iterdir()) == [], "no checkpoint is made of what is not proved"


async def test_what_was_proved_before_is_not_proved_again(scene: str, checkpoint: Path) -> None:
    """It is what makes going on from a checkpoint quick, and the reason to prove it all now and then."""

    async def change(owner: Owner) -> None:
        await owner.do(said("pay-alice", "intent", '"invoice":"7"', '"invoice":"8"'))

    await tamper(scene, change)
    assert (await prove(scene, since=checkpoint)).ok
    assert failed(await prove(scene)) == {Check.CHAIN}


# -------------------------------------------------------------------- what only a checkpoint shows


async def test_a_tail_that_is_gone_with_its_transaction(scene: str, checkpoint: Path) -> None:
    async def change(owner: Owner) -> None:
        await owner.do(
            "UPDATE wallets SET (version, balance, head, updated_at) ="
            f" (SELECT version, balance_after, hash, created_at FROM entries WHERE {entry(LONELY, 3)})"
            f" WHERE {row_of(LONELY)}",
            f"DELETE FROM entries WHERE {entry(LONELY, 4)}",
            f"DELETE FROM transactions WHERE {of('lonely-3')}",
        )

    await tamper(scene, change)
    assert (await prove(scene)).ok
    proof = await prove(scene, since=checkpoint)
    assert failed(proof) == {Check.CHECKPOINT, Check.HEAD, Check.COMPLETE, Check.CONSERVED}
    assert places(proof) == {(str(LONELY), None)}


async def test_a_tail_that_is_gone_and_grew_again(scene: str, checkpoint: Path) -> None:
    async def change(owner: Owner) -> None:
        await owner.do(
            "UPDATE wallets SET (version, balance, head, updated_at) ="
            f" (SELECT version, balance_after, hash, created_at FROM entries WHERE {entry(LONELY, 3)})"
            f" WHERE {row_of(LONELY)}",
            f"DELETE FROM entries WHERE {entry(LONELY, 4)}",
            f"DELETE FROM transactions WHERE {of('lonely-3')}",
        )

    await tamper(scene, change)
    await go_on(scene, credit("again", LONELY, 4), credit("once-more", LONELY, 4))
    assert (await prove(scene)).ok
    proof = await prove(scene, since=checkpoint)
    assert Check.CHECKPOINT in failed(proof)
    assert places(proof) == {(str(LONELY), 4)}


async def test_a_wallet_that_is_gone_with_all_its_traces(scene: str, checkpoint: Path) -> None:
    await tamper(scene, lambda owner: owner.forget_wallet(LONELY))
    assert (await prove(scene)).ok
    proof = await prove(scene, since=checkpoint)
    assert failed(proof) == {Check.CHECKPOINT, Check.COMPLETE, Check.CONSERVED}
    assert places(proof) == {(str(LONELY), None)}


async def test_the_last_wallet_of_all_and_the_first(scene: str, checkpoint: Path) -> None:
    first, last = id_number(0x9), LONELY

    async def change(owner: Owner) -> None:
        await owner.forget_wallet(first)
        await owner.forget_wallet(last)

    await tamper(scene, change)
    assert places(await prove(scene, since=checkpoint)) == {(str(first), None), (str(last), None)}


async def test_a_wallet_that_was_moved_to_another_tenant(scene: str, checkpoint: Path) -> None:
    to = json.dumps({"tenant_id": str(OTHER_TENANT)})

    async def change(owner: Owner) -> None:
        mine = f"tenant_id = '{TENANT}' AND id IN (SELECT transaction_id FROM entries WHERE {entries_of(LONELY)})"
        for table, rows in [("wallets", row_of(LONELY)), ("transactions", mine), ("entries", entries_of(LONELY))]:
            await owner.do(
                f"INSERT INTO {table} SELECT (jsonb_populate_record(x, '{to}')).* FROM {table} x WHERE {rows}"
            )
        await owner.forget_wallet(LONELY)

    await tamper(scene, change)
    assert (await prove(scene)).ok
    assert (await prove(scene, OTHER_TENANT)).ok
    proof = await prove(scene, since=checkpoint)
    assert failed(proof) == {Check.CHECKPOINT, Check.COMPLETE, Check.CONSERVED}
    assert places(proof) == {(str(LONELY), None)}


async def test_a_history_that_was_written_anew_with_hashes_that_are_right(scene: str, checkpoint: Path) -> None:
    async def change(owner: Owner) -> None:
        await owner.do(
            f"UPDATE entries SET change = change + 100 WHERE {entry(LONELY, 2)}",
            f"UPDATE entries SET balance_after = balance_after + 100 WHERE {entries_of(LONELY)} AND version >= 2",
            f"UPDATE wallets SET balance = balance + 100 WHERE {row_of(LONELY)}",
            said("lonely-1", "result", '"amount":30', '"amount":130'),
            said("lonely-1", "intent", '"amount":30', '"amount":130'),
        )
        await owner.rechain(LONELY)

    await tamper(scene, change)
    assert (await prove(scene)).ok
    proof = await prove(scene, since=checkpoint)
    assert Check.CHECKPOINT in failed(proof)
    assert places(proof) == {(str(LONELY), 4)}


@pytest.mark.parametrize("column", ["balance_after", "held_after"])
async def test_the_last_entry_that_a_checkpoint_saw(scene: str, checkpoint: Path, column: str) -> None:
    async def change(owner: Owner) -> None:
        await owner.do(f"UPDATE entries SET {column} = {column} + 1 WHERE {entry(LONELY, 4)}")

    await tamper(scene, change)
    proof = await prove(scene, since=checkpoint)
    assert failed(proof) == {Check.CHECKPOINT}
    assert places(proof) == {(str(LONELY), 4)}


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (f"UPDATE wallets SET floor = -1000000 WHERE {row_of(ALICE)}", {Check.TERMS}),
        (f"UPDATE wallets SET balance = balance + 1 WHERE {row_of(ALICE)}", {Check.HEAD, Check.CONSERVED}),
        (f"UPDATE holds SET status = 'released' WHERE {row_of(ACTIVE)}", {Check.HOLDS}),
        (f"DELETE FROM holds WHERE {row_of(ACTIVE)}", {Check.HOLDS}),
        (f"DELETE FROM entries WHERE {entry(CAROL, 2)}", {Check.COMPLETE}),
    ],
)
async def test_rows_are_compared_with_what_the_checkpoint_saw(
    scene: str, checkpoint: Path, statement: str, found: set[Check]
) -> None:
    async def change(owner: Owner) -> None:
        await owner.do(statement)

    await tamper(scene, change)
    assert failed(await prove(scene, since=checkpoint)) == found
