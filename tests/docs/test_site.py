"""`make docs`: the site is whole, its links lead somewhere, and it can be read without a network."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pytest

from entrypoints.http.openapi import build_document
from entrypoints.http.problems import ALL
from scripts.site_pages import fill
from tests.docs.pages import ROOT

DOCS: Final = ROOT / "docs"
BUILD_S_MAX: Final = 60
ELSEWHERE: Final = re.compile(r"(?:[a-z]+:)?//")


def built(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build a folder of pages as `make docs` does."""
    options = ["--quiet", "--fail-on-warning", "--keep-going", "-b", "html", "-c", str(DOCS), "-d", str(site / "trees")]
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(source), str(site)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=BUILD_S_MAX,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    run = built(DOCS, folder)
    assert run.returncode == 0, run.stderr
    return folder


class Fetched(HTMLParser):
    """What a browser fetches to show a page, and the anchors in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.ids: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.add(given.get("id", ""))
        if "src" in given:
            self.urls.append(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "preload", "icon", "shortcut icon", "preconnect"):
            self.urls.append(given["href"])


def test_make_builds_it_in_the_same_way() -> None:
    (recipe,) = re.findall(r"^\t.* -m sphinx (.*) docs site$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"--fail-on-warning", "--keep-going", "-b", "html"} <= set(recipe.split())


def test_every_page_is_in_the_site(site: Path) -> None:
    pages = {page.relative_to(DOCS).with_suffix(".html") for page in DOCS.rglob("*.md")}
    assert len(pages) > 30
    assert sorted(page for page in pages if not (site / page).exists()) == []


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    pages = {page: Fetched(page.read_text()).urls for page in site.rglob("*.html")}
    assert sorted({url for urls in pages.values() for url in urls if ELSEWHERE.match(url)}) == []
    missing = [
        url for page, urls in pages.items() for url in urls if not (page.parent / url.partition("?")[0]).exists()
    ]
    assert missing == []
    styles = [style.read_text() for style in site.rglob("*.css")]
    used = [url for style in styles for url in re.findall(r"(?:url\(|@import\s)\s*[\"']?([^\"')]+)", style)]
    assert [url for url in used if ELSEWHERE.match(url)] == []


def test_every_operation_and_problem_is_in_the_reference(site: Path) -> None:
    api = Fetched((site / "reference/api.html").read_text()).ids
    operations = [each["operationId"] for methods in build_document()["paths"].values() for each in methods.values()]
    assert len(operations) > 20
    assert [id for id in operations if id.lower() not in api] == []
    problems = Fetched((site / "reference/problems.html").read_text()).ids
    assert [slug for slug in ALL if slug not in problems] == []


def test_the_site_can_be_searched_for_what_is_generated(site: Path) -> None:
    index = (site / "searchindex.js").read_text()
    assert "capture-exceeds-hold" in index
    assert "Give back what a hold still reserves" in index


def test_links_that_lead_nowhere_stop_the_build(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    links = (
        "[a](missing.md) [b](other.md#there) [c](#nowhere) [d](missing.svg) [e](other.md#there-is-one) [f](other.md)"
    )
    (pages / "index.md").write_text(f"# Here\n\n## Learn\n\n- [Other](other.md)\n\n{links}\n")
    (pages / "other.md").write_text("# There is one\n")
    run = built(pages, tmp_path / "site")
    assert run.returncode != 0
    warnings = sorted(line for line in run.stderr.splitlines() if "WARNING" in line)
    assert len(warnings) == 4, warnings
    assert all(
        any(f"'{each}'" in line for line in warnings) for each in ("missing.md", "there", "nowhere", "missing.svg")
    )


def test_a_page_that_no_list_names_is_found_by_its_readers_all_the_same() -> None:
    text = "# Here\n\n## Learn\n\n- [One](one.md): first\n- [Two](how-to/two.md)\n"
    pages = ["index", "one", "how-to/two", "three", "decisions/README", "decisions/0001-x", "decisions/0002-y"]

    def contents(text: str, name: str) -> list[tuple[str, str]]:
        return re.findall(r":caption: (\w+)\n\n(.*?)\n```", fill(text, name, pages), re.DOTALL)

    assert contents(text, "index") == [("Learn", "One </one>\nTwo </how-to/two>"), ("More", "/three")]
    decisions = contents("# Decisions\n\n## First\n\n- [1. X](0001-x.md)\n", "decisions/README")
    assert decisions == [("First", "1. X </decisions/0001-x>"), ("More", "/decisions/0002-y")]


def test_what_is_to_be_generated_and_cannot_be_stops_the_build() -> None:
    with pytest.raises(KeyError, match="nothing"):
        fill("# Here\n\n<!-- generated: nothing -->\n", "page", [])


def test_a_link_to_markdown_outside_the_documents_is_one_to_a_file() -> None:
    text = "[a](../../CONTRIBUTING.md#tests) [b](../client.md#keys) [c](../../src/entrypoints/cli.py)"
    filled = fill(text, "how-to/retry", [])
    assert filled == text.replace("../../CONTRIBUTING.md#tests", "path:../../CONTRIBUTING.md")
