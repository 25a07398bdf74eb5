"""The view of a tenant that a proof has: of one instant, read only, found by index, and honest about failures."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.audit import PostgresAudit
from adapters.postgres.audit_statements import ENTRIES
from adapters.postgres.engine import INDEX_ONLY_PLANS, create_engine
from adapters.postgres.schema import SERVICE_ROLE
from tests.databases import execute
from tests.support.plans import BY_INDEX, OF_PARAMETERS, Explained, Recorder
from tests.verification.scene import ALICE, BOB, NAME, OTHER_NAME, OTHER_TENANT, TENANT, go_on
from wallet_core import credit
from wallet_core.audit import AuditEntry
from wallet_core.ports import Unavailable
from wallet_core.verify import AuditView, verify_tenant

END_ALL_OTHERS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture
async def engine(scene: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(scene, pool_size=1, role=SERVICE_ROLE, planner=INDEX_ONLY_PLANS)
    yield engine
    await engine.dispose()


async def test_tenants_are_listed_by_name(engine: AsyncEngine) -> None:
    assert list((await PostgresAudit(engine).tenants()).items()) == [(NAME, TENANT), (OTHER_NAME, OTHER_TENANT)]


async def test_everything_is_of_one_instant(scene: str, engine: AsyncEngine) -> None:
    async with PostgresAudit(engine).view(TENANT) as view:
        before = await view.totals()
        await go_on(scene, credit("meanwhile", ALICE, 1))
        wallet = await view.wallet(ALICE)
        assert wallet is not None
        entries = [entry async for portion in view.entries({wallet.id: 1}) for entry in portion]
        assert (wallet.version, len(entries)) == (18, 18)
        assert await view.totals() == before
    async with PostgresAudit(engine).view(TENANT) as view:
        # The write has expired the hold whose time was past, too.
        assert (await view.totals()).entries == before.entries + 2


async def test_a_row_has_the_members_of_an_entry_in_their_order(engine: AsyncEngine) -> None:
    async with PostgresAudit(engine).view(TENANT) as view:
        async for portion in view.entries({str(ALICE): 1}):
            rows = cast(Sequence[Mapping[str, object]], portion)
            assert all(tuple(row.keys()) == AuditEntry._fields for row in rows)


async def test_its_connection_may_write_again_afterwards(engine: AsyncEngine) -> None:
    shown = "SELECT current_setting('transaction_isolation') || ', ' || current_setting('transaction_read_only')"
    async with PostgresAudit(engine).view(TENANT) as view:
        await view.totals()
    async with engine.connect() as connection:
        assert (await connection.execute(text(shown))).scalar_one() == "read committed, off"


async def test_a_database_that_goes_away_is_unavailable(scene: str, engine: AsyncEngine) -> None:
    audit = PostgresAudit(engine)

    async def ask(question: Callable[[AuditView], Awaitable[object]]) -> None:
        async with audit.view(TENANT) as view:
            await view.totals()
            await execute(scene, END_ALL_OTHERS)
            await question(view)

    for question in (verify_tenant, lambda view: anext(view.entries({str(ALICE): 1}))):
        with pytest.raises(Unavailable):
            await ask(question)
    async with audit.view(TENANT) as view:
        assert (await verify_tenant(view)).ok


async def test_what_its_user_does_wrong_is_not_laid_to_the_database(engine: AsyncEngine) -> None:
    with pytest.raises(OSError, match="no space"):
        async with PostgresAudit(engine).view(TENANT):
            raise OSError("no space")


@pytest.mark.parametrize("before", [[], ["VACUUM ANALYZE"]], ids=["without statistics", "with statistics"])
async def test_entries_come_by_index_in_their_order_and_nothing_is_sorted(
    own_scene: str, before: Sequence[str]
) -> None:
    """The order of entries follows from the plan: look-ups row by row, of which none waits for all rows."""
    await execute(own_scene, *before)
    engine = create_engine(own_scene, pool_size=1, role=SERVICE_ROLE, planner=INDEX_ONLY_PLANS)
    recorder = Recorder(engine)
    try:
        async with PostgresAudit(engine).view(TENANT) as view:
            assert (await verify_tenant(view)).ok
        explained = await recorder.explain()
        (plan,) = await plan_of_entries(engine)
    finally:
        await engine.dispose()
    nodes = {node["Node Type"] for node in _nodes(plan["Plan"])}
    assert nodes == {"Nested Loop", "ProjectSet", "Result", "Index Scan"}, plan
    for one in explained:
        assert node_types(one) <= BY_INDEX | OF_PARAMETERS | {"Nested Loop", "Aggregate", "Limit"}, str(one)


async def plan_of_entries(engine: AsyncEngine) -> Any:
    """How the entries of two wallets are found; of the ways to run it, a cursor's is not seen by the recorder."""
    compiled = ENTRIES.compile(dialect=dialect())  # type: ignore[no-untyped-call] # the library publishes it without types
    bound = {"tenant": TENANT, "x_wallet_id": [ALICE, BOB], "x_version": [1, 5]}
    async with engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        arguments = [bound[name] for name in compiled.positiontup or ()]
        return json.loads(await driver.fetchval(f"EXPLAIN (FORMAT JSON) {compiled}", *arguments))


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def node_types(explained: Explained) -> set[str]:
    return {node["Node Type"] for node in explained.nodes()}
