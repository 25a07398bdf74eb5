"""The failure lab on a service that cannot do all of it."""

import httpx
from playwright.sync_api import expect

from tests.browser.lab import NOT_FOUND, Card, lab_is_off, open_scenario
from tests.browser.service import Truth
from tests.browser.ui import Ui


def test_where_the_lab_is_off_it_says_how_to_switch_it_on(ui: Ui, truth: Truth) -> None:
    lab_is_off(ui)
    ui.go("/lab")
    expect(ui.expect_message("The failure lab is off on this service")).to_contain_text("WALLET_LAB=on make run")
    for title in ("Lost answer", "Slow commit", "Fence"):
        ui.expect_why_not(Card.of(ui.page, title).button("Run"), "The failure lab is off on this service")
    card = open_scenario(ui, "Double spend", "double-spend", requests=3, balance=50, amount=20)
    card.run()
    card.expect_holds()
    assert truth.sums(card.wallet_id()) == (10, 0, 4)


def test_without_redis_there_is_no_cache_to_fail_and_it_says_how_to_have_one(ui: Ui, truth: Truth) -> None:
    card = open_scenario(ui, "Cache down, hung or lying", "cache-failure", cache="down", requests=5, amount=7)
    expect(card.card).to_contain_text("This service runs without Redis")
    expect(card.card).to_contain_text("WALLET_REDIS_URL=redis://127.0.0.1:6379/0 make run")
    ui.expect_why_not(card.button("Run"), "This service runs without Redis, so there is no cache to fail")
    card.card.get_by_label("The cache").select_option("is left alone")
    card.run()
    card.expect_holds()
    assert truth.changes(card.wallet_id()) == [7]


def test_offline_nothing_is_found_out_and_it_runs_when_the_network_is_back(ui: Ui) -> None:
    card = open_scenario(ui, "Racers", "racers", requests=3)
    ui.page.context.set_offline(True)
    card.button("Run").click()
    expect(card.card).to_contain_text("The service does not answer")
    ui.page.context.set_offline(False)
    card.button("Run again").click()
    card.expect_over()
    card.expect_holds()


def test_a_key_that_may_only_read_is_told_why_nothing_runs(ui: Ui) -> None:
    problem = {**NOT_FOUND, "type": "/problems/forbidden", "status": 403, "detail": "The API key lacks the scope write"}
    ui.page.route("**/v1/wallets", lambda route: route.fulfill(status=403, json=problem))
    card = open_scenario(ui, "Racers", "racers")
    card.button("Run").click()
    expect(card.card).to_contain_text("The API key lacks the scope write")


def test_a_link_to_a_page_is_answered_with_the_index(url: str) -> None:
    index = httpx.get(url).text
    for path in ("/lab", "/lab?scenario=fence", "/wallets/0190a0a0-0000-7000-8000-000000000000"):
        assert httpx.get(url + path).text == index
    assert httpx.get(f"{url}/nowhere").status_code == httpx.codes.NOT_FOUND


def test_the_lab_is_loaded_when_somebody_comes_to_it(ui: Ui, url: str) -> None:
    asked: list[str] = []
    ui.page.on("request", lambda request: asked.append(request.url))
    ui.page.get_by_role("link", name="Lab", exact=True).click()
    expect(ui.page.get_by_role("heading", name="Failure lab", level=1)).to_be_visible()
    assert [one for one in asked if "/assets/LabPage" in one]
