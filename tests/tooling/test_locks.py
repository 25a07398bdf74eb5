"""What is installed is pinned by hash, the same everywhere, and comes from whichever registry a machine uses."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = {name: (ROOT / "requirements" / f"{name}.txt").read_text() for name in ("runtime", "dev")}


def _pins(lock: str) -> list[tuple[str, str]]:
    """Names and versions. A package may be pinned twice, for different Pythons."""
    return re.findall(r"^([a-z0-9-]+)==([^ ]+)", lock, re.MULTILINE)


def _names(lock: str) -> set[str]:
    return {name for name, _ in _pins(lock)}


def _normalized(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name.group()).lower()


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS.keys())
def test_a_lock_names_no_host_and_no_folder_of_this_machine(lock: str) -> None:
    assert "://" not in lock
    assert not re.search(r"^(--|-[a-z] )", lock, re.MULTILINE)
    assert not re.search(r"^[^#\n]*/", lock, re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS.keys())
def test_every_package_is_pinned_with_its_hashes(lock: str) -> None:
    packages = re.split(r"\n(?=[a-z])", re.sub(r"^ *#.*\n", "", lock, flags=re.MULTILINE))
    assert len(packages) == len(_pins(lock))
    assert all("--hash=sha256:" in package for package in packages)


def test_tests_run_on_the_versions_that_the_service_runs_on() -> None:
    assert set(_pins(LOCKS["runtime"])) <= set(_pins(LOCKS["dev"]))


def test_every_declared_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras, groups = project["project"]["optional-dependencies"], project["dependency-groups"]
    runtime = [*project["project"]["dependencies"], *chain.from_iterable(extras.values()), *groups["build"]]
    own = project["project"]["name"]
    assert {_normalized(name) for name in runtime} - {own} <= _names(LOCKS["runtime"])
    assert {_normalized(name) for name in groups["dev"]} <= _names(LOCKS["dev"])
