"""One effect for one intent: double clicks, reloads, lost answers, no network, and a service too busy to answer."""

import json
from collections.abc import Callable

from playwright.sync_api import Route, expect

from tests.browser.service import Truth
from tests.browser.ui import DeafTo, Ui, Wire, problem

OpenTab = Callable[..., Ui]

UNKNOWN = problem(504, "outcome-unknown", "unknown", "same_key")
OVERLOADED = problem(503, "overloaded", "not_applied", "same_key")
ATTEMPTS = 5


def test_a_double_click_has_one_effect(ui: Ui, truth: Truth) -> None:
    id = truth.open()
    ui.go_to_wallet(id)
    wire = Wire(ui.page)
    form = ui.choose("Credit")
    form.get_by_label("Amount").fill("5")
    form.get_by_role("button", name="Credit €5.00").dblclick()
    ui.expect_message("Done: Credit €5.00")
    assert len(wire.keys) == 1
    assert truth.changes(id) == [500]


def test_enter_pressed_twice_has_one_effect(ui: Ui, truth: Truth) -> None:
    id = truth.open()
    ui.go_to_wallet(id)
    form = ui.choose("Credit")
    form.get_by_label("Amount").fill("5")
    # In one go, before the page can be drawn anew.
    form.locator("form").evaluate("(form) => { form.requestSubmit(); form.requestSubmit(); }")
    ui.expect_message("Done: Credit €5.00")
    assert truth.changes(id) == [500]


def test_a_lost_answer_is_asked_for_again_with_the_same_key(ui: Ui, truth: Truth) -> None:
    id = truth.open()
    ui.go_to_wallet(id)
    wire = Wire(ui.page, ["lose answer", "lose answer"])
    ui.move("Credit", "5")
    message = ui.expect_message("Already done: Credit €5.00")
    expect(message).to_contain_text("was not done again")
    assert len(wire.keys) == 3
    assert len(set(wire.keys)) == 1
    assert truth.changes(id) == [500]
    ui.expect_unread()


def test_an_outcome_that_stays_unknown_is_said_and_asked_for_on_request(ui: Ui, truth: Truth) -> None:
    id = truth.open()
    ui.hurry()
    ui.go_to_wallet(id)
    wire = Wire(ui.page, ["answer instead"] * ATTEMPTS, UNKNOWN)
    ui.move("Credit", "5")
    message = ui.expect_in_the_end("Not known: Credit €5.00")
    expect(message).to_contain_text("It may have happened, or not.")
    ui.expect_why_not(ui.button("Credit"), "First has to be settled: Credit €5.00")
    message.get_by_role("button", name="Ask again").click()
    ui.expect_message("Already done: Credit €5.00")
    assert len(set(wire.keys)) == 1
    assert len(wire.keys) == ATTEMPTS + 1
    assert truth.changes(id) == [500]
    ui.expect_unread()


def test_a_request_that_vanished_is_ruled_out(ui: Ui, truth: Truth) -> None:
    id = truth.open()
    ui.hurry()
    ui.go_to_wallet(id)
    wire = Wire(ui.page, ["lose request"] * ATTEMPTS)
    ui.move("Credit", "5")
    ui.expect_in_the_end("Not known: Credit €5.00").get_by_role("button", name="Rule it out").click()
    ui.expect_message("Ruled out: Credit €5.00")
    assert truth.decision(wire.keys[0]) == "fenced"
    assert truth.changes(id) == []
    ui.move("Credit", "5")
    ui.expect_message("Done: Credit €5.00")
    assert wire.keys[-1] != wire.keys[0]
    assert truth.changes(id) == [500]


def test_ruling_out_what_has_happened_says_that_it_has(ui: Ui, truth: Truth) -> None:
    id = truth.open()
    ui.hurry()
    ui.go_to_wallet(id)
    Wire(ui.page, ["lose answer"] * ATTEMPTS)
    ui.move("Credit", "5")
    ui.expect_in_the_end("Not known: Credit €5.00").get_by_role("button", name="Rule it out").click()
    ui.expect_message("Already done: Credit €5.00")
    assert truth.changes(id) == [500]


def test_a_service_that_is_too_busy_did_nothing_and_that_is_said(ui: Ui, truth: Truth) -> None:
    id = truth.open()
    ui.hurry()
    ui.go_to_wallet(id)
    status, body = OVERLOADED
    ui.page.route("**/credits", lambda route: route.fulfill(status=status, json=body))
    ui.move("Credit", "5")
    message = ui.expect_in_the_end("Not done yet: Credit €5.00")
    expect(message).to_contain_text("Nothing has happened.")
    message.get_by_role("button", name="Leave it").click()
    expect(message).to_be_hidden()
    ui.expect_unread()
    assert truth.changes(id) == []


def test_a_reload_in_mid_flight_settles_the_write_that_was_under_way(ui: Ui, truth: Truth) -> None:
    id = truth.open()
    ui.go_to_wallet(id)
    wire = Wire(ui.page, ["hang after"])
    ui.move("Credit", "5")
    ui.expect_message("Credit €5.00…")
    ui.expect_version(2)
    ui.page.reload()
    ui.expect_message("Already done: Credit €5.00")
    assert len(wire.keys) == 2
    assert len(set(wire.keys)) == 1
    assert wire.bodies[0] == wire.bodies[1]
    assert truth.changes(id) == [500]
    ui.expect_unread()


