"""The migrations and the table metadata describe one schema, down to what autogenerate does not look at."""

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, ForeignKeyConstraint, PrimaryKeyConstraint, UniqueConstraint

from adapters.postgres.engine import create_engine
from adapters.postgres.schema import metadata

CATALOG = {
    "constraints": """
        SELECT conrelid::regclass::text, conname, contype, convalidated, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = current_schema()::regnamespace""",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()",
    "columns": """
        SELECT attrelid::regclass::text, attnum, attname, format_type(atttypid, atttypmod), attnotnull,
               attcollation::regcollation::text, pg_get_expr(adbin, adrelid), col_description(attrelid, attnum)
        FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid AND relkind = 'r' AND relnamespace = current_schema()::regnamespace
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attnum > 0 AND NOT attisdropped""",
    "relations": """
        SELECT relname, relkind, reloptions, relpersistence FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace""",
}


async def described(dsn: str) -> dict[str, set[tuple[object, ...]]]:
    """What the catalogs say of everything in the schema, but for the migrations' own table."""
    connection = await asyncpg.connect(dsn)
    try:
        found = {}
        for part, query in CATALOG.items():
            rows = {_hashable(row) for row in await connection.fetch(query)}
            found[part] = {row for row in rows if not str(row[0]).startswith("alembic_version")}
        return found
    finally:
        await connection.close()


def _hashable(row: asyncpg.Record) -> tuple[object, ...]:
    return tuple(tuple(value) if isinstance(value, list) else value for value in row)


@pytest.fixture
async def made_of_metadata(empty: str) -> str:
    engine = create_engine(empty)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await engine.dispose()
    return empty


async def test_autogenerate_finds_nothing_to_migrate(migrated: str) -> None:
    def differences(connection: Connection) -> list[object]:
        options = {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    engine = create_engine(migrated, json_as_text=False)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_the_catalogs_are_equal_too(migrated: str, made_of_metadata: str) -> None:
    expected = await described(made_of_metadata)
    assert all(expected.values())
    assert await described(migrated) == expected


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("constraints", "ALTER TABLE holds DROP CONSTRAINT holds_amount_check"),
        ("constraints", "ALTER TABLE wallets DROP CONSTRAINT wallets_tenant_id_fkey"),
        ("indexes", "DROP INDEX holds_due_idx"),
        ("columns", "COMMENT ON COLUMN wallets.head IS NULL"),
        ("columns", 'ALTER TABLE transactions ALTER idempotency_key TYPE text COLLATE "POSIX"'),
        ("columns", "ALTER TABLE entries ALTER version SET DEFAULT 1"),
        ("relations", "ALTER TABLE wallets RESET (fillfactor)"),
    ],
)
async def test_the_comparison_sees_a_difference(migrated: str, made_of_metadata: str, part: str, change: str) -> None:
    connection = await asyncpg.connect(made_of_metadata)
    await connection.execute(change)
    await connection.close()
    assert (await described(migrated))[part] != (await described(made_of_metadata))[part]


def test_every_key_starts_with_the_tenant() -> None:
    keys = [
        constraint
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint | ForeignKeyConstraint)
    ]
    assert len(keys) > len(metadata.tables)
    others = {key.name for key in keys if next(iter(key.columns)).name != "tenant_id"}
    assert others == {"tenants_pkey", "replay_secret_pkey", "event_clock_pkey"}


async def test_the_write_path_meets_no_sequence_trigger_function_or_default(owner: asyncpg.Connection) -> None:
    in_schema = "= current_schema()::regnamespace"
    assert await owner.fetch(f"SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace {in_schema}") == []
    # The one exception is far from it: it keeps the log of administration from being changed.
    functions = await owner.fetch(f"SELECT proname FROM pg_proc WHERE pronamespace {in_schema}")
    assert [name for (name,) in functions] == ["refuse_to_change_audit_log"]
    triggers = await owner.fetch("SELECT tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal")
    assert [table for (table,) in triggers] == ["audit_log"]
    # Those of an event's place are for writers of the release before; the service's own statement brings both.
    columns = "SELECT attname FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum ORDER BY 1"
    assert [name for (name,) in await owner.fetch(columns)] == ["lsn", "position"]
