"""A page is not alone: what others write appears, and nobody writes over what they have not seen."""

import time
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.service import Truth
from tests.browser.ui import DeafTo, Ui, Wire

OpenTab = Callable[..., Ui]

LIVE_S_MAX = 1.0
QUIET_MS = 1_500
"""Longer than between two questions of a page that is not told of changes."""


def test_says_which_version_it_was_decided_on(ui: Ui, truth: Truth) -> None:
    id = truth.open(balance=1000)
    other = truth.open()
    ui.go_to_wallet(id)
    wire = Wire(ui.page)
    ui.move("Credit", "1")
    ui.expect_version(3)
    form = ui.choose("Transfer")
    form.get_by_label("Amount").fill("1")
    form.get_by_label("To").fill(other)
    ui.page.get_by_role("option").click()
    form.get_by_role("button", name="Transfer €1.00").click()
    ui.expect_version(4)
    assert wire.bodies[0] == {"amount": 100, "metadata": {}, "expected_version": 2}
    assert wire.bodies[1]["expected_versions"] == {id: 3}


def test_two_tabs_one_version_the_second_decides_again_with_the_same_key(
    ui: Ui, open_tab: OpenTab, truth: Truth
) -> None:
    id = truth.open(balance=1000)
    stale, fresh = ui, open_tab()
    stale.go_to_wallet(id)
    fresh.go_to_wallet(id)
    deaf = DeafTo(stale.page, id)
    fresh.move("Debit", "3")
    fresh.expect_message("Done: Debit €3.00")
    wire = Wire(stale.page)
    stale.page.bring_to_front()
    stale.move("Debit", "2")
    message = stale.expect_message("The wallet has changed: Debit €2.00?")
    assert truth.changes(id) == [1000, -300]
    deaf.is_deaf = False
    changed = message.get_by_role("table", name="What has changed")
    expect(changed).to_contain_text("€10.00 → €7.00, and with yours €5.00")
    expect(changed).to_contain_text("-€3.00")
    message.get_by_role("button", name="Debit €2.00, on version 3").click()
    stale.expect_message("Done: Debit €2.00")
    assert len(set(wire.keys)) == 1
    assert [body["expected_version"] for body in wire.bodies] == [2, 3]
    assert truth.changes(id) == [1000, -300, -200]
    assert truth.is_proved(id)


def test_a_conflict_survives_a_reload_and_can_be_left(ui: Ui, truth: Truth) -> None:
    id = truth.open(balance=1000)
    ui.go_to_wallet(id)
    deaf = DeafTo(ui.page, id)
    truth.credit(id, 100)
    ui.move("Debit", "2")
    ui.expect_message("The wallet has changed")
    deaf.is_deaf = False
    ui.page.reload()
    message = ui.expect_message("The wallet has changed: Debit €2.00?")
    expect(message).to_contain_text("€10.00 → €11.00")
    message.get_by_role("button", name="Leave it").click()
    ui.expect_unread()
    assert truth.changes(id) == [1000, 100]


def test_changes_made_elsewhere_appear_within_a_second(ui: Ui, truth: Truth) -> None:
    id = truth.open(balance=1000)
    ui.go_to_wallet(id)
    ui.expect_balance("€10.00")
    started = time.monotonic()
    truth.credit(id, 234)
    ui.expect_balance("€12.34")
    assert time.monotonic() - started < LIVE_S_MAX
    expect(ui.page.get_by_role("cell", name="+€2.34")).to_be_visible()


def test_an_unchanged_wallet_is_answered_without_a_body(ui: Ui, truth: Truth) -> None:
    id = truth.open()
    ui.go_to_wallet(id)
    with ui.page.expect_response(lambda response: response.url.endswith(id)) as answered:
        # As when somebody comes back to the tab.
        ui.page.evaluate("document.dispatchEvent(new Event('visibilitychange', {bubbles: true}))")
    assert answered.value.status == 304


def test_a_page_that_is_told_of_changes_asks_for_nothing_meanwhile(ui: Ui, truth: Truth) -> None:
    id = truth.open(balance=1000)
    with ui.page.expect_request(lambda request: "/v1/events?" in request.url and "wait_ms=0" not in request.url):
        ui.go_to_wallet(id)
    asked: list[str] = []
    ui.page.on("request", lambda request: asked.append(request.url))
    ui.page.wait_for_timeout(QUIET_MS)
    assert not any(url.endswith(id) for url in asked)
    truth.credit(id, 234)
    ui.expect_balance("€12.34")
    assert any(url.endswith(id) for url in asked)


def test_a_page_that_is_not_told_of_changes_asks_for_them(ui: Ui, truth: Truth) -> None:
    id = truth.open(balance=1000)
    ui.page.route("**/v1/events?*", lambda route: route.fulfill(status=503, json={}))
    ui.go_to_wallet(id)
    ui.expect_balance("€10.00")
    truth.credit(id, 234)
    ui.expect_balance("€12.34")


def test_both_wallets_of_a_transfer_wait_until_it_is_settled(ui: Ui, truth: Truth) -> None:
    source, destination = truth.open(balance=1000), truth.open()
    ui.go_to_wallet(source)
    wire = Wire(ui.page, ["hang before"])
    form = ui.choose("Transfer")
    form.get_by_label("Amount").fill("3")
    form.get_by_label("To").fill(destination)
    ui.page.get_by_role("option").click()
    form.get_by_role("button", name="Transfer €3.00").click()
    ui.expect_message("Transfer €3.00…")
    ui.follow(f"/wallets/{destination}")
    ui.expect_message("Under way elsewhere: Transfer €3.00")
    ui.expect_why_not(ui.button("Credit"), "First has to be settled: Transfer €3.00")
    ui.page.reload()
    ui.expect_balance("€3.00")
    assert len(set(wire.keys)) == 1
    assert truth.changes(source) == [1000, -300]
    assert truth.changes(destination) == [300]
