"""A migration that meets a writer who takes the same tables in another order."""

import asyncio
import shutil
from pathlib import Path

import asyncpg
import pytest

from adapters.postgres import beside_writers, migrate
from adapters.postgres.migrate import SchemaState, migrations_folder, status, upgrade
from tests.migrations.test_upgrade import HEAD
from tests.support.waits import until

LATER = f'''"""A later revision, of two tables."""

from alembic import op

revision = "later"
down_revision = "{HEAD}"


def upgrade() -> None:
    op.execute("ALTER TABLE wallets ADD COLUMN note text")
    op.execute("ALTER TABLE entries ADD COLUMN note text")
'''
WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'entries'::regclass"


@pytest.mark.parametrize("attempts_max", [2, 1])
async def test_a_deadlock_with_a_writer_is_tried_again(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attempts_max: int
) -> None:
    """With one attempt only, which is what there was, the upgrade fails."""
    folder = tmp_path / "later"
    shutil.copytree(migrations_folder(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "later.py").write_text(LATER)
    monkeypatch.setattr(migrate, "migrations_folder", lambda: folder)
    monkeypatch.setattr(beside_writers, "ATTEMPTS_MAX", attempts_max)
    writer = await asyncpg.connect(database)
    observer = await asyncpg.connect(database)
    writing = writer.transaction()
    await writing.start()
    await writer.execute("LOCK TABLE entries IN ROW EXCLUSIVE MODE")
    upgrading = asyncio.create_task(upgrade(database))
    await until(lambda: observer.fetchval(WAITS))
    # Each waits for the other now. The upgrade has waited for longer, so it notices first, and is the one to give way.
    await writer.execute("LOCK TABLE wallets IN ROW EXCLUSIVE MODE")
    await writing.commit()
    for session in (writer, observer):
        await session.close()
    if attempts_max == 1:
        with pytest.raises(Exception, match="deadlock detected"):
            await upgrading
        assert (await status(database)).state is SchemaState.BEHIND
    else:
        await upgrading
        assert (await status(database)).state is SchemaState.CURRENT
