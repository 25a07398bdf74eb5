"""A real browser, on the built pages, on the real service, on a real database."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, expect, sync_playwright

from tests.browser.service import Truth, serving
from tests.browser.ui import Ui

ROOT: Final = Path(__file__).resolve().parents[2]
ARTIFACTS: Final = ROOT / "test-artifacts"
CHROMIUM: Final = "/usr/bin/chromium"
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Requests that are refused or lost on purpose: the browser reports them, the page deals with them.
EXPECTED: Final = re.compile(r"Failed to load resource")
WAIT_MS_MAX: Final = 15_000

expect.set_options(timeout=WAIT_MS_MAX)

OpenTab = Callable[..., Ui]


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    assert (ROOT / "src/entrypoints/ui/index.html").is_file(), "the user interface is not built: make ui"
    with serving(tmp_path_factory.mktemp("browser") / "data") as address:
        yield address


@pytest.fixture(scope="session")
def truth(url: str) -> Iterator[Truth]:
    truth = Truth.of(url)
    with truth.client:
        yield truth


# Not for the whole session: while it is there, the library's event loop is in the way of other tests' own.
@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
    yield browser
    browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US", timezone_id="UTC")
    context.set_default_timeout(WAIT_MS_MAX)
    yield context
    context.close()


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What the pages complained of: errors, and breaches of the content security policy. None is passed over."""
    collected: list[str] = []
    yield collected
    assert collected == []


@pytest.fixture
def open_tab(context: BrowserContext, url: str, complaints: list[str]) -> OpenTab:
    """Opens tabs of one browser, signed in."""

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not EXPECTED.search(message.text):
            complaints.append(message.text)

    def open_one(path: str = "/") -> Ui:
        page: Page = context.new_page()
        page.on("console", listen)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        ui = Ui(page, url)
        ui.sign_in(path)
        return ui

    return open_one


@pytest.fixture
def ui(open_tab: OpenTab) -> Ui:
    return open_tab()
