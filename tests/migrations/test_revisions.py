"""What each start asks about migrations is answered without Alembic, and as Alembic would."""

import subprocess
import sys

from alembic.script import ScriptDirectory

from adapters.postgres.migrate import head, migrations_folder, revisions

STATUS = """
import asyncio, sys
from entrypoints import bootstrap
from adapters.postgres.migrate import status
print(asyncio.run(status(sys.argv[1])).state.value, "alembic" in sys.modules)
"""


def test_revisions_are_those_that_alembic_finds() -> None:
    scripts = ScriptDirectory(str(migrations_folder()))
    assert revisions() == {script.revision: script.down_revision for script in scripts.walk_revisions()}
    assert head() == scripts.get_current_head()


def test_a_start_imports_no_alembic(database: str) -> None:
    run = subprocess.run([sys.executable, "-c", STATUS, database], capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["current", "False"], run.stderr
