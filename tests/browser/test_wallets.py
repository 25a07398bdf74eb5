"""Everything that can be done with wallets, by hand; what comes of it is asked of the ledger."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.service import Truth
from tests.browser.ui import Ui


def test_opens_a_wallet_with_its_limits_as_people_write_them(ui: Ui, truth: Truth) -> None:
    ui.button("Open a wallet").click()
    form = ui.dialog()
    form.get_by_label("Name").fill("Holiday")
    form.get_by_label("Currency").fill("kwd")
    form.get_by_label("Overdraft").fill("1,000.5")
    form.get_by_label("Ceiling").fill("2000.125")
    form.get_by_role("button", name="Open the wallet").click()
    expect(ui.page.get_by_role("heading", name="Holiday", level=1)).to_be_visible()
    wallet = truth.wallet(ui.page.url.rsplit("/", 1)[1])
    assert (wallet["currency"], wallet["floor"], wallet["ceiling"]) == ("KWD", -1_000_500, 2_000_125)
    assert wallet["metadata"] == {"name": "Holiday"}
    ui.expect_unread()


def test_credits_and_debits_with_the_effect_shown_before(ui: Ui, truth: Truth) -> None:
    id = truth.open(balance=1000)
    ui.go_to_wallet(id)
    form = ui.choose("Credit")
    form.get_by_label("Amount").fill("5.50")
    expect(form.get_by_test_id("preview-balance")).to_have_text("€10.00 → €15.50")
    form.get_by_label("Note").fill("Pocket money")
    form.get_by_role("button", name="Credit €5.50").click()
    ui.expect_message("Done: Credit €5.50")
    ui.expect_balance("€15.50")
    ui.move("Debit", "0.25")
    ui.expect_message("Done: Debit €0.25")
    ui.expect_balance("€15.25")
    assert truth.changes(id) == [1000, 550, -25]
    newest, before, *_ = truth.entries(id)
    assert truth.get(f"/v1/transactions/{before['transaction_id']}")["metadata"] == {"note": "Pocket money"}
    assert truth.decision(truth.get(f"/v1/transactions/{newest['transaction_id']}")["idempotency_key"]) == "applied"
    assert truth.is_proved(id)
    ui.expect_unread()


@pytest.mark.parametrize(
    ("currency", "typed", "minor", "shown"),
    [("JPY", "1,500", 1500, "¥1,500"), ("KWD", "0.001", 1, "KWD 0.001"), ("POINTS", "12", 12, "12 POINTS")],
)
def test_reads_and_shows_amounts_as_their_currency_has_them(
    ui: Ui, truth: Truth, currency: str, typed: str, minor: int, shown: str
) -> None:
    id = truth.open(currency)
    ui.go_to_wallet(id)
    ui.move("Credit", typed)
    expect(ui.page.get_by_test_id("balance")).to_have_text(re.compile(shown.replace(" ", r"\s")))
    assert truth.changes(id) == [minor]


def test_moves_the_largest_amount_exactly(ui: Ui, truth: Truth) -> None:
    id = truth.open()
    ui.go_to_wallet(id)
    ui.move("Credit", "90,071,992,547,409.91")
    ui.expect_balance("€90,071,992,547,409.91")
    assert truth.sums(id) == (9_007_199_254_740_991, 0, 2)


def test_transfers_to_a_wallet_found_by_name_or_by_id(ui: Ui, truth: Truth) -> None:
    source, named, pasted = truth.open(balance=1000), truth.open(name="Landlady"), truth.open()
    for n, (search, destination) in enumerate([("landl", named), (pasted, pasted)], 1):
        ui.go_to_wallet(source)
        form = ui.choose("Transfer")
        form.get_by_label("Amount").fill("3")
        form.get_by_label("To").fill(search)
        ui.page.get_by_role("option", name=re.compile(destination[-8:])).click()
        form.get_by_role("button", name="Transfer €3.00").click()
        ui.expect_version(n + 2)
        assert truth.sums(destination) == (300, 0, 2)
    assert truth.changes(source) == [1000, -300, -300]


def test_holds_captures_in_parts_and_releases(ui: Ui, truth: Truth) -> None:
    id = truth.open(balance=1000)
    ui.go_to_wallet(id)
    for amount in ("4", "1"):
        ui.move("Hold", amount)
        ui.expect_message(f"Done: Hold €{amount}.00")
    assert truth.sums(id) == (1000, 500, 4)
    ui.page.get_by_role("tab", name="Holds").click()
    row = ui.page.get_by_role("row").filter(has_text="€4.00").first
    row.get_by_role("button", name="Capture").click()
    form = ui.dialog()
    form.get_by_label("Amount").fill("1.50")
    form.get_by_label("Release what remains").uncheck()
    expect(form.get_by_test_id("preview-balance")).to_have_text("€10.00 → €8.50")
    form.get_by_role("button", name="Capture €1.50").click()
    ui.expect_message("Done: Capture €1.50")
    assert truth.sums(id) == (850, 350, 5)
    ui.page.get_by_role("row").filter(has_text="€2.50").get_by_role("button", name="Release").click()
    ui.expect_message("Done: Release €2.50")
    assert truth.sums(id) == (850, 100, 6)
    assert [hold["status"] for hold in truth.holds(id)] == ["active", "released"]
    assert truth.is_proved(id)


def test_reverses_a_transaction_once(ui: Ui, truth: Truth) -> None:
    id = truth.open(balance=1000)
    ui.go_to_wallet(id)
    ui.page.get_by_role("link", name="Money in").click()
    expect(ui.dialog().get_by_test_id("preview-balance")).to_have_text("€10.00 → €0.00")
    ui.button("Reverse this transaction").click()
    ui.expect_message("Done: Reverse €10.00")
    assert truth.changes(id) == [1000, -1000]
    ui.page.get_by_role("link", name="Money in").click()
    again = ui.button("Reverse this transaction")
    expect(again).to_have_accessible_description(re.compile("reversed already"))
    again.press("Enter")
    assert truth.changes(id) == [1000, -1000]


def test_a_frozen_wallet_says_why_nothing_leaves_it(ui: Ui, truth: Truth) -> None:
    id = truth.open(balance=1000)
    ui.go_to_wallet(id)
    ui.choose("Freeze").get_by_role("button", name="Freeze").click()
    ui.expect_message("Done: Freeze the wallet")
    assert truth.wallet(id)["status"] == "frozen"
    for action in ("Debit", "Transfer", "Hold"):
        ui.expect_why_not(ui.button(action), "The wallet is frozen: nothing may leave it until it is unfrozen")
    ui.move("Credit", "1")
    ui.expect_balance("€11.00")
    ui.choose("Unfreeze").get_by_role("button", name="Unfreeze").click()
    ui.expect_message("Done: Unfreeze the wallet")
    assert truth.wallet(id)["status"] == "active"


def test_closes_an_empty_wallet_for_good(ui: Ui, truth: Truth) -> None:
    id = truth.open(balance=100)
    ui.go_to_wallet(id)
    ui.expect_why_not(ui.button("Close"), "Only a wallet with a balance of zero can be closed")
    ui.move("Debit", "1")
    ui.expect_balance("€0.00")
    ui.choose("Close").get_by_role("button", name="Close for good").click()
    ui.expect_message("Done: Close the wallet")
    assert truth.wallet(id)["status"] == "closed"
    for action in ("Credit", "Debit", "Freeze", "Limits"):
        ui.expect_why_not(ui.button(action), "The wallet is closed: nothing moves any more")


def test_changes_name_and_limits_and_refuses_those_the_balance_breaks(ui: Ui, truth: Truth) -> None:
    id = truth.open(balance=1000, name="Old")
    ui.go_to_wallet(id)
    form = ui.choose("Limits")
    form.get_by_label("Ceiling").fill("9.99")
    expect(form.get_by_text("The wallet holds €10.00 already").first).to_be_visible()
    form.get_by_label("Name").fill("New")
    form.get_by_label("Overdraft").fill("25")
    form.get_by_label("Ceiling").fill("10")
    form.get_by_role("button", name="Change").click()
    expect(ui.page.get_by_role("heading", name="New", level=1)).to_be_visible()
    wallet = truth.wallet(id)
    assert (wallet["floor"], wallet["ceiling"], wallet["metadata"]) == (-2500, 1000, {"name": "New"})
    form = ui.choose("Limits")
    form.get_by_label("Ceiling").fill("")
    form.get_by_role("button", name="Change").click()
    ui.expect_version(4)
    assert truth.wallet(id)["ceiling"] is None


def test_more_than_there_is_cannot_be_sent(ui: Ui, truth: Truth) -> None:
    id = truth.open(balance=1000, ceiling=1500)
    ui.go_to_wallet(id)
    form = ui.choose("Debit")
    form.get_by_label("Amount").fill("10.01")
    ui.expect_why_not(form.locator("button[aria-disabled]"), "Only €10.00 is available")
    form.get_by_label("Amount").press("Enter")
    ui.page.keyboard.press("Escape")
    form = ui.choose("Credit")
    form.get_by_label("Amount").fill("5.01")
    ui.expect_why_not(form.locator("button[aria-disabled]"), "The wallet may hold €15.00 at most")
    form.get_by_label("Amount").fill("5,01")
    expect(form.get_by_text("Write it like 1,234.56").first).to_be_visible()
    assert truth.sums(id) == (1000, 0, 2)


def test_lists_filters_and_pages(ui: Ui, truth: Truth) -> None:
    ids = [truth.open("PAGES", name=f"Page {n}") for n in range(25)]
    truth.write("PATCH", f"/v1/wallets/{ids[3]}", {"status": "frozen"})
    # The list of all wallets shows the same ones until then, and has pages of its own.
    with ui.page.expect_response(re.compile("currency=PAGES")):
        ui.page.get_by_label("Currency").fill("pages")
    rows = ui.page.locator("tbody tr").filter(has_text="Page")
    expect(rows).to_have_count(20)
    expect(rows.first).to_contain_text("Page 24")
    ui.button("Next").click()
    expect(rows).to_have_count(5)
    expect(rows.last).to_contain_text("Page 0")
    ui.button("Previous").click()
    expect(rows).to_have_count(20)
    ui.page.get_by_role("combobox", name="Status").click()
    ui.page.get_by_role("option", name="Frozen").click()
    expect(rows).to_have_count(1)
    ui.page.get_by_role("link", name="Page 3").click()
    expect(ui.page).to_have_url(re.compile(ids[3]))


def test_finds_wallets_by_a_part_of_the_name_or_the_whole_id(ui: Ui, truth: Truth) -> None:
    ids = [truth.open("FOUND", name=name) for name in ("Holiday fund", "Rainy days", "Holiday house")]
    rows = ui.page.locator("tbody tr").filter(has_text="FOUND")
    ui.page.get_by_label("Currency").fill("FOUND")
    search = ui.page.get_by_label("Search")
    search.fill("holiday")
    expect(rows).to_have_count(2)
    search.fill("nothing is called that")
    expect(ui.page.get_by_text("No wallet is like that")).to_be_visible()
    search.fill(ids[1])
    expect(rows).to_have_count(1)
    search.press("Enter")
    expect(ui.page.get_by_role("heading", name="Rainy days", level=1)).to_be_visible()
    assert ui.page.url == f"{ui.url}/wallets/{ids[1]}"
    ui.go("/")
    search.fill("0190a0a0-0000-7000-8000-000000000000")
    expect(ui.page.get_by_text("No wallet is like that")).to_be_visible()


def test_a_search_that_did_not_look_at_all_wallets_says_so(ui: Ui, truth: Truth) -> None:
    truth.open("PARTS", name="One of many")
    page = truth.get("/v1/wallets", currency="PARTS")
    ui.page.route("**/v1/wallets?*limit=500*", lambda route: route.fulfill(json={**page, "next_cursor": "more"}))
    ui.page.get_by_label("Search").fill("one of")
    expect(ui.page.locator("tbody tr").filter(has_text="One of many")).to_have_count(1)
    expect(ui.page.get_by_text("The search looked at the latest 500 wallets")).to_be_visible()


def test_pages_through_entries(ui: Ui, truth: Truth) -> None:
    id = truth.open()
    for amount in range(1, 25):
        truth.credit(id, amount)
    ui.go_to_wallet(id)
    rows = ui.page.locator("tbody tr").filter(has=ui.page.get_by_role("link"))
    expect(rows).to_have_count(20)
    ui.button("Next").click()
    expect(rows).to_have_count(5)
    expect(rows.last).to_contain_text("Opened")


def test_a_hold_that_expires_gives_back_its_amount_while_one_looks_on(ui: Ui, truth: Truth) -> None:
    id = truth.open(balance=1000)
    truth.write("POST", f"/v1/wallets/{id}/holds", {"amount": 400, "expires_in": 3})
    ui.go_to_wallet(id)
    ui.page.get_by_role("tab", name="Holds").click()
    expect(ui.page.get_by_test_id("available")).to_have_text("€6.00")
    expect(ui.page.get_by_test_id("available")).to_have_text("€10.00")
    expect(ui.page.get_by_role("row").filter(has_text="Expired")).to_be_visible()
    expect(ui.button("Release")).to_be_hidden()


def test_says_that_there_is_no_such_wallet_or_page(ui: Ui) -> None:
    ui.go("/wallets/0190a0a0-0000-7000-8000-000000000000")
    ui.expect_message("There is no such wallet.")
    ui.go("/wallets/no-id")
    expect(ui.page.get_by_role("heading", name="There is no such page")).to_be_visible()


def test_proves_a_wallet(ui: Ui, truth: Truth) -> None:
    id = truth.open(balance=1000)
    ui.go_to_wallet(id)
    ui.page.get_by_role("tab", name="Proof").click()
    ui.button("Prove this wallet").click()
    expect(ui.expect_message("The wallet is proved")).to_contain_text("2 entries")
    checks = truth.get(f"/v1/wallets/{id}/verification")["checks"]
    assert len(checks) > 1
    expect(ui.page.get_by_role("listitem").filter(has=ui.page.get_by_label("Holds", exact=True))).to_have_count(
        len(checks)
    )


def test_says_what_of_a_history_does_not_hold(ui: Ui, truth: Truth) -> None:
    id = truth.open(balance=1000)
    proof = truth.get(f"/v1/wallets/{id}/verification")
    proof["ok"] = proof["checks"][1]["ok"] = False
    proof["checks"][1]["detail"] = "version 2: the balance after it is 999, not 1000"
    ui.page.route("**/verification", lambda route: route.fulfill(json=proof))
    ui.go_to_wallet(id)
    ui.page.get_by_role("tab", name="Proof").click()
    ui.button("Prove this wallet").click()
    ui.expect_message("The wallet's history does not hold")
    broken = ui.page.get_by_role("listitem").filter(has=ui.page.get_by_label("Does not hold"))
    expect(broken).to_contain_text("version 2: the balance after it is 999, not 1000")
