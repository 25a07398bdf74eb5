"""Who gets in and what stays secret; the pages for keyboards, screen readers, dark rooms and telephones."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.conftest import ROOT
from tests.browser.lab import Card, lab_is_off, open_scenario
from tests.browser.looks import a_lived_in_wallet, look_at
from tests.browser.service import API_KEY, Truth
from tests.browser.ui import Ui, Wire

FIRST_LOAD_BYTES_MAX: Final = 250_000


def test_the_key_is_taken_out_of_the_address_and_sent_in_no_url(context: BrowserContext, url: str) -> None:
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{url}/#key={API_KEY}")
    expect(page.get_by_role("heading", name="Wallets", level=1)).to_be_visible()
    assert page.url == f"{url}/"
    page.go_back()
    assert API_KEY not in page.url
    assert not [one for one in asked if API_KEY in one.partition("#")[0]]
    page.goto(url)
    assert page.evaluate("JSON.stringify(localStorage)").find(API_KEY) == -1
    expect(page.get_by_role("heading", name="Wallets", level=1)).to_be_visible()


def test_a_link_with_a_key_leads_to_the_page_that_it_names(context: BrowserContext, url: str) -> None:
    page = context.new_page()
    page.goto(f"{url}/lab?scenario=fence&delay_ms=700#key={API_KEY}")
    expect(Card.of(page, "Fence").card.get_by_label("Held up for")).to_have_value("700 ms")
    assert page.url == f"{url}/lab?scenario=fence&delay_ms=700"


def test_asks_for_a_key_and_says_when_the_service_does_not_take_it(context: BrowserContext, url: str) -> None:
    page = context.new_page()
    page.goto(url)
    page.get_by_label("API key").fill("wk_this_is_no_key_of_the_service")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("does not take this API key")
    page.get_by_label("API key").fill(API_KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Wallets", level=1)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


def test_a_key_that_ends_while_it_is_used_leads_to_the_sign_in_page(ui: Ui, truth: Truth) -> None:
    ui.go_to_wallet(truth.open())
    problem = {
        "type": "/problems/unauthenticated",
        "title": "No",
        "status": 401,
        "outcome": "not_applied",
        "retry": "never",
    }
    ui.page.route(
        "**/v1/**", lambda route: route.fulfill(status=401, content_type="application/problem+json", json=problem)
    )
    ui.page.evaluate("dispatchEvent(new Event('visibilitychange'))")
    expect(ui.page.get_by_label("API key")).to_be_visible()
    expect(ui.page.get_by_role("alert")).to_contain_text("does not take this API key")
    assert ui.page.evaluate("sessionStorage.getItem('wallet.api-key')") is None


def test_a_write_left_open_is_not_sent_on_behalf_of_another_key(ui: Ui, truth: Truth) -> None:
    id = truth.open()
    ui.go_to_wallet(id)
    wire = Wire(ui.page, ["hang before"])
    ui.move("Credit", "5")
    ui.expect_message("Credit €5.00…")
    ui.page.evaluate("sessionStorage.setItem('wallet.api-key', 'wk_this_is_the_key_of_somebody_else')")
    ui.page.reload()
    expect(ui.page.get_by_label("API key")).to_be_visible()
    assert len(wire.keys) == 1
    ui.page.get_by_label("API key").fill(API_KEY)
    ui.page.keyboard.press("Enter")
    ui.expect_balance("€5.00")
    assert truth.changes(id) == [500]
    assert wire.keys == wire.keys[:1] * 2


def test_everything_is_done_with_the_keyboard_alone(ui: Ui, truth: Truth) -> None:
    page = ui.page

    def tab_to(role: str, name: str) -> None:
        """Press Tab until that has the focus, and see that it shows. A button that still says why it does nothing, as
        until the new balance is read, has the focus too, but pressing it would do nothing."""
        target = page.get_by_role(role, name=name, exact=True).first  # type: ignore[arg-type]  # a role, by its name
        expect(target).to_be_enabled()
        for _ in range(60):
            page.keyboard.press("Tab")
            if target.evaluate("(element) => element === document.activeElement"):
                return
        raise AssertionError(f"Tab does not reach {role} {name!r}")

    tab_to("button", "Open a wallet")
    page.keyboard.press("Enter")
    expect(ui.dialog().get_by_label("Name")).to_be_focused()
    page.keyboard.type("By hand")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="By hand", level=1)).to_be_visible()
    id = page.url.rsplit("/", 1)[1]
    tab_to("button", "Credit")
    page.keyboard.press("Enter")
    expect(ui.dialog().get_by_label("Amount")).to_be_focused()
    page.keyboard.type("12.50")
    page.keyboard.press("Enter")
    ui.expect_message("Done: Credit €12.50")
    tab_to("button", "Hold")
    page.keyboard.press("Enter")
    expect(ui.dialog().get_by_label("Amount")).to_be_focused()
    page.keyboard.type("2")
    page.keyboard.press("Escape")
    expect(ui.dialog()).to_be_hidden()
    expect(ui.button("Hold")).to_be_focused()
    page.keyboard.press("Enter")
    expect(ui.dialog().get_by_label("Amount")).to_be_focused()
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    ui.expect_message("Done: Hold €2.00")
    tab_to("tab", "Entries")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Holds")).to_have_attribute("aria-selected", "true")
    tab_to("button", "Release")
    page.keyboard.press("Space")
    ui.expect_message("Done: Release €2.00")
    assert truth.changes(id) == [1250]
    assert truth.sums(id) == (1250, 0, 4)


View = Callable[[Ui, str, Truth], None]


def the_list(ui: Ui, id: str, truth: Truth) -> None:
    expect(ui.page.get_by_role("row").nth(1)).to_be_visible()


def the_form_to_open_a_wallet(ui: Ui, id: str, truth: Truth) -> None:
    ui.button("Open a wallet").click()
    ui.dialog().get_by_label("Name").fill("Holiday")


def a_wallet(ui: Ui, id: str, truth: Truth) -> None:
    ui.go_to_wallet(id)
    expect(ui.page.locator("canvas")).to_be_visible()


def its_holds(ui: Ui, id: str, truth: Truth) -> None:
    a_wallet(ui, id, truth)
    ui.page.get_by_role("tab", name="Holds").click()
    expect(ui.button("Release")).to_be_visible()


def its_proof(ui: Ui, id: str, truth: Truth) -> None:
    a_wallet(ui, id, truth)
    ui.page.get_by_role("tab", name="Proof").click()
    ui.button("Prove this wallet").click()
    ui.expect_message("The wallet is proved").scroll_into_view_if_needed()


def a_transfer_form(ui: Ui, id: str, truth: Truth) -> None:
    a_wallet(ui, id, truth)
    ui.choose("Transfer").get_by_label("Amount").fill("25.50")


def a_transaction(ui: Ui, id: str, truth: Truth) -> None:
    a_wallet(ui, id, truth)
    newest = next(entry for entry in truth.entries(id) if entry["change"] == -45_000)
    ui.go(f"/wallets/{id}/transactions/{newest['transaction_id']}")
    expect(ui.button("Reverse this transaction")).to_be_visible()


def a_conflict(ui: Ui, id: str, truth: Truth) -> None:
    a_wallet(ui, id, truth)
    ui.page.route(f"**/v1/wallets/{id}", lambda route: route.abort())
    truth.credit(id, 777)
    ui.move("Debit", "10")
    ui.page.unroute(f"**/v1/wallets/{id}")
    expect(ui.page.get_by_role("table", name="What has changed")).to_be_visible()


def an_unknown_outcome(ui: Ui, id: str, truth: Truth) -> None:
    ui.hurry()
    a_wallet(ui, id, truth)
    Wire(ui.page, ["lose request"] * 5)
    ui.move("Debit", "10")
    ui.expect_in_the_end("Not known: Debit €10.00")


def a_success(ui: Ui, id: str, truth: Truth) -> None:
    a_wallet(ui, id, truth)
    ui.move("Credit", "10")
    ui.expect_message("Done: Credit €10.00")


def the_lab(ui: Ui, id: str, truth: Truth) -> None:
    ui.go("/lab")
    expect(Card.of(ui.page, "Double spend").card).to_be_visible()


def the_lab_where_it_is_off(ui: Ui, id: str, truth: Truth) -> None:
    lab_is_off(ui)
    the_lab(ui, id, truth)


def a_run_of_the_lab(ui: Ui, id: str, truth: Truth) -> None:
    card = open_scenario(ui, "Double spend", "double-spend", requests=12, balance=1000, amount=150)
    card.run()
    card.lanes().nth(2).focus()


def a_run_of_the_lab_as_a_table(ui: Ui, id: str, truth: Truth) -> None:
    card = open_scenario(ui, "Fence", "fence", delay_ms=400, patience_ms=100)
    card.run()
    card.card.get_by_text("Table", exact=True).click()


def a_run_of_the_lab_that_is_broken(ui: Ui, id: str, truth: Truth) -> None:
    ui.page.route("**/idempotency-keys?*", lambda route: route.fulfill(status=404, json={}))
    card = open_scenario(ui, "Lost answer", "lost-answer", drops=2)
    card.run()
    card.expect_broken()


def a_request_of_a_run(ui: Ui, id: str, truth: Truth) -> None:
    card = open_scenario(ui, "Racers", "racers", requests=3)
    card.run()
    card.lanes().nth(1).click()
    expect(ui.dialog()).to_contain_text("current_version")


VIEWS: Final[tuple[View, ...]] = (
    the_list,
    the_form_to_open_a_wallet,
    a_wallet,
    its_holds,
    its_proof,
    a_transfer_form,
    a_transaction,
    a_conflict,
    an_unknown_outcome,
    a_success,
    the_lab,
    the_lab_where_it_is_off,
    a_run_of_the_lab,
    a_run_of_the_lab_as_a_table,
    a_run_of_the_lab_that_is_broken,
    a_request_of_a_run,
)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
def test_every_page_is_accessible_and_pictured(ui: Ui, truth: Truth, view: View) -> None:
    view(ui, a_lived_in_wallet(truth, "Household"), truth)
    assert look_at(ui.page, view.__name__) == []


def test_the_sign_in_page_is_accessible_and_pictured(context: BrowserContext, url: str) -> None:
    page = context.new_page()
    page.goto(url)
    expect(page.get_by_label("API key")).to_be_visible()
    assert look_at(page, "sign_in") == []


def test_the_page_allows_no_script_or_style_but_its_own_files(url: str) -> None:
    policy = httpx.get(url).headers["content-security-policy"]
    assert "'unsafe-inline'" not in policy
    assert "'unsafe-eval'" not in policy
    assert re.search(r"script-src 'self'(;|$)", policy)
    assert re.search(r"style-src 'self'(;|$)", policy)


def test_the_first_load_is_small(url: str) -> None:
    """As it comes over the wire to a browser that takes no more than gzip, counting what the page names."""
    accepting = {"accept-encoding": "gzip"}
    names = re.findall(r'(?:src|href)="(/assets/[^"]+)"', httpx.get(url).text)
    assert len(names) >= 3
    bytes_loaded = 0
    for path in ("/", *names):
        with httpx.stream("GET", url + path, headers=accepting) as answer:
            assert answer.headers["content-encoding"] == "gzip"
            bytes_loaded += sum(len(part) for part in answer.iter_raw())
    assert 100_000 < bytes_loaded < FIRST_LOAD_BYTES_MAX


def test_the_browser_gets_the_smaller_form_and_keeps_it(ui: Ui) -> None:
    with ui.page.expect_response(re.compile(r"/assets/index-.*\.js")) as answered:
        ui.page.reload()
    headers = answered.value.headers
    assert headers["content-encoding"] == "br"
    assert "immutable" in headers["cache-control"]


def test_the_build_says_what_is_too_large(url: str) -> None:
    script = ROOT / "frontend/scripts/size.mjs"
    done = subprocess.run(["node", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert f"of {FIRST_LOAD_BYTES_MAX} bytes at most" in done.stdout


def test_the_types_of_the_frontend_are_those_of_the_service(url: str) -> None:
    script = Path(ROOT, "frontend/scripts/types.mjs")
    environment = {**os.environ, "WALLET_URL": url}
    done = subprocess.run(["node", script, "--check"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
