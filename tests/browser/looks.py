"""How pages look, and to whom they speak: pictures of each in light and dark, wide and narrow, and what axe finds."""

from collections.abc import Sequence
from typing import Final, Literal

from playwright.sync_api import Page

from tests.browser.conftest import ARTIFACTS, ROOT
from tests.browser.service import Truth

AXE: Final = ROOT / "frontend/node_modules/axe-core/axe.min.js"
RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SIZES: Final = {"desktop": (1280, 900), "phone": (390, 844)}
SCHEMES: Final[Sequence[Literal["light", "dark"]]] = ("light", "dark")
# What moves has come to rest, and what is drawn anew for another size or scheme has been: it is asked for with the next
# frame, and again where that changed the size of something.
SETTLED: Final = """async () => {
    for (let frames = 0; frames < 4; frames++) {
        await new Promise(requestAnimationFrame);
        await Promise.allSettled(document.getAnimations().map((animation) => animation.finished));
    }
}"""


def axe_violations(page: Page) -> list[str]:
    """What axe finds wrong, but for what is only of minor or moderate impact."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    found = page.evaluate("(tags) => axe.run({ runOnly: tags, resultTypes: ['violations'] })", RULES)
    return [
        f"{each['id']}: {node['html']} {node['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def look_at(page: Page, name: str) -> list[str]:
    """Take the page's picture in light and dark, wide and narrow; what is wrong with it in any of these."""
    ARTIFACTS.mkdir(exist_ok=True)
    wrong = []
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.evaluate(SETTLED)
            # A dialog covers what one sees, so nothing below belongs to its picture.
            whole = page.get_by_role("dialog").count() == 0
            page.screenshot(path=ARTIFACTS / f"{name}-{scheme}-{size}.png", full_page=whole)
            wrong += [f"{scheme}, {size}: {one}" for one in axe_violations(page)]
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wrong.append(f"{scheme}, {size}: it scrolls sideways")
    return wrong


def a_lived_in_wallet(truth: Truth, name: str) -> str:
    """A wallet in which all kinds of things have happened."""
    id, other = truth.open(name=name, balance=100_000, ceiling=10_000_000), truth.open(name="Other")
    for amount in (4_250, 129_900, 2_599, 80_000, 61_250, 999, 15_000):
        truth.credit(id, amount)
        truth.write("POST", f"/v1/wallets/{id}/debits", {"amount": amount // 2})
    posting = {"source": id, "destination": other, "amount": 45_000}
    truth.write("POST", "/v1/transactions", {"postings": [posting], "metadata": {"note": "Rent for March"}})
    truth.write("POST", f"/v1/wallets/{id}/holds", {"amount": 12_000, "expires_in": 86_400})
    hold = truth.write("POST", f"/v1/wallets/{id}/holds", {"amount": 3_000})["hold"]["id"]
    truth.write("POST", f"/v1/holds/{hold}/release", {})
    return id
