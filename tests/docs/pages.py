"""The documents of the repository, and what stands in them."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import attrs
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted(
    [*ROOT.glob("*.md"), *(page for folder in ("docs", "examples", "deploy") for page in (ROOT / folder).rglob("*.md"))]
)
NAMES: Final = [str(page.relative_to(ROOT)) for page in PAGES]

_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:")


@attrs.frozen
class Block:
    """A block of code. ``line`` is that of its first line, counted from 1."""

    language: str
    code: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The blocks of code in a page."""
    return [
        Block(token.info.strip(), token.content, (token.map or [0])[0] + 2)
        for token in _tokens(page)
        if token.type == "fence"
    ]


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return "\n".join(token.content for token in _tokens(page) if token.type == "inline")


def broken_links(page: Path, root: Path) -> list[str]:
    """The links of a page to files and headings that are not there."""
    return [target for target in _targets(page) if not _is_there(target, page, root)]


def _is_there(target: str, page: Path, root: Path) -> bool:
    if _ELSEWHERE.match(target):
        return True
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists() or not file.is_relative_to(root.resolve()):
        return False
    return not anchor or (file.suffix == ".md" and anchor in anchors(file))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of the headings: the text, in lower case, with hyphens for spaces."""
    tokens = _tokens(page)
    seen: Counter[str] = Counter()
    found = set()
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(child.content for child in inline.children or () if child.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return found


def _targets(page: Path) -> Iterator[str]:
    for token in _tokens(page):
        for child in token.children or ():
            target = child.attrGet("href") if child.type == "link_open" else child.attrGet("src")
            if target is not None:
                yield str(target)


def _tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())
