"""The service as `make run` starts it, and its truth: what the ledger holds, read through the API past any page."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import attrs
import httpx

API_KEY: Final = "wk_browser_tests_0123456789"
ADDRESS: Final = re.compile(r"http://127\.0\.0\.1:\d+")
STOP_S_MAX: Final = 30

Json = dict[str, Any]


@contextmanager
def serving(data_dir: Path, **settings: str) -> Iterator[str]:
    """The service's address, on a free port, over a real database of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WALLET_")}
    environment = {
        **kept,
        "WALLET_DATA_DIR": str(data_dir),
        "WALLET_PORT": "0",
        "WALLET_BOOTSTRAP_API_KEY": API_KEY,
        "PYTHONUNBUFFERED": "1",
        **settings,
    }
    command = [sys.executable, "-m", "entrypoints.cli", "serve"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as service:
        if service.stdout is None:
            raise RuntimeError("the service has no output")
        try:
            url = next((found[0] for line in service.stdout if (found := ADDRESS.search(line))), None)
            if url is None:
                raise RuntimeError("the service printed no address")
            yield url
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(STOP_S_MAX)


@attrs.frozen
class Truth:
    """What the ledger holds, and writes that come from elsewhere."""

    client: httpx.Client

    @classmethod
    def of(cls, url: str) -> "Truth":
        return cls(httpx.Client(base_url=url, headers={"Authorization": f"Bearer {API_KEY}"}, timeout=30))

    def get(self, path: str, **query: str | int) -> Json:
        answer = self.client.get(path, params=query)
        answer.raise_for_status()
        return dict(answer.json())

    def write(self, method: str, path: str, body: Json, key: str | None = None) -> Json:
        """A write that must succeed."""
        headers = {"Idempotency-Key": key or str(uuid4())}
        answer = self.client.request(method, path, json=body, headers=headers)
        answer.raise_for_status()
        return dict(answer.json())

    def open(self, currency: str = "EUR", *, name: str = "", balance: int = 0, **members: Any) -> str:
        """The id of a new wallet with that balance."""
        metadata = {"name": name} if name else {}
        id = str(self.write("POST", "/v1/wallets", {"currency": currency, "metadata": metadata, **members})["id"])
        if balance:
            self.credit(id, balance)
        return id

    def credit(self, id: str, amount: int) -> Json:
        return self.write("POST", f"/v1/wallets/{id}/credits", {"amount": amount})

    def wallet(self, id: str) -> Json:
        return self.get(f"/v1/wallets/{id}")

    def sums(self, id: str) -> tuple[int, int, int]:
        """Balance, held and version."""
        wallet = self.wallet(id)
        return wallet["balance"], wallet["held"], wallet["version"]

    def entries(self, id: str) -> list[Json]:
        return list(self.get(f"/v1/wallets/{id}/entries", limit=500)["items"])

    def changes(self, id: str) -> list[int]:
        """What moved, oldest first, without the entries that moved nothing."""
        return [entry["change"] for entry in reversed(self.entries(id)) if entry["change"]]

    def holds(self, id: str) -> list[Json]:
        return list(self.get(f"/v1/wallets/{id}/holds")["items"])

    def decision(self, key: str) -> str | None:
        """What was decided under a key: "applied", "rejected" or "fenced"; None if nothing was."""
        answer = self.client.get("/v1/idempotency-keys", params={"key": key})
        return None if answer.status_code == httpx.codes.NOT_FOUND else str(answer.json()["outcome"])

    def is_proved(self, id: str) -> bool:
        """Whether the wallet's whole history checks out."""
        return bool(self.get(f"/v1/wallets/{id}/verification")["ok"])
