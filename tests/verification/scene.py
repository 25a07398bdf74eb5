"""A ledger on PostgreSQL with every kind of transaction in it, and its proof: where the tests of verification start.

Times and ids are foreseeable. The tenants have names, as the command line needs them.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from uuid import UUID

from adapters.checkpoint_file import read_checkpoint, write_checkpoint
from adapters.ids import UuidV7
from adapters.postgres.admin import Admin, tenant_id_of
from adapters.postgres.audit import PostgresAudit
from adapters.postgres.engine import INDEX_ONLY_PLANS, create_engine
from adapters.postgres.schema import SERVICE_ROLE
from adapters.postgres.unit_of_work import PostgresStore
from tests.support.ids import CountingIds, id_number
from tests.support.stores import ClockedStore
from tests.support.time import Clock
from wallet_core import (
    Applied,
    BatchLedger,
    CaptureHold,
    ChangeWallet,
    Command,
    FenceKey,
    NewCeiling,
    OpenWallet,
    Outcome,
    PlaceHold,
    Post,
    Posting,
    ReleaseHold,
    Reverse,
    WalletStatus,
    credit,
    debit,
    transfer,
)
from wallet_core.ports import Store
from wallet_core.verify import TenantProof, WalletProof, verify_tenant, verify_wallet

NAME: Final = "default"
OTHER_NAME: Final = "other"
TENANT: Final = tenant_id_of(NAME)
OTHER_TENANT: Final = tenant_id_of(OTHER_NAME)

ALICE, BOB, CAROL, DOLLARS, CLOSED, LONELY, NEW = (id_number(number) for number in range(0xA, 0x11))
"""The wallets. ``DOLLARS`` is frozen; ``LONELY`` has dealings with the outside only; ``NEW`` nobody opened yet."""

EXPIRED, CAPTURED, CARRIED, ACTIVE, ALSO_ACTIVE, RELEASED = (id_number(1_000_017 + number) for number in range(6))
"""The holds."""


async def play(store: Store, clock: Clock, ids: CountingIds) -> Sequence[Outcome]:
    """Do everything that a ledger can do. Returns every outcome."""
    ledger = BatchLedger(store, ids)
    outcomes: list[Outcome] = []

    async def do(*commands: Command) -> None:
        clock.advance(1)
        outcomes.extend(await ledger.execute(TENANT, commands))

    await do(
        OpenWallet("open-alice", "EUR", ALICE, floor=-100, metadata={"owner": "alice", "Ä": "ö"}),
        OpenWallet("open-bob", "EUR", BOB, ceiling=1_000_000),
        OpenWallet("open-carol", "EUR", CAROL),
        OpenWallet("open-dollars", "USD", DOLLARS),
        OpenWallet("open-closed", "EUR", CLOSED),
        OpenWallet("open-lonely", "EUR", LONELY),
    )
    await do(credit("pay-alice", ALICE, 1000, metadata={"invoice": "7"}), credit("pay-bob", BOB, 500))
    await do(debit("withdraw", ALICE, 50), transfer("rent", ALICE, BOB, 100), credit("dollars", DOLLARS, 70))
    split = (Posting(ALICE, BOB, 10), Posting(BOB, CAROL, 20), Posting(None, CAROL, 5), Posting(BOB, None, 3))
    await do(Post("split", split), Post("nothing", (Posting(ALICE, BOB, 5), Posting(BOB, ALICE, 5))))
    await do(credit("lonely-1", LONELY, 30), debit("lonely-2", LONELY, 10), credit("lonely-3", LONELY, 4))
    # The ids of these six are the names above.
    assert ids.upcoming(1) == [EXPIRED]
    await do(
        PlaceHold("hold-expired", ALICE, 100, destination=BOB, expires_in_s=60),
        PlaceHold("hold-captured", ALICE, 40),
        PlaceHold("hold-carried", BOB, 30, destination=CAROL),
        PlaceHold("hold-active", ALICE, 25, destination=CAROL, expires_in_s=3600),
        PlaceHold("hold-also-active", ALICE, 15),
        PlaceHold("hold-released", BOB, 20),
    )
    await do(CaptureHold("capture-part", CAPTURED, 10, final=False), CaptureHold("capture-rest", CAPTURED, 10))
    await do(CaptureHold("capture-some", ALSO_ACTIVE, 5, final=False), CaptureHold("capture-carried", CARRIED))
    await do(ReleaseHold("release", RELEASED))
    clock.advance(100)
    await do(credit("after-expiry", ALICE, 1))
    await do(OpenWallet("open-late", "EUR", id_number(0x9)))
    rent = next(outcome.transaction for outcome in outcomes if isinstance(outcome, Applied) and _key(outcome) == "rent")
    await do(Reverse("unrent", rent.id, metadata={"why": "mistake"}))
    await do(Post("ring", (Posting(ALICE, CAROL, 5), Posting(CAROL, ALICE, 5))))
    await do(
        ChangeWallet("change-alice", ALICE, floor=-50, ceiling=NewCeiling(9_000), metadata={"owner": "Alice"}),
        ChangeWallet("freeze", DOLLARS, WalletStatus.FROZEN),
        ChangeWallet("close", CLOSED, WalletStatus.CLOSED),
    )
    await do(
        debit("too-much", CAROL, 10_000),
        debit("from-frozen", DOLLARS, 1),
        Reverse("unrent-again", rent.id),
        FenceKey("fenced"),
        credit("conflict", ALICE, 1, expected_version=1),
        credit("nobody", NEW, 1),
        credit("after-expiry", ALICE, 1),
    )
    clock.advance(1)
    await ledger.execute(
        OTHER_TENANT, [OpenWallet("open-other", "EUR", ALICE), credit("pay-other", ALICE, 5), FenceKey("fenced")]
    )
    return outcomes


def _key(outcome: Applied) -> str:
    return outcome.transaction.key


async def write_scene(dsn: str) -> Sequence[Outcome]:
    """Do everything in an empty, migrated database. Returns every outcome."""
    owner = create_engine(dsn, pool_size=1)
    service = create_engine(dsn, pool_size=2, role=SERVICE_ROLE, planner=INDEX_ONLY_PLANS)
    clock = Clock()
    try:
        for name in (NAME, OTHER_NAME):
            await Admin(owner).ensure_tenant(name)
        return await play(ClockedStore(PostgresStore(service), lambda _: clock()), clock, CountingIds())
    finally:
        await owner.dispose()
        await service.dispose()


async def go_on(dsn: str, *commands: Command) -> None:
    """Do something more to the ledger, which has to succeed."""
    service = create_engine(dsn, pool_size=1, role=SERVICE_ROLE, planner=INDEX_ONLY_PLANS)
    try:
        outcomes = await BatchLedger(PostgresStore(service), UuidV7()).execute(TENANT, commands)
    finally:
        await service.dispose()
    assert all(isinstance(outcome, Applied) for outcome in outcomes), outcomes


async def prove(
    dsn: str,
    tenant: UUID = TENANT,
    *,
    since: Path | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TenantProof:
    """Prove a tenant, as the service's role; from a checkpoint on, and leaving one, if wished."""
    engine = create_engine(dsn, pool_size=1, role=SERVICE_ROLE, planner=INDEX_ONLY_PLANS, statement_timeout_ms=0)
    try:
        with ExitStack() as stack:
            seen = None if since is None else stack.enter_context(read_checkpoint(since, tenant))
            async with PostgresAudit(engine).view(tenant) as view:
                if checkpoint is None:
                    return await verify_tenant(view, since=seen, progress=progress)
                writer = stack.enter_context(write_checkpoint(checkpoint))
                proof = await verify_tenant(view, since=seen, proved=writer.add)
            if proof.ok:
                writer.keep(tenant, NAME, proof)
            return proof
    finally:
        await engine.dispose()


async def prove_wallet(dsn: str, wallet_id: UUID, tenant: UUID = TENANT) -> WalletProof | None:
    """Prove one wallet, as the service's role."""
    engine = create_engine(dsn, pool_size=1, role=SERVICE_ROLE, planner=INDEX_ONLY_PLANS)
    try:
        async with PostgresAudit(engine).view(tenant) as view:
            wallet = await view.wallet(wallet_id)
            return None if wallet is None else await verify_wallet(view, wallet)
    finally:
        await engine.dispose()
