"""The view that the ledger in memory gives of itself tells what is missing in it as the one on PostgreSQL does."""

from adapters.memory import MemoryStore
from adapters.memory_audit import MemoryView
from tests.support.ids import CountingIds
from tests.support.time import Clock
from tests.verification.scene import BOB, CAROL, LONELY, TENANT, play
from wallet_core.findings import Check
from wallet_core.verify import TenantProof, verify_tenant


async def proof_without(entry: bool = False, wallet: bool = False) -> TenantProof:
    clock = Clock()
    store = MemoryStore(clock)
    await play(store, clock, CountingIds())
    async with store.view(TENANT) as whole:
        wallets, entries = dict(whole._wallets), dict(whole._entries)
        if entry:
            entries[CAROL] = entries[CAROL][:-1]
        if wallet:
            del wallets[LONELY]
        return await verify_tenant(MemoryView(wallets, whole._holds, whole._transactions, entries, clock()))


def places(proof: TenantProof) -> set[tuple[str | None, int | None]]:
    return {(finding.wallet_id, finding.version) for finding in proof.findings.kept if finding.check is Check.COMPLETE}


async def test_an_entry_that_is_named_and_missing() -> None:
    assert (str(CAROL), 4) in places(await proof_without(entry=True))


async def test_a_wallet_that_is_missing_and_has_entries() -> None:
    proof = await proof_without(wallet=True)
    assert (str(LONELY), None) in places(proof)
    assert str(BOB) not in {finding.wallet_id for finding in proof.findings.kept}
