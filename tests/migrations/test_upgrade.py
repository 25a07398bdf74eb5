"""Bringing the schema up to date: once, however often and from wherever it is asked for."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from adapters.postgres import event_clock, migrate
from adapters.postgres.engine import create_engine
from adapters.postgres.migrate import MigrationError, SchemaState, migrations_folder, status, upgrade
from adapters.postgres.schema import SERVICE_ROLE
from tests.databases import execute

UPGRADE_IN_A_PROCESS = """
import asyncio, sys
from adapters.postgres.migrate import upgrade
asyncio.run(upgrade(sys.argv[1]))
"""
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
HEAD = ScriptDirectory(str(migrations_folder())).get_current_head()
LATER = f'''"""A later revision."""

from alembic import op

revision = "later"
down_revision = "{HEAD}"


def upgrade() -> None:
    op.execute("CREATE TABLE later (id int)")
'''
BROKEN = '''"""A revision that fails half way."""

from alembic import op

revision = "broken"
down_revision = "later"


def upgrade() -> None:
    op.execute("CREATE TABLE half (id int)")
    op.execute("SELECT 1 / 0")
'''


def as_user(dsn: str, user: str, password: str) -> str:
    netloc = urlsplit(dsn).netloc
    return dsn.replace(f"//{netloc}", f"//{user}:{password}@{netloc.rpartition('@')[2]}", 1)


async def value(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


@pytest.fixture
def later_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The migrations of a later release, with one more revision. Returns the folder of its revisions."""
    folder = tmp_path / "100%later"
    shutil.copytree(migrations_folder(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "later.py").write_text(LATER)
    monkeypatch.setattr(migrate, "migrations_folder", lambda: folder)
    return folder / "versions"


async def test_an_empty_database_is_absent_and_then_current(empty: str) -> None:
    before = await status(empty)
    assert (before.current, before.state) == (None, SchemaState.ABSENT)
    await upgrade(empty)
    after = await status(empty)
    assert (after.current, after.state) == (before.head, SchemaState.CURRENT)


async def test_a_second_upgrade_changes_nothing(empty: str) -> None:
    oids = "SELECT array_agg(oid ORDER BY oid) FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
    await upgrade(empty)
    first = await value(empty, oids)
    await upgrade(empty)
    assert await value(empty, oids) == first


async def test_many_may_upgrade_at_once_in_one_process_and_in_several(empty: str) -> None:
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", UPGRADE_IN_A_PROCESS, empty) for _ in range(3)
    ]
    await asyncio.gather(*(upgrade(empty) for _ in range(3)))
    assert [await process.wait() for process in processes] == [0, 0, 0]
    assert (await status(empty)).state is SchemaState.CURRENT


async def test_who_waits_too_long_for_another_migration_gives_up(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "LOCK_WAIT_S_MAX", 0.2)
    other = await asyncpg.connect(empty)
    await other.execute(f"SELECT pg_advisory_lock({migrate.LOCK_KEY})")
    with pytest.raises(MigrationError, match="another migration has been running"):
        await upgrade(empty)
    await other.close()


async def test_a_later_release_finds_the_schema_behind_and_upgrades_it(empty: str, later_release: Path) -> None:
    await upgrade(empty)
    await execute(empty, f"UPDATE alembic_version SET version_num = '{HEAD}'", "DROP TABLE later")
    assert (await status(empty)).state is SchemaState.BEHIND
    await upgrade(empty)
    assert (await status(empty)).state is SchemaState.CURRENT
    assert await value(empty, "SELECT to_regclass('later') IS NOT NULL")


async def test_a_database_of_the_first_release_keeps_its_rows_and_gets_a_secret_of_its_own(
    empty: str, tmp_path: Path, create_database: Callable[[], str]
) -> None:
    first = tmp_path / "first"
    shutil.copytree(
        migrations_folder(),
        first,
        ignore=lambda _, names: [name for name in names if name[:4] > "0001" and name[0] == "0"],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrate, "migrations_folder", lambda: first)
        # There were no events then.
        patch.setattr(event_clock, "catch_up", AsyncMock())
        await upgrade(empty)
    await execute(empty, f"INSERT INTO tenants VALUES ('{uuid4()}', 'acme', now())")
    assert (await status(empty)).state is SchemaState.BEHIND
    other = create_database()
    secrets = []
    for dsn in (empty, other):
        await upgrade(dsn)
        secrets.append(await value(dsn, "SELECT secret FROM replay_secret"))
    assert await value(empty, "SELECT name FROM tenants") == "acme"
    assert secrets[0] != secrets[1]
    await upgrade(empty)
    assert await value(empty, "SELECT secret FROM replay_secret") == secrets[0]


