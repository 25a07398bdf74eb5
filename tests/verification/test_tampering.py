"""Whatever the owner of the database changes, so cleverly that all its constraints still hold, the proof finds."""

import asyncpg
import pytest

from tests.verification.scene import prove
from tests.verification.tampered_history import HISTORY, NONSENSE
from tests.verification.tampered_rows import AMOUNTS, HOLDS, ROWS, WORDS
from tests.verification.tampering import Owner, Tampering, of, tamper

TAMPERINGS = [*AMOUNTS, *WORDS, *ROWS, *HOLDS, *HISTORY, *NONSENSE]


@pytest.mark.parametrize(
    "tampering", [each for each in TAMPERINGS if not each.before], ids=lambda tampering: tampering.name
)
async def test_it_is_found_and_its_place_is_named(scene: str, tampering: Tampering) -> None:
    await assert_found(scene, tampering)


@pytest.mark.parametrize(
    "tampering", [each for each in TAMPERINGS if each.before], ids=lambda tampering: tampering.name
)
async def test_it_is_found_too_where_the_constraints_were_taken_away(own_scene: str, tampering: Tampering) -> None:
    await assert_found(own_scene, tampering)


async def test_an_applied_transaction_that_names_no_entry_is_named(scene: str) -> None:
    async def change(owner: Owner) -> None:
        await owner.do(f"UPDATE transactions SET outcome = 'applied' WHERE {of('too-much')}")

    await tamper(scene, change)
    connection = await asyncpg.connect(scene)
    id = await connection.fetchval(f"SELECT id FROM transactions WHERE {of('too-much')}")
    await connection.close()
    details = [finding.detail for finding in (await prove(scene)).findings.kept]
    assert f"transaction {id} is applied, and names no entry" in details


async def assert_found(dsn: str, tampering: Tampering) -> None:
    async def change(owner: Owner) -> None:
        await owner.do(*tampering.statements)

    await tamper(dsn, change, *tampering.before)
    proof = await prove(dsn)
    assert not proof.ok
    assert {result.check for result in proof.results if not result.ok} == tampering.found, proof.findings.kept
    wallet_id, version = tampering.place
    if wallet_id is not None:
        places = {(finding.wallet_id, finding.version) for finding in proof.findings.kept}
        assert (str(wallet_id), version) in places, proof.findings.kept
