"""Where CI is set nothing passes by being skipped."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = {
    "test_mark.py": "import pytest\n\n@pytest.mark.skip(reason='no time')\ndef test_it(): ...\n",
    "test_call.py": "import pytest\n\ndef test_it():\n    pytest.skip('no time')\n",
    "test_fixture.py": "import pytest\n\n@pytest.fixture\ndef it():\n  pytest.skip('no time')\n\ndef test_it(it): pass",
    "test_module.py": "import pytest\n\npytest.importorskip('no_such_module_anywhere', reason='no time')\n",
    "test_expected.py": "import pytest\n\n@pytest.mark.xfail(reason='known')\ndef test_it():\n    raise ValueError\n",
}


def _run(folder: Path, ci: str) -> subprocess.CompletedProcess[str]:
    for name, content in FILES.items():
        (folder / name).write_text(content)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "--continue-on-collection-errors", "--rootdir=.", "."],
        cwd=folder,
        env={
            **os.environ,
            "CI": ci,
            "PYTHONPATH": str(ROOT),
            "PYTEST_ADDOPTS": "-p no:cacheprovider -p no:schemathesis",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_kind_of_skip_fails_in_ci_and_an_expected_failure_does_not(tmp_path: Path) -> None:
    run = _run(tmp_path, ci="true")
    assert "1 failed, 1 xfailed, 3 errors" in run.stdout
    assert run.stdout.count("was skipped, and CI skips nothing: ") >= 4
    assert "no time" in run.stdout


@pytest.mark.parametrize("ci", ["", "false"])
def test_a_skip_elsewhere_is_a_skip(tmp_path: Path, ci: str) -> None:
    run = _run(tmp_path, ci)
    assert run.returncode == 0
    assert "4 skipped, 1 xfailed" in run.stdout
