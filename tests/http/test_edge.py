"""What every answer carries, and the pages beside the API."""

from pathlib import Path

import pytest

from adapters.memory import MemoryStore
from entrypoints.http.app import create_app
from entrypoints.http.service import Service
from entrypoints.http.ui import UserInterface
from tests.http.api import Api, KnownKeys, client_of, problem_of
from tests.http.problem_scenarios import Always
from wallet_core.outcomes import Overloaded


async def test_a_request_id_is_echoed_or_made(api: Api) -> None:
    for path in ("/v1/wallets", "/v1/nowhere", "/health/live", "/", "/schema"):
        assert (await api.get(path, headers={"x-request-id": "abc-123"})).headers["x-request-id"] == "abc-123"
    made = {(await api.get("/health/live")).headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3


@pytest.mark.parametrize("id", ["", "a b", "x" * 129, "ä", "a\tb"])
async def test_a_request_id_that_is_not_fit_to_be_echoed_is_replaced(api: Api, id: str) -> None:
    answer = await api.client.get("/health/live", headers=[(b"x-request-id", id.encode())])
    echoed = answer.headers["x-request-id"]
    assert echoed.isascii()
    assert 1 <= len(echoed) <= 128
    assert echoed != id


async def test_no_answer_with_money_in_it_is_kept_in_a_cache(api: Api) -> None:
    wallet = await api.new_wallet()
    for path in ("/v1/wallets", f"/v1/wallets/{wallet}", "/v1/nowhere", "/health/ready"):
        answer = await api.get(path)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_every_answer_to_a_write_says_whether_it_is_a_replay(api: Api) -> None:
    answers = [
        await api.send("POST", "/v1/nowhere"),
        await api.send("PATCH", "/v1/wallets"),
        await api.send("POST", "/v1/wallets", api_key=None),
        await api.send("POST", "/v1/wallets"),
        await api.send("POST", "/v1/batches", {}),
        await api.send("POST", "/v1/fences", {"key": "k"}),
        await api.post("/v1/wallets", {"currency": "EUR"}),
    ]
    assert [answer.headers["idempotent-replayed"] for answer in answers] == ["false"] * len(answers)
    assert "idempotent-replayed" not in (await api.get("/v1/wallets")).headers


async def test_without_a_built_user_interface_a_page_says_so(api: Api, tmp_path: Path) -> None:
    async with client_of(app_with_ui(tmp_path)) as client:
        page = await client.get("/")
        assert page.status_code == 200
        assert "/schema" in page.text
        assert (await client.get("/assets/index.js")).status_code == 404


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder with a built user interface, and a file beside it that is not to be served."""
    (tmp_path / "secret.txt").write_text("secret")
    ui = tmp_path / "ui"
    (ui / "assets" / "fonts").mkdir(parents=True)
    (ui / "index.html").write_text("<!doctype html><title>Wallets</title>")
    (ui / "secret.txt").write_text("secret")
    (ui / "assets" / "index-1a2b.js").write_text("export {}")
    (ui / "assets" / "fonts" / "text.woff2").write_bytes(b"wOF2")
    return ui


def app_with_ui(folder: Path) -> object:
    service = Service(Always(Overloaded()), MemoryStore(), MemoryStore(), KnownKeys(), 1.0)
    return create_app(service, ui=UserInterface(folder))


async def test_the_user_interface_is_served_under_a_strict_policy(built: Path) -> None:
    async with client_of(app_with_ui(built)) as client:
        page = await client.get("/")
        assert "<title>Wallets</title>" in page.text
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["cache-control"] == "no-cache"
        assert "default-src 'none'; script-src 'self'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        script = await client.get("/assets/index-1a2b.js")
        assert (script.status_code, script.text) == (200, "export {}")
        assert script.headers["content-type"].startswith("text/javascript")
        assert "immutable" in script.headers["cache-control"]
        assert (await client.get("/assets/fonts/text.woff2")).content == b"wOF2"


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../secret.txt",
        "/assets/..%2Fsecret.txt",
        "/assets/..%2F..%2Fsecret.txt",
        "/assets/%2e%2e/secret.txt",
        "/assets//etc/passwd",
        "/assets/%2Fetc%2Fpasswd",
        "/assets/fonts",
        "/assets/",
        "/assets",
        "/secret.txt",
        "/index.html",
        "/assets/index-1a2b.js%00",
    ],
)
async def test_nothing_but_the_assets_is_served(built: Path, path: str) -> None:
    async with client_of(app_with_ui(built)) as client:
        answer = await client.get(path)
        assert (answer.status_code, problem_of(answer)) == (404, "not-found")
