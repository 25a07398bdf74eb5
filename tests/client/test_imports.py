"""The client is a library: whoever uses it needs nothing of the service."""

import subprocess
import sys

FOREIGN = ("litestar", "sqlalchemy", "redis", "asyncpg", "uvicorn", "msgspec", "alembic", "entrypoints")


def test_the_client_imports_nothing_of_the_service() -> None:
    script = (
        "import sys, adapters.http_client as client\n"
        "assert client.WalletClient and client.HttpLedger and client.HttpReader\n"
        f"print([name for name in {FOREIGN!r} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout.strip()) == (0, "[]"), run.stderr
