"""The commands for people need nothing of the service, and nobody waits for what was not asked for."""

import subprocess
import sys
from typing import Final

from tests.cli.people import Person
from tests.http.process import environment

SERVICE: Final = ("alembic", "asyncpg", "litestar", "msgspec", "psutil", "redis", "sqlalchemy", "uvicorn", "uvloop")
WITHOUT_THE_SERVICE: Final = f"""
import sys
for name in {SERVICE!r}:
    sys.modules[name] = None
from entrypoints.wallet import main
"""


def python(script: str, person: Person) -> "subprocess.CompletedProcess[str]":
    settings = environment({"WALLET_URL": person.url, "WALLET_API_KEY": person.api_key})
    run = [sys.executable, "-c", script]
    return subprocess.run(run, env=settings, capture_output=True, text=True, timeout=60, check=False)


def test_they_run_where_the_service_is_not_installed(person: Person) -> None:
    script = WITHOUT_THE_SERVICE + (
        "for words in (['--help'], ['open', 'EUR'], ['list'], ['serve'], ['list', '--local']):\n"
        "    try:\n"
        "        main(words, prog_name='wallet')\n"
        "    except SystemExit as end:\n"
        "        print('code', end.code)\n"
    )
    done = python(script, person)
    codes = [line for line in done.stdout.splitlines() if line.startswith("code")]
    assert codes == ["code 0", "code 0", "code 0", "code 1", "code 1"], done.stderr
    assert [line for line in done.stderr.splitlines() if "install wallet-service[all]" not in line] == []


def test_help_waits_neither_for_the_client_nor_for_the_service(person: Person) -> None:
    script = (
        "import sys\n"
        "from entrypoints.wallet import main\n"
        "for words in (['--help'], ['credit', '--help'], ['completion', 'bash']):\n"
        "    try:\n"
        "        main(words, prog_name='wallet')\n"
        "    except SystemExit:\n"
        "        pass\n"
        f"print('imported', [name for name in {('httpx', 'iso4217', *SERVICE)!r} if name in sys.modules])\n"
    )
    done = python(script, person)
    assert done.stdout.splitlines()[-1] == "imported []", done.stderr
