"""A real browser on a page of another origin: it may call the API where that origin is named, and nowhere else."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS
from tests.security.conftest import Secured, shop

OPEN_A_WALLET = """async ([url, key]) => {
  try {
    const answer = await fetch(`${url}/v1/wallets`, {
      method: "POST",
      headers: {Authorization: `Bearer ${key}`, "Content-Type": "application/json", "Idempotency-Key": "in-a-browser"},
      body: JSON.stringify({currency: "EUR"}),
    });
    const names = ["Location", "Idempotent-Replayed", "X-Request-Id"];
    return [answer.status, ...names.map((name) => answer.headers.get(name) !== null)];
  } catch (error) {
    return [error.name];
  }
}"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser.new_page()
        browser.close()


@pytest.fixture
def complaints(page: Page) -> list[str]:
    """What the browser says of what it did not do."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    return said


def test_a_page_of_a_named_origin_writes_and_reads_what_it_needs(secured: Secured, page: Page) -> None:
    page.goto(secured.shop)
    asked = [secured.service.url, secured.new_key("read", "write")]
    assert page.evaluate(OPEN_A_WALLET, asked) == [201, True, True, True]


def test_a_page_of_another_origin_does_not_get_to_ask(secured: Secured, page: Page, complaints: list[str]) -> None:
    secret = secured.new_key("read", "write", tenant="untouched")
    with shop() as other:
        page.goto(other)
        assert page.evaluate(OPEN_A_WALLET, [secured.service.url, secret]) == ["TypeError"]
    assert "No 'Access-Control-Allow-Origin' header" in " ".join(complaints)
    with secured.client(secret) as client:
        assert client.get("/v1/transactions").json()["items"] == []


def test_the_service_s_own_page_shows_in_no_frame_of_others(secured: Secured, page: Page) -> None:
    page.goto(secured.shop)
    loaded = """async (url) => {
      const frame = document.body.appendChild(document.createElement("iframe"));
      const loaded = new Promise((resolve) => { frame.onload = resolve; });
      frame.src = url;
      await loaded;
      // What may not be shown is replaced by a page of the browser's own, which nobody may look into either.
      try { return frame.contentDocument !== null; } catch { return false; }
    }"""
    assert page.evaluate(loaded, f"{secured.service.url}/") is False
    frame = page.frames[-1]
    assert frame.url.startswith("chrome-error://")