async def test_an_older_release_finds_the_schema_ahead_and_leaves_it_alone(empty: str) -> None:
    await upgrade(empty)
    await execute(empty, "UPDATE alembic_version SET version_num = '9999'")
    assert (await status(empty)).state is SchemaState.AHEAD
    await upgrade(empty)
    assert (await status(empty)).current == "9999"


async def test_a_revision_that_fails_leaves_nothing_of_itself_and_no_lock(empty: str, later_release: Path) -> None:
    (later_release / "broken.py").write_text(BROKEN)
    with pytest.raises(DBAPIError, match="division by zero"):
        await upgrade(empty)
    assert (await status(empty)).current == "later"
    assert not await value(empty, "SELECT to_regclass('half') IS NOT NULL")
    (later_release / "broken.py").unlink()
    await upgrade(empty)
    assert (await status(empty)).state is SchemaState.CURRENT


def test_an_installed_package_brings_its_migrations_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "adapters" / "postgres"
    (package / "migrations").mkdir(parents=True)
    monkeypatch.setattr(migrate, "__file__", str(package / "migrate.py"))
    with pytest.raises(MigrationError, match="install the package again"):
        migrations_folder()
    (package / "migrations" / "env.py").touch()
    assert migrations_folder() == package / "migrations"


@pytest.fixture
async def first_revision(empty: str) -> AsyncIterator[Any]:
    """The module of the first revision, with a role of its own: other databases of the server use the real one."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config).get_revision("0001")
    assert script is not None
    module: Any = script.module
    module.SERVICE_ROLE = f"service_{uuid4().hex[:8]}"
    yield module
    await execute(empty, f"DROP ROLE IF EXISTS {module.SERVICE_ROLE}")


@pytest.fixture
async def user(empty: str) -> AsyncIterator[str]:
    """A user without any rights but to connect; the password is ``pw``."""
    name = f"limited_{uuid4().hex[:8]}"
    await execute(empty, f"CREATE ROLE {name} LOGIN PASSWORD 'pw'")
    yield name
    await execute(empty, f"DROP OWNED BY {name} CASCADE", f"DROP ROLE {name}")


async def ensure_role(dsn: str, revision: Any) -> None:
    engine = create_engine(dsn)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(revision.ensure_service_role)
    finally:
        await engine.dispose()


async def test_two_databases_of_one_server_may_be_migrated_at_once(empty: str, first_revision: Any) -> None:
    engine = create_engine(empty)
    async with engine.begin() as connection:
        await connection.run_sync(first_revision.ensure_service_role)
        second = asyncio.create_task(ensure_role(empty, first_revision))
        for _ in range(200):
            if await value(empty, WAITING):
                break
            await asyncio.sleep(0.02)
        assert await value(empty, WAITING) == 1
    await second
    await engine.dispose()


async def test_who_creates_the_role_may_take_it(empty: str, user: str, first_revision: Any) -> None:
    await execute(empty, f"ALTER ROLE {user} CREATEROLE")
    dsn = as_user(empty, user, "pw")
    await ensure_role(dsn, first_revision)
    await execute(dsn, f"SET ROLE {first_revision.SERVICE_ROLE}")
    await execute(empty, f"GRANT {user} TO CURRENT_USER", f"DROP ROLE {first_revision.SERVICE_ROLE}")


async def test_who_may_not_create_the_role_is_told_what_an_administrator_has_to_run(
    empty: str, user: str, first_revision: Any
) -> None:
    role = first_revision.SERVICE_ROLE
    with pytest.raises(CommandError, match=f"CREATE ROLE {role} NOLOGIN; GRANT {role} TO {user};"):
        await ensure_role(as_user(empty, user, "pw"), first_revision)


async def test_who_may_not_take_the_role_is_told_so_and_migrates_after_an_administrator_has_granted_it(
    migrated: str, empty: str, user: str
) -> None:
    # The role is there already: the migrated database is on the same server.
    await execute(empty, f"GRANT CREATE ON SCHEMA public TO {user}")
    dsn = as_user(empty, user, "pw")
    with pytest.raises(MigrationError, match=f"GRANT {SERVICE_ROLE} TO {user};"):
        await upgrade(dsn)
    assert (await status(dsn)).state is SchemaState.ABSENT
    await execute(empty, f"GRANT {SERVICE_ROLE} TO {user}")
    await upgrade(dsn)
    service = create_engine(dsn, role=SERVICE_ROLE)
    async with service.connect() as connection:
        await connection.exec_driver_sql("SELECT FROM wallets")
    await service.dispose()