def test_a_write_that_never_arrived_is_sent_after_a_reload(ui: Ui, truth: Truth) -> None:
    id = truth.open()
    ui.go_to_wallet(id)
    wire = Wire(ui.page, ["hang before"])
    ui.move("Credit", "5")
    ui.expect_message("Credit €5.00…")
    assert truth.changes(id) == []
    ui.page.reload()
    ui.expect_message("Done: Credit €5.00")
    assert len(set(wire.keys)) == 1
    assert truth.changes(id) == [500]
    ui.expect_unread()


def test_a_write_survives_the_tab_that_made_it(ui: Ui, open_tab: OpenTab, truth: Truth) -> None:
    id = truth.open()
    ui.go_to_wallet(id)
    wire = Wire(ui.page, ["hang before"])
    ui.move("Credit", "5")
    ui.expect_message("Credit €5.00…")
    ui.page.close()
    other = open_tab(f"/wallets/{id}")
    other.expect_balance("€5.00")
    assert truth.decision(wire.keys[0]) == "applied"
    assert truth.changes(id) == [500]
    other.expect_unread()


def test_offline_it_waits_and_goes_out_once_when_the_network_is_back(ui: Ui, truth: Truth) -> None:
    id = truth.open()
    ui.go_to_wallet(id)
    wire = Wire(ui.page)
    ui.page.context.set_offline(True)
    expect(ui.page.get_by_text("Offline", exact=True)).to_be_visible()
    ui.move("Credit", "5")
    expect(ui.expect_message("Waiting for the network: Credit €5.00")).to_contain_text("Nothing has been sent.")
    assert wire.keys == []
    ui.page.context.set_offline(False)
    ui.expect_message("Done: Credit €5.00")
    assert len(wire.keys) == 1
    assert truth.changes(id) == [500]


def test_offline_in_mid_flight_it_is_settled_when_the_network_is_back(ui: Ui, truth: Truth) -> None:
    id = truth.open()
    ui.go_to_wallet(id)
    page = ui.page
    Wire(page, ["lose answer"], on_deed=lambda: page.context.set_offline(True))
    ui.move("Credit", "5")
    expect(ui.expect_message("Waiting for the network: Credit €5.00")).to_contain_text("cannot happen twice")
    page.context.set_offline(False)
    ui.expect_message("Already done: Credit €5.00")
    assert truth.changes(id) == [500]
    ui.expect_unread()


def test_what_is_offline_and_unsent_can_be_called_off(ui: Ui, truth: Truth) -> None:
    id = truth.open()
    ui.go_to_wallet(id)
    ui.page.context.set_offline(True)
    ui.move("Credit", "5")
    ui.expect_message("Waiting for the network").get_by_role("button", name="Do not send it").click()
    ui.page.context.set_offline(False)
    ui.move("Credit", "7")
    ui.expect_message("Done: Credit €7.00")
    assert truth.changes(id) == [700]


def test_a_rejection_is_proved_and_a_new_attempt_is_a_new_key(ui: Ui, truth: Truth) -> None:
    id = truth.open(balance=1000)
    ui.go_to_wallet(id)
    keys: list[str] = []

    def without_version(route: Route) -> None:
        """The hold is based on no version, so that the rules judge it."""
        if route.request.method == "POST":
            keys.append(route.request.headers["idempotency-key"])
            body = {
                name: value
                for name, value in (route.request.post_data_json or {}).items()
                if name != "expected_version"
            }
            route.continue_(post_data=json.dumps(body))
        else:
            route.continue_()

    ui.page.route("**/holds*", without_version)
    deaf = DeafTo(ui.page, id)
    form = ui.choose("Hold")
    form.get_by_label("Amount").fill("8")
    truth.write("POST", f"/v1/wallets/{id}/debits", {"amount": 500})
    form.get_by_role("button", name="Hold €8.00").click()
    message = ui.expect_message("Not done: Hold €8.00")
    expect(message).to_contain_text("There is not enough money: €5.00 is available, and €8.00 is needed.")
    assert truth.decision(keys[0]) == "rejected"
    deaf.is_deaf = False
    ui.expect_balance("€5.00")
    ui.move("Hold", "4")
    ui.expect_message("Done: Hold €4.00")
    assert keys[1] != keys[0]
    assert truth.sums(id) == (500, 400, 4)


def test_opening_a_wallet_survives_a_lost_answer(ui: Ui, truth: Truth) -> None:
    Wire(ui.page, ["lose answer"])
    ui.button("Open a wallet").click()
    form = ui.dialog()
    form.get_by_label("Currency").fill("LOST")
    form.get_by_role("button", name="Open the wallet").click()
    expect(ui.page.get_by_role("heading", name="LOST wallet", level=1)).to_be_visible()
    assert len(truth.get("/v1/wallets", currency="LOST")["items"]) == 1
