"""The sessions in the pages run against the real service, and print what the pages say. So does the Python in them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.docs.served import serving
from tests.docs.sessions import ROOT, Step, steps, surprises
from tests.docs.test_examples import blocks

# The pages, and how many commands there are at least.
PAGES = {"README.md": 8, "docs/tutorial.md": 20, "docs/how-to/retry.md": 7, "docs/how-to/recipes.md": 12}


@attrs.frozen
class Service:
    url: str
    data_dir: Path


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    data_dir = tmp_path_factory.mktemp("service")
    with serving(data_dir) as url:
        yield Service(url, data_dir)


@pytest.mark.parametrize("page", PAGES)
def test_the_session_prints_what_the_page_says(service: Service, page: str) -> None:
    session = steps((ROOT / page).read_text())
    assert len([step for step in session if step.output is not None]) >= PAGES[page]
    assert surprises(session, service.url, service.data_dir) == []


@pytest.mark.parametrize("code", blocks("docs/how-to/retry.md"), ids=["orders"])
def test_the_python_of_the_page_runs(service: Service, code: str) -> None:
    api_key = (service.data_dir / "api-key").read_text().strip()
    given = f"base_url, api_key = {service.url!r}, {api_key!r}\n"
    run = subprocess.run([sys.executable, "-c", given + code], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    ("command", "output", "says"),
    [
        ("echo 1", "2", "printed\n1\nand not\n2"),
        ("echo 1; false", "1", "ended with 1"),
        ("exit 0", "", "ended early"),
        ("echo '", "", "ended early"),
    ],
)
def test_what_is_not_as_the_page_says_is_found(tmp_path: Path, command: str, output: str, says: str) -> None:
    (found,) = surprises([Step(command, output)], "http://127.0.0.1:1", tmp_path)
    assert says in found


def test_a_command_goes_on_behind_a_backslash_and_its_output_ends_at_the_next_one() -> None:
    page = "```console\n$ echo a \\\n  b\na b\n\nc\n$ true\n$ echo d\nd\n```\n"
    assert steps(page) == [Step("echo a \\\n  b", "a b\n\nc"), Step("true", ""), Step("echo d", "d")]


def test_ids_times_and_hashes_that_a_page_does_not_choose_may_differ(tmp_path: Path) -> None:
    told, said = "01a2072c-63b4-766c-8f03-dbd75152f0fe at 2026-11-23T06:51:19.173967Z", "at"
    assert surprises([Step(f"echo {told}", told.replace("63b4", "63b5").replace("51:19", "51:20"))], "", tmp_path) == []
    assert surprises([Step(f"echo {told}", said)], "", tmp_path) != []
    chosen = "0190c0de-0000-7000-8000-00000000a11c"
    assert surprises([Step(f"echo {chosen}", told.split()[0])], "", tmp_path) != []
