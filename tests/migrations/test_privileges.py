"""The service's role reads what it serves, writes what the ledger needs, and rewrites nothing of its history."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from adapters.postgres.schema import SERVICE_ROLE, metadata

ALLOWED = {
    "tenants": {"SELECT"},
    "api_keys": {"SELECT"},
    "wallets": {"SELECT", "INSERT", "UPDATE"},
    "transactions": {"SELECT", "INSERT"},
    "entries": {"SELECT", "INSERT"},
    "holds": {"SELECT", "INSERT", "UPDATE"},
    "replay_secret": {"SELECT"},
    "event_clock": {"SELECT"},
    "audit_log": set(),
    "alembic_version": {"SELECT"},
}
STATEMENTS = {
    "SELECT": "SELECT FROM {table}",
    "INSERT": "INSERT INTO {table} SELECT * FROM {table} WHERE false",
    "UPDATE": "UPDATE {table} SET {column} = {column}",
    "DELETE": "DELETE FROM {table}",
    "TRUNCATE": "TRUNCATE {table}",
}


@pytest.fixture
async def service(migrated: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(migrated, server_settings={"role": SERVICE_ROLE})
    yield connection
    await connection.close()


def test_every_table_is_spoken_of() -> None:
    assert ALLOWED.keys() - {"alembic_version"} == set(metadata.tables)


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("table", ALLOWED)
async def test_the_role_may_do_this_and_nothing_else(service: asyncpg.Connection, table: str, statement: str) -> None:
    column = "version_num" if table == "alembic_version" else next(iter(metadata.tables[table].c)).name
    text = STATEMENTS[statement].format(table=table, column=column)
    if statement in ALLOWED[table]:
        await service.execute(text)
    else:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute(text)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE entries DROP CONSTRAINT entries_pkey",
        "DROP TABLE entries",
        "CREATE TABLE mine (a int)",
        "CREATE TRIGGER t BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE ROLE mine",
        "SET session_replication_role = replica",
        "DROP TRIGGER audit_log_is_append_only ON audit_log",
    ],
)
async def test_the_role_cannot_get_around_that(service: asyncpg.Connection, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute(statement)


async def test_nobody_can_log_in_as_the_role_itself(service: asyncpg.Connection) -> None:
    row = await service.fetchrow(
        "SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication "
        "FROM pg_roles WHERE rolname = $1",
        SERVICE_ROLE,
    )
    assert row is not None
    assert not any(row.values())
