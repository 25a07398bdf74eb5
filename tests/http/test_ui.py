"""The built user interface over HTTP: compressed as the client takes it, cached as its names allow, and at every path
of its pages."""

import gzip
from pathlib import Path

import pytest

from adapters.memory import MemoryStore
from entrypoints.http.app import create_app
from entrypoints.http.service import Service
from entrypoints.http.ui import UserInterface
from tests.http.api import KnownKeys, client_of, problem_of
from tests.http.problem_scenarios import Always
from wallet_core.outcomes import Overloaded

SCRIPT = "/assets/index-1a2b.js"
CONTENT = b"export {}; // " + b"x" * 200
GZIPPED = gzip.compress(CONTENT)
BROTLI = b"as the build left it"


@pytest.fixture
def app(tmp_path: Path) -> object:
    """With a script in both compressed forms, and a picture in none."""
    assets = tmp_path / "assets"
    assets.mkdir()
    (tmp_path / "index.html").write_bytes(b"<!doctype html><title>Wallets</title>")
    (tmp_path / "index.html.gz").write_bytes(gzip.compress(b"<!doctype html><title>Wallets</title>"))
    (assets / "index-1a2b.js").write_bytes(CONTENT)
    (assets / "index-1a2b.js.gz").write_bytes(GZIPPED)
    (assets / "index-1a2b.js.br").write_bytes(BROTLI)
    (assets / "logo-3c4d.svg").write_bytes(b"<svg/>")
    service = Service(Always(Overloaded()), MemoryStore(), MemoryStore(), KnownKeys(), 1.0)
    return create_app(service, ui=UserInterface(tmp_path))


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("BR;q=0.1, gzip", "br"),
        ("gzip, deflate", "gzip"),
        ("gzip;q=1.0, br;q=0", "gzip"),
        ("br ; q=0.000 , gzip ; q=0.5", "gzip"),
        ("deflate", None),
        ("br;q=0, gzip;q=0.0", None),
        ("identity", None),
        ("", None),
        ("brotli, xgzip", None),
    ],
)
async def test_an_asset_comes_in_the_best_coding_that_the_client_takes(
    app: object, accepted: str, coding: str | None
) -> None:
    async with client_of(app) as client, client.stream("GET", SCRIPT, headers={"accept-encoding": accepted}) as answer:
        body = b"".join([part async for part in answer.aiter_raw()])
    assert answer.headers.get("content-encoding") == coding
    assert body == {"br": BROTLI, "gzip": GZIPPED, None: CONTENT}[coding]
    assert answer.headers["content-length"] == str(len(body))


@pytest.mark.parametrize("accepted", ["br", "gzip", "identity"])
async def test_a_cache_is_told_that_the_coding_depends_on_the_client(app: object, accepted: str) -> None:
    async with client_of(app) as client, client.stream("GET", SCRIPT, headers={"accept-encoding": accepted}) as answer:
        assert answer.headers["vary"] == "accept-encoding"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_what_was_not_compressed_comes_as_it_is(app: object) -> None:
    async with client_of(app) as client:
        answer = await client.get("/assets/logo-3c4d.svg", headers={"accept-encoding": "br, gzip"})
    assert "content-encoding" not in answer.headers
    assert answer.content == b"<svg/>"


@pytest.mark.parametrize("path", ["/assets/index-1a2b.js.br", "/assets/index-1a2b.js.gz"])
async def test_a_compressed_form_is_no_file_of_its_own(app: object, path: str) -> None:
    async with client_of(app) as client:
        answer = await client.get(path)
    assert (answer.status_code, problem_of(answer)) == (404, "not-found")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/lab",
        "/lab?scenario=fence&delay_ms=700",
        "/wallets/0190a0a0-0000-7000-8000-000000000000",
        "/wallets/0190a0a0-0000-7000-8000-000000000000/transactions/0190a0a0-0000-7000-8000-000000000001",
    ],
)
async def test_a_link_to_any_page_gets_the_page_which_is_never_kept(app: object, path: str) -> None:
    async with client_of(app) as client:
        answer = await client.get(path)
    assert "<title>Wallets</title>" in answer.text
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/labs", "/lab/x", "/wallet", "/v1/wallets/x/y"])
async def test_what_is_no_page_is_not_answered_with_one(app: object, path: str) -> None:
    async with client_of(app) as client:
        answer = await client.get(path, headers={"authorization": "Bearer all"})
    assert (answer.status_code, problem_of(answer)) == (404, "not-found")
