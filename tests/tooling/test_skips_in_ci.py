"""Where CI is set nothing passes by being skipped."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKIPS = {
    "a mark": "import pytest\n\n@pytest.mark.skip(reason='no time')\ndef test_it() -> None: ...\n",
    "a call": "import pytest\n\ndef test_it() -> None:\n    pytest.skip('no time')\n",
    "a fixture": "import pytest\n\n@pytest.fixture\ndef it():\n    pytest.skip('no time')\n\ndef test_it(it): ...\n",
    "a whole module": "import pytest\n\npytest.importorskip('no_such_module_anywhere', reason='no time')\n",
}


def _run(folder: Path, content: str, ci: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(content)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "--rootdir", ".", "."],
        cwd=folder,
        env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("content", SKIPS.values(), ids=SKIPS.keys())
def test_a_skip_fails_in_ci(tmp_path: Path, content: str) -> None:
    run = _run(tmp_path, content, ci="true")
    assert run.returncode != 0
    assert "was skipped, and CI skips nothing: " in run.stdout
    assert "no time" in run.stdout


@pytest.mark.parametrize("ci", ["", "0", "false"])
def test_a_skip_elsewhere_is_a_skip(tmp_path: Path, ci: str) -> None:
    run = _run(tmp_path, SKIPS["a mark"], ci=ci)
    assert run.returncode == 0
    assert "1 skipped" in run.stdout


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    content = "import pytest\n\n@pytest.mark.xfail(reason='known')\ndef test_it() -> None:\n    raise ValueError\n"
    run = _run(tmp_path, content, ci="true")
    assert run.returncode == 0
    assert "1 xfailed" in run.stdout
