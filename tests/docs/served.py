"""The service as a newcomer starts it: one command, with a PostgreSQL of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STOP_S_MAX = 30
LINK = re.compile(r"(http://127\.0\.0\.1:\d+)/#key=")


@contextmanager
def serving(data_dir: Path) -> Iterator[str]:
    """The service's address, on a free port. It is stopped at the end, and must stop cleanly."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WALLET_")}
    environment = {**kept, "WALLET_DATA_DIR": str(data_dir), "WALLET_PORT": "0", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "entrypoints.cli", "serve"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as service:
        if service.stdout is None:
            raise RuntimeError("the service has no output")
        try:
            url = next((found[1] for line in service.stdout if (found := LINK.search(line))), None)
            if url is None:
                raise RuntimeError("the service printed no link")
            yield url
        finally:
            service.send_signal(signal.SIGTERM)
            code = service.wait(STOP_S_MAX)
    assert code == 0
