"""The failure lab's page, as people use it."""

import re
from typing import Any, Final
from urllib.parse import urlencode

import attrs
from playwright.sync_api import Locator, Page, expect

from tests.browser.ui import Ui

RUN_MS_MAX: Final = 30_000

NOT_FOUND: Final = {
    "type": "/problems/not-found",
    "title": "There is nothing here",
    "status": 404,
    "detail": "",
    "instance": "/v1/lab",
    "outcome": "not_applied",
    "retry": "never",
}


@attrs.frozen
class Card:
    """One scenario on the page."""

    page: Page
    card: Locator

    @classmethod
    def of(cls, page: Page, title: str) -> "Card":
        return cls(page, page.get_by_role("article", name=title, exact=True))

    def button(self, name: str) -> Locator:
        return self.card.get_by_role("button", name=name, exact=True)

    def run(self) -> None:
        """Start it, and wait until it is over."""
        self.card.get_by_role("button", name=re.compile("^Run")).click()
        self.expect_over()

    def expect_over(self) -> None:
        expect(self.button("Export as JSON")).to_be_visible(timeout=RUN_MS_MAX)

    def expect_holds(self) -> None:
        expect(self.card.get_by_role("status")).to_contain_text("The promise holds")
        expect(self.card.get_by_label("Does not hold")).to_have_count(0)

    def expect_broken(self) -> None:
        expect(self.card.get_by_role("alert")).to_contain_text("The promise does not hold")

    def outcomes(self) -> dict[str, int]:
        """How many requests came to what, as the legend has it."""
        items = self.card.get_by_role("list", name="Outcomes").get_by_role("listitem").all_inner_texts()
        pairs = [item.strip().split(" ", 1) for item in items]
        return {words: int(number) for number, words in pairs}

    def lanes(self) -> Locator:
        return self.card.get_by_role("list", name=re.compile("^Requests")).get_by_role("button")

    def statement(self, text: str) -> Locator:
        return self.card.get_by_role("listitem").filter(has_text=text)

    def wallet_id(self) -> str:
        """The id of the wallet that the scenario opened."""
        address = self.card.get_by_role("link", name="To the wallet").get_attribute("href") or ""
        return address.rsplit("/", 1)[1]


def open_scenario(ui: Ui, title: str, scenario: str, **values: Any) -> Card:
    """The scenario's card, as a link with these values shows it."""
    ui.go(f"/lab?{urlencode({'scenario': scenario, **values})}")
    card = Card.of(ui.page, title)
    expect(card.card).to_be_visible()
    return card


def lab_is_off(ui: Ui) -> None:
    """As a service with WALLET_LAB=off answers."""
    ui.page.route("**/v1/lab", lambda route: route.fulfill(status=404, json=NOT_FOUND))
