"""The code in the documents runs, as it stands there."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: str) -> list[str]:
    found: list[str] = BLOCK.findall((ROOT / document).read_text())
    return found


EXAMPLES = [
    pytest.param(code, id=f"{document}-{number}")
    for document in ("README.md", "docs/library.md")
    for number, code in enumerate(blocks(document), 1)
]


def test_the_documents_hold_examples() -> None:
    assert len(blocks("README.md")) >= 1
    assert len(blocks("docs/library.md")) >= 4


@pytest.mark.parametrize("code", EXAMPLES)
def test_the_example_runs(code: str, create_database: Callable[[], str]) -> None:
    given = f"database_url = {create_database()!r}\n" if "database_url" in code else ""
    run = subprocess.run([sys.executable, "-c", given + code], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
