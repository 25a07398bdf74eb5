"""What people do on the pages, in their terms."""

import json
from collections.abc import Callable
from typing import Any, Final, Literal

import attrs
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.service import API_KEY

WRITES: Final = "**/v1/**"

SKIP_MS: Final = 500
"""A part of a pause, so that what follows on one is seen before the next is skipped."""
LOOK_AGAIN_MS: Final = 20
SKIPS_MAX: Final = 100


@attrs.frozen
class Ui:
    """One tab."""

    page: Page
    url: str

    def sign_in(self, path: str = "/") -> None:
        """Come in by a link that carries the key."""
        self.page.goto(f"{self.url}{path}#key={API_KEY}")
        expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    def go(self, path: str) -> None:
        self.page.goto(self.url + path)

    def follow(self, path: str) -> None:
        """Go there as a link of the page does: without loading the page anew."""
        self.page.evaluate("(path) => history.pushState(null, '', path)", path)

    def go_to_wallet(self, id: str) -> None:
        self.go(f"/wallets/{id}")
        expect(self.page.get_by_test_id("balance")).to_be_visible()

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def dialog(self) -> Locator:
        return self.page.get_by_role("dialog")

    def choose(self, action: str) -> Locator:
        """The form of one of the wallet's actions."""
        self.button(action).click()
        expect(self.dialog()).to_be_visible()
        return self.dialog()

    def move(self, action: str, amount: str, *, note: str = "") -> None:
        """Fill in the form of an action and send it."""
        form = self.choose(action)
        form.get_by_label("Amount").fill(amount)
        if note:
            form.get_by_label("Note").fill(note)
        form.locator("button[type=submit]").click()

    def expect_message(self, text: str) -> Locator:
        """The message that says so."""
        message = self.page.locator(".mantine-Alert-root", has_text=text)
        expect(message).to_be_visible()
        return message

    def hurry(self) -> None:
        """Let a test have the page's clock, from the next page on. It goes on by itself until then."""
        self.page.clock.install()

    def expect_in_the_end(self, text: str) -> Locator:
        """The message that says so once all attempts are made, whose pauses are skipped; see ``hurry``."""
        message = self.page.locator(".mantine-Alert-root", has_text=text)
        for _ in range(SKIPS_MAX):
            if message.is_visible():
                break
            self.page.clock.fast_forward(SKIP_MS)
            # Here what is sent meanwhile is dealt with.
            self.page.wait_for_timeout(LOOK_AGAIN_MS)
        return self.expect_message(text)

    def expect_balance(self, text: str) -> None:
        expect(self.page.get_by_test_id("balance")).to_have_text(text)

    def expect_version(self, version: int) -> None:
        expect(self.page.get_by_test_id("version")).to_contain_text(f"Version {version},")

    def expect_why_not(self, button: Locator, reason: str) -> None:
        """The button does nothing, and says why: to eyes and to screen readers."""
        expect(button).to_have_attribute("aria-disabled", "true")
        expect(button).to_have_accessible_description(reason)
        button.hover()
        expect(self.page.get_by_role("tooltip").filter(has_text=reason).first).to_be_visible()
        self.page.mouse.move(0, 0)

    def expect_unread(self) -> None:
        """There is nothing that waits to be settled, on this page or for the next one."""
        kept = self.page.evaluate("Object.keys(localStorage).filter((name) => name.startsWith('wallet.intent.'))")
        assert kept == []


Deed = Literal["pass", "lose request", "lose answer", "hang before", "hang after", "answer instead"]


@attrs.define(slots=False)
class Wire:
    """Stands between a page and the service for writes, and does to them what a test says; then it lets them pass.

    It stays until the end: taking it away would let through what hangs. (No slots: the library marks its listeners.)
    """

    page: Page
    deeds: list[Deed] = attrs.field(factory=list)
    """What to do to the next writes. The service carries out all but those that are lost or hang before it."""
    answer: tuple[int, dict[str, Any]] = (0, {})
    """Status and body to answer with instead."""
    keys: list[str] = attrs.field(factory=list)
    bodies: list[Any] = attrs.field(factory=list)
    on_deed: Callable[[], None] | None = None

    def __attrs_post_init__(self) -> None:
        self.page.route(WRITES, self._deal_with)

    def _deal_with(self, route: Route) -> None:
        request = route.request
        if "idempotency-key" not in request.headers:
            route.fallback()
            return
        self.keys.append(request.headers["idempotency-key"])
        self.bodies.append(request.post_data_json)
        deed = self.deeds.pop(0) if self.deeds else "pass"
        if deed in ("lose answer", "hang after", "answer instead"):
            route.fetch()
        if self.on_deed and deed != "pass":
            self.on_deed()
        match deed:
            case "pass":
                route.continue_()
            case "lose request" | "lose answer":
                route.abort("connectionreset")
            case "answer instead":
                status, body = self.answer
                route.fulfill(status=status, content_type="application/problem+json", body=json.dumps(body))
            case "hang before" | "hang after":
                pass


@attrs.define(slots=False)
class DeafTo:
    """Keeps a page from hearing anything of a wallet for a while, as if it slept."""

    page: Page
    wallet_id: str
    is_deaf: bool = True

    def __attrs_post_init__(self) -> None:
        self.page.route(f"**/v1/wallets/{self.wallet_id}", self._deal_with)

    def _deal_with(self, route: Route) -> None:
        if self.is_deaf:
            route.abort()
        else:
            route.continue_()


def problem(status: int, slug: str, outcome: str, retry: str) -> tuple[int, dict[str, Any]]:
    """A problem as the service would give it."""
    members = {"title": slug, "status": status, "detail": slug, "instance": "/", "outcome": outcome, "retry": retry}
    return status, {"type": f"/problems/{slug}", **members}
