"""Every scenario of the failure lab, against a service with Redis; what it says is held to what the ledger says."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import attrs
import pytest
from playwright.sync_api import Route, expect

from tests.browser.lab import RUN_MS_MAX, Card, open_scenario
from tests.browser.service import API_KEY, Truth, serving
from tests.browser.ui import Ui
from tests.support.redis import redis_server

OpenTab = Callable[..., Ui]

TIMEOUT_MS: Final = 1000


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that gives up soon, with a cache."""
    folder = tmp_path_factory.mktemp("lab") / "data"
    settings = {"WALLET_LAB": "on", "WALLET_REQUEST_TIMEOUT_MS": str(TIMEOUT_MS)}
    with redis_server() as redis, serving(folder, WALLET_REDIS_URL=redis.url, **settings) as address:
        yield address


@pytest.fixture(scope="module")
def truth(url: str) -> Iterator[Truth]:
    truth = Truth.of(url)
    with truth.client:
        yield truth


@attrs.frozen
class Case:
    """A scenario with small parameters, and what must come of it."""

    title: str
    scenario: str
    values: dict[str, Any]
    outcomes: dict[str, int]
    changes: list[int]

    def __str__(self) -> str:
        return "-".join([self.scenario, *(str(each) for each in self.values.values())])


CASES: Final = (
    Case("Retry storm", "retry-storm", {"requests": 9, "amount": 7}, {"applied": 1, "answered again": 8}, [7]),
    Case("Racers", "racers", {"requests": 8, "amount": 7}, {"applied": 1, "in conflict": 7}, [7]),
    Case("Hot wallet", "hot-wallet", {"requests": 13, "amount": 7}, {"applied": 13}, [7] * 13),
    Case("Lost answer", "lost-answer", {"drops": 2, "amount": 7}, {"unknown": 2, "answered again": 1, "read": 1}, [7]),
    Case(
        "Fence",
        "fence",
        {"delay_ms": 500, "patience_ms": 100, "amount": 7},
        {"ruled out": 3, "read": 1},
        [],
    ),
    Case(
        "Fence",
        "fence",
        {"delay_ms": 100, "patience_ms": 600, "amount": 7},
        {"applied": 1, "answered again": 2, "read": 1},
        [7],
    ),
    Case(
        "Stale tab",
        "stale-tab",
        {"balance": 100, "first": 30, "second": 20},
        {"applied": 2, "in conflict": 1},
        [100, -30, -20],
    ),
    Case(
        "Double spend",
        "double-spend",
        {"requests": 8, "balance": 100, "amount": 30},
        {"applied": 3, "rejected": 5},
        [100, -30, -30, -30],
    ),
    *(
        Case(
            "Cache down, hung or lying",
            "cache-failure",
            {"cache": cache, "requests": 7, "amount": 7},
            {"applied": 1, "answered again": 7},
            [7],
        )
        for cache in ("down", "hung", "lying", "none")
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_scenario_of_a_link_runs_and_its_promise_holds(ui: Ui, truth: Truth, case: Case) -> None:
    card = open_scenario(ui, case.title, case.scenario, **case.values)
    card.run()
    card.expect_holds()
    assert card.outcomes() == case.outcomes
    expect(card.lanes()).to_have_count(sum(case.outcomes.values()))
    id = card.wallet_id()
    # Which of two racing tabs comes first is the service's to decide.
    assert sorted(truth.changes(id)) == sorted(case.changes)
    assert truth.sums(id) == (sum(case.changes), 0, len(case.changes) + 1)
    assert truth.is_proved(id)


def test_a_slow_commit_is_unknown_until_the_same_key_tells(ui: Ui, truth: Truth) -> None:
    card = open_scenario(ui, "Slow commit", "slow-commit", over_ms=300, amount=7)
    card.run()
    card.expect_holds()
    first = card.lanes().first
    expect(first).to_have_accessible_name(re.compile("^First try .*Unknown 504 outcome-unknown$"))
    outcomes = card.outcomes()
    # How often it has to ask depends on how soon the commit comes through.
    assert outcomes["answered again"] == outcomes["read"] == 1
    assert "applied" not in outcomes
    assert truth.changes(card.wallet_id()) == [7]
    assert truth.is_proved(card.wallet_id())


def run_all(ui: Ui) -> None:
    ui.go("/lab")
    ui.button("Run all 9").dblclick()
    expect(ui.page.get_by_text(re.compile("[0-9] of 9 promises hold"))).to_be_visible(timeout=RUN_MS_MAX)


def test_all_are_run_one_after_the_other(ui: Ui, truth: Truth) -> None:
    run_all(ui)
    expect(ui.page.get_by_text("9 of 9 promises hold")).to_be_visible()
    cards = ui.page.get_by_role("article")
    expect(cards).to_have_count(9)
    expect(cards.filter(has_text="The promise holds")).to_have_count(9)
    for card in cards.all():
        assert truth.is_proved(Card(ui.page, card).wallet_id())


def test_a_storm_that_loses_its_one_key_on_the_way_is_called_broken(ui: Ui, truth: Truth) -> None:
    """The mechanism taken out: something between changes each key, so the ledger does carry out every request."""

    def with_a_key_of_its_own(route: Route) -> None:
        headers = route.request.headers
        route.continue_(headers={**headers, "idempotency-key": str(uuid4())})

    ui.page.route("**/credits", with_a_key_of_its_own)
    card = open_scenario(ui, "Retry storm", "retry-storm", requests=4, amount=7)
    card.run()
    card.expect_broken()
    assert truth.changes(card.wallet_id()) == [7] * 4
    expect(card.statement("One request was applied").get_by_label("Does not hold")).to_be_visible()
    expect(card.statement("All 4 answers are the same").get_by_label("Does not hold")).to_be_visible()
    expect(card.statement("The balance is LAB 7")).to_contain_text("LAB 28")


def test_racers_whose_version_gets_lost_on_the_way_are_called_broken(ui: Ui, truth: Truth) -> None:
    def without_version(route: Route) -> None:
        route.continue_(post_data=json.dumps({"amount": (route.request.post_data_json or {})["amount"]}))

    ui.page.route("**/credits", without_version)
    card = open_scenario(ui, "Racers", "racers", requests=3, amount=7)
    card.run()
    card.expect_broken()
    assert truth.changes(card.wallet_id()) == [7] * 3


def test_a_balance_that_is_not_what_it_must_be_is_called_broken_by_every_scenario(ui: Ui) -> None:
    def a_little_more(route: Route) -> None:
        wallet = route.fetch().json()
        route.fulfill(json={**wallet, "balance": wallet["balance"] + 1})

    ui.page.route(re.compile(r"/v1/wallets/[^/]+$"), a_little_more)
    run_all(ui)
    expect(ui.page.get_by_text("0 of 9 promises hold")).to_be_visible()
    statements = ui.page.get_by_role("listitem").filter(has_text="The balance is")
    expect(statements.get_by_label("Does not hold")).to_have_count(9)


def test_a_wallet_that_is_not_proved_is_called_broken(ui: Ui) -> None:
    def not_proved(route: Route) -> None:
        proof = route.fetch().json()
        proof["ok"] = proof["checks"][2]["ok"] = False
        route.fulfill(json=proof)

    ui.page.route("**/verification", not_proved)
    card = open_scenario(ui, "Retry storm", "retry-storm", requests=2)
    card.run()
    card.expect_broken()
    expect(card.card).to_contain_text("all 4 statements hold, and 7 of 8 checks")


def test_a_fault_that_did_not_strike_is_called_broken(ui: Ui) -> None:
    """Otherwise a lab that breaks nothing would prove everything."""
    ui.page.route("**/credits", lambda route: route.continue_(headers=_without(route, "wallet-lab-fault")))
    for title, scenario in (("Lost answer", "lost-answer"), ("Cache down, hung or lying", "cache-failure")):
        card = open_scenario(ui, title, scenario)
        card.run()
        card.expect_broken()


def _without(route: Route, name: str) -> dict[str, str]:
    return {each: value for each, value in route.request.headers.items() if each != name}


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
