"""Wallets in this process: the embedded database, alone and beside a service that runs on it."""

from pathlib import Path
from uuid import UUID

from tests.cli.people import run
from tests.http.process import serving


def test_a_folder_of_ones_own_is_used_alone_and_beside_its_service(tmp_path: Path) -> None:
    data = {"WALLET_DATA_DIR": str(tmp_path / "data")}
    opened = run("open", "EUR", "--local", "--json", **data)
    assert (opened.code, opened.errors) == (0, "")
    wallet = UUID(opened.json["id"])
    with serving(**data) as service:
        # No URL is given, and the folder is there: another instance over the same database.
        beside = run("credit", wallet, "12.50", "--idempotency-key", "once", **data)
        assert (beside.code, beside.errors) == (0, "")
        over_http = {"WALLET_URL": service.url, "WALLET_API_KEY": service.api_key}
        again = run("credit", wallet, "12.50", "--idempotency-key", "once", **over_http)
        assert "this key was done before" in again.output
        refused = run("debit", wallet, "100", **data)
        assert refused.code == 3
        with_a_url = {**data, "WALLET_URL": "http://127.0.0.1:1", "WALLET_API_KEY": "x"}
        assert run("show", wallet, "--timeout", "0.1", **with_a_url).code == 6
        assert run("show", wallet, "--local", "--key", "wrong", **data).code == 1
