"""The pictures in docs/images, made anew: ``make ui && .venv/bin/python -m tests.browser.pictures``."""

import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import FloatRect, expect, sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS, ROOT, WAIT_MS_MAX
from tests.browser.lab import Card, open_scenario
from tests.browser.service import Truth, serving
from tests.browser.ui import Ui

IMAGES: Final = ROOT / "docs" / "images"
BYTES_MAX: Final = 200_000

# A household's month, in minor units: what came in, and what went out.
MONTH: Final = (
    (264_000, ""),
    (-92_000, "Rent"),
    (-4_350, ""),
    (-6_120, ""),
    (12_000, ""),
    (-1_999, ""),
    (-23_500, "Insurance"),
    (-5_480, ""),
    (31_500, "Bicycle sold"),
    (-7_235, ""),
)


def main() -> None:
    """Take a picture of a wallet, and one of a run of the lab."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "data") as url, sync_playwright() as started:
        truth = Truth.of(url)
        browser = started.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1180, "height": 1060}, locale="en-GB", color_scheme="light")
        page.set_default_timeout(WAIT_MS_MAX)
        ui = Ui(page, url)
        ui.sign_in()
        _wallet(ui, truth)
        page.screenshot(path=IMAGES / "wallet.png")
        card = _run(ui)
        page.screenshot(path=IMAGES / "lab.png", clip=_around(card), full_page=True)
        browser.close()
    for image in sorted(IMAGES.glob("*.png")):
        if image.stat().st_size > BYTES_MAX:
            raise RuntimeError(f"{image} has {image.stat().st_size} bytes, which is more than {BYTES_MAX}")


def _wallet(ui: Ui, truth: Truth) -> None:
    """A wallet in which things have happened."""
    id = truth.open("EUR", name="Household", floor=-50_000)
    for amount, note in MONTH:
        body = {"amount": abs(amount), "metadata": {"note": note} if note else {}}
        truth.write("POST", f"/v1/wallets/{id}/{'credits' if amount > 0 else 'debits'}", body)
        ui.page.wait_for_timeout(120)
    truth.write("POST", f"/v1/wallets/{id}/holds", {"amount": 18_900, "expires_in": 604_800})
    ui.go_to_wallet(id)
    expect(ui.page.locator("canvas")).to_be_visible()
    expect(ui.page.get_by_role("link", name="Hold placed")).to_be_visible()
    ui.page.wait_for_timeout(500)


def _run(ui: Ui) -> Card:
    """A run with many outcomes."""
    card = open_scenario(ui, "Double spend", "double-spend", requests=14, balance=1000, amount=150)
    card.run()
    card.expect_holds()
    expect(card.statement("No entry left less")).to_be_visible()
    # Nothing is pointed at, and the header is out of the picture.
    ui.page.mouse.move(0, 0)
    ui.page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    ui.page.wait_for_timeout(300)
    return card


def _around(card: Card) -> FloatRect:
    """The card, with a little of the page around it."""
    box = card.card.bounding_box()
    if box is None:
        raise RuntimeError("the card is not on the page")
    margin = 20
    return {
        "x": box["x"] - margin,
        "y": box["y"] - margin,
        "width": box["width"] + 2 * margin,
        "height": box["height"] + 2 * margin,
    }


if __name__ == "__main__":
    main()
