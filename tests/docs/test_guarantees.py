"""The documents name tests that exist, those of guarantees and of security above all."""

import re
from functools import cache

import pytest

from tests.docs.pages import NAMES, ROOT


def named(name: str) -> set[str]:
    return set(re.findall(r"`(test_\w+)`", (ROOT / name).read_text()))


@cache
def defined() -> set[str]:
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    return set(re.findall(r"def (test_\w+)\(", sources))


def test_the_guarantees_name_tests() -> None:
    assert len(named("docs/guarantees.md")) > 20


@pytest.mark.parametrize("name", NAMES)
def test_every_test_that_the_page_names_exists(name: str) -> None:
    assert named(name) - defined() == set()
