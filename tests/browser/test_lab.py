"""Every scenario of the failure lab, against a service with Redis; what it says is held to what the ledger says."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import uuid4

import attrs
import pytest
from playwright.sync_api import Route, expect

from tests.browser.lab import RUN_MS_MAX, Card, open_scenario
from tests.browser.service import Truth, serving
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
    if card.statement("The cache did fail").get_by_label("Does not hold").count():
        # On a busy machine it may have been away of itself just then, and is not asked for a while.
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
