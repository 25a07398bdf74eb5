"""Every link in the documents leads somewhere, and so does every document that the code names."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import NAMES, ROOT, broken_links

CODE = ("src", "alembic", "benchmarks", "scripts", "deploy", "examples", "frontend/src", "tests")
FILES = ("Makefile", "Dockerfile", "compose.yaml", "pyproject.toml", ".ci/run")
NAMED = re.compile(r"\bdocs/[\w/-]+\.md\b")


@pytest.mark.parametrize("name", NAMES)
def test_the_links_of_the_page_lead_somewhere(name: str) -> None:
    assert broken_links(ROOT / name, ROOT) == []


def test_the_documents_that_the_code_names_exist() -> None:
    files = [path for folder in CODE for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".ts", ".tsx")]
    files += [ROOT / name for name in FILES]
    named = {(match, file.name) for file in files for match in NAMED.findall(file.read_text())}
    assert len(named) > 5
    assert sorted(each for each in named if not (ROOT / each[0]).exists()) == []


@pytest.mark.parametrize(
    ("link", "broken"),
    [
        ("other.md", False),
        ("other.md#what-it-does-twice", False),
        ("other.md#again-1", False),
        ("#here", False),
        ("picture.svg", False),
        ("https://example.com/x", False),
        ("missing.md", True),
        ("other.md#again-2", True),
        ("other.md#What-it-does-twice", True),
        ("#there", True),
        ("picture.svg#x", True),
        ("../outside.md", True),
    ],
)
def test_a_link_that_leads_nowhere_is_found(tmp_path: Path, link: str, broken: bool) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside.md").touch()
    (root / "picture.svg").touch()
    (root / "other.md").write_text("# What it `does`, twice\n\n## Again\n\n## Again\n\n```\n# there\n```\n")
    page = root / "page.md"
    page.write_text(f"# Here\n\n| a |\n| --- |\n| [text]({link}) |\n\n```\n[code](nowhere.md)\n```\n")
    assert broken_links(page, root) == ([link] if broken else [])
