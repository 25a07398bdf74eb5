"""The failure lab's page: links, exports, stopping, and the timeline for those who see it and those who do not."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.lab import Card, open_scenario
from tests.browser.service import API_KEY, Truth
from tests.browser.ui import Ui

OpenTab = Callable[..., Ui]


def test_a_link_is_copied_with_the_parameters_and_without_the_key(ui: Ui, open_tab: OpenTab) -> None:
    ui.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    card = open_scenario(ui, "Fence", "fence")
    card.card.get_by_label("Held up for").fill("700")
    card.button("Copy a link to Fence").click()
    link = ui.page.evaluate("navigator.clipboard.readText()")
    assert link == f"{ui.url}/lab?scenario=fence&delay_ms=700&patience_ms=300&amount=250"
    assert API_KEY not in link
    other = open_tab(link.removeprefix(ui.url))
    linked = Card.of(other.page, "Fence")
    expect(linked.card.get_by_label("Held up for")).to_have_value("700 ms")
    expect(linked.card).to_be_in_viewport()


def test_a_link_runs_nothing_by_itself_and_cannot_go_beyond_the_bounds(ui: Ui, truth: Truth) -> None:
    before = truth.get("/v1/wallets", limit=1)["items"]
    card = open_scenario(ui, "Retry storm", "retry-storm", requests=1_000_000, amount="-5")
    expect(card.card.get_by_label("Requests")).to_have_value("24")
    expect(card.card.get_by_label("Amount")).to_have_value("250 LAB")
    assert truth.get("/v1/wallets", limit=1)["items"] == before
    card.card.get_by_label("Requests").fill("101")
    ui.expect_why_not(card.button("Run"), "Requests: from 2 to 100")


def test_a_run_is_exported_whole_and_without_the_key(ui: Ui, tmp_path: Path) -> None:
    card = open_scenario(ui, "Lost answer", "lost-answer", drops=1, amount=7)
    card.run()
    with ui.page.expect_download() as download:
        card.button("Export as JSON").click()
    assert re.fullmatch(r"lost-answer-[0-9T-]+\.json", download.value.suggested_filename)
    path = tmp_path / "run.json"
    download.value.save_as(path)
    assert API_KEY not in path.read_text()
    run = json.loads(path.read_text())
    assert run["verdict"] == "holds"
    assert run["parameters"] == {"drops": 1, "amount": 7}
    assert [call["outcome"] for call in run["calls"]] == ["unknown", "replayed", "read"]
    assert [call["faults"] for call in run["calls"]] == ["before-answer=drop", None, None]
    assert json.loads(run["calls"][1]["answer"]["body"])["entries"][0]["balance_after"] == 7
    assert all(claim["holds"] for claim in run["claims"])
    assert run["proofs"][0]["wallet"] == card.wallet_id()
    assert run["proofs"][0]["verification"]["ok"]


def test_a_run_can_be_stopped_and_run_again(ui: Ui) -> None:
    card = open_scenario(ui, "Fence", "fence", delay_ms=900, patience_ms=4000)
    with ui.page.expect_request("**/credits"):
        card.button("Run").click()
    card.button("Stop").click()
    expect(card.card).to_contain_text("The run was stopped.")
    card.card.get_by_label("Given up after").fill("0")
    card.button("Run again").click()
    card.expect_over()
    card.expect_holds()
    assert "patience_ms=0" in ui.page.url


def test_a_reload_in_mid_run_leaves_the_scenario_to_be_run_again(ui: Ui, truth: Truth) -> None:
    card = open_scenario(ui, "Fence", "fence")
    card.card.get_by_label("Held up for").fill("800")
    with ui.page.expect_request("**/credits") as sent:
        card.button("Run").click()
    ui.page.reload()
    expect(card.button("Run")).to_be_visible()
    expect(card.card.get_by_label("Held up for")).to_have_value("800 ms")
    card.run()
    card.expect_holds()
    # What the first run had sent is with the service, whose outcome its key tells for ever.
    left = sent.value.url.split("/")[-2]
    assert left != card.wallet_id()
    assert truth.is_proved(left)


def test_a_second_click_does_not_start_a_second_run(ui: Ui) -> None:
    card = open_scenario(ui, "Hot wallet", "hot-wallet", requests=40)
    opened: list[str] = []
    ui.page.on("request", lambda request: opened.append(request.url) if request.url.endswith("/v1/wallets") else None)
    card.button("Run").dblclick()
    card.expect_over()
    card.expect_holds()
    assert len(opened) == 1


def test_a_run_that_cannot_be_carried_out_proves_nothing(ui: Ui) -> None:
    card = open_scenario(ui, "Racers", "racers")
    ui.page.route("**/v1/wallets", lambda route: route.abort())
    card.button("Run").click()
    expect(card.card).to_contain_text("It could not be carried out: The service does not answer.")
    expect(card.card.get_by_text("Not found out")).to_be_visible()


def test_what_came_of_it_stays_while_its_wallet_is_looked_at(ui: Ui) -> None:
    card = open_scenario(ui, "Stale tab", "stale-tab", balance=100, first=30, second=20)
    card.run()
    card.card.get_by_role("link", name="To the wallet").click()
    expect(ui.page.get_by_role("heading", name="Lab: Stale tab", level=1)).to_be_visible()
    expect(ui.page.get_by_test_id("balance")).to_have_text(re.compile(r"LAB\s50"))
    ui.page.go_back()
    card.expect_holds()


def test_the_timeline_is_there_for_the_keyboard_and_as_a_table(ui: Ui) -> None:
    page = ui.page
    card = open_scenario(ui, "Racers", "racers", requests=3, amount=7)
    card.card.get_by_label("Amount").focus()
    for name in ("Copy a link to Racers", "Run"):
        page.keyboard.press("Tab")
        expect(card.button(name)).to_be_focused()
    page.keyboard.press("Enter")
    card.expect_over()
    lanes = card.lanes()
    expect(lanes).to_have_count(3)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(lanes.first).to_be_focused()
    expect(page.get_by_role("tooltip").filter(has_text="Idempotent-Replayed: false")).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(lanes.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    facts = ui.dialog()
    expect(facts).to_contain_text("Racer 2")
    expect(facts).to_contain_text("Version expected1")
    page.keyboard.press("Escape")
    expect(facts).to_be_hidden()
    expect(lanes.nth(1)).to_be_focused()
    card.card.get_by_text("Table", exact=True).click()
    rows = card.card.get_by_role("row")
    expect(rows).to_have_count(4)
    expect(rows.filter(has_text="In conflict")).to_have_count(2)
    expect(rows.filter(has_text="Applied").get_by_role("cell", name="201")).to_be_visible()
