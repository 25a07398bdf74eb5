"""The page of limits says of each constant what it is."""

import ast
import re
from functools import cache

import pytest

from tests.docs.pages import NAMES, ROOT, prose

ROW = re.compile(r"^\|[^|]*\((`[A-Z][A-Z_]+`[^)]*)\)[^|]*\|([^|]*)\|", re.MULTILINE)
NUMBER = re.compile(r"([0-9][0-9,.]*)(?: (KiB|MiB|ms))?")
UNITS = {"": 1.0, "KiB": 1024.0, "MiB": 1024.0 * 1024, "ms": 0.001}
SAID_OTHERWISE = {"QUEUE_SHARE"}
"""A share: the page says the time that it comes to."""


@cache
def constants() -> dict[str, set[float]]:
    """Every constant of the code that is a number, under its name."""
    found: dict[str, set[float]] = {}
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            if isinstance(target, ast.Name) and target.id.isupper() and isinstance(node, ast.Assign | ast.AnnAssign):
                found.setdefault(target.id, set()).update(_number(node.value))
    return found


def _number(node: ast.expr | None) -> set[float]:
    match node:
        case ast.Constant(value=int() | float() as value):
            return {float(value)}
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return {a * b for a in _number(left) for b in _number(right)}
        case _:
            return set()


def wrong(page: str) -> list[str]:
    """The rows that say of a constant what it is not."""
    found = []
    for names, said in ROW.findall(page):
        numbers = {float(number.replace(",", "")) * UNITS[unit] for number, unit in NUMBER.findall(said)}
        found += [
            f"{name}:{said}"
            for name in re.findall(r"`([A-Z][A-Z_]+)`", names)
            if name not in SAID_OTHERWISE and not constants().get(name, set()) & numbers
        ]
    return found


def test_the_limits_are_those_of_the_code() -> None:
    page = (ROOT / "docs/limits.md").read_text()
    assert len(ROW.findall(page)) > 12
    assert wrong(page) == []


def test_a_limit_that_is_not_the_codes_is_found() -> None:
    page = (ROOT / "docs/limits.md").read_text()
    changed = page.replace("`QUEUE_COMMANDS_MAX`) | 10,000 ", "`QUEUE_COMMANDS_MAX`) | 20,000 ")
    assert wrong(changed) == ["QUEUE_COMMANDS_MAX: 20,000 "]
    assert wrong(page.replace("`BODIES_BYTES_MAX`) | 4 MiB", "`BODIES_BYTES_MAX`) | 4 KiB")) != []
    assert wrong("| a (`NO_SUCH_MAX`) | 1 |") != []


@pytest.mark.parametrize("name", NAMES)
def test_the_constants_that_the_page_names_exist(name: str) -> None:
    named = set(re.findall(r"`([A-Z][A-Z_]*_(?:MAX|MIN|S|MS|SHARE|CONNECTIONS))`", prose(ROOT / name)))
    assert sorted(each for each in named - {*constants()} if not each.startswith("WALLET_")) == []
