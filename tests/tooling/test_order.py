"""Where several processes share the tests, those that take long come first."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import conftest


def test_every_file_that_is_said_to_take_long_is_there() -> None:
    tests = Path(conftest.__file__).parent
    assert [name for name in conftest.LONGEST_FIRST if not (tests / name).is_file()] == []


@pytest.mark.parametrize("shared", [True, False])
def test_long_files_come_first_and_each_stays_in_one_piece(shared: bool) -> None:
    tests = Path(conftest.__file__).parent
    long, many, few = (tests / name for name in (conftest.LONGEST_FIRST[3], "core/many.py", "core/few.py"))
    paths = [few, many, many, long, few, many]
    items = [SimpleNamespace(path=path, number=number) for number, path in enumerate(paths)]
    config = SimpleNamespace(workerinput={}) if shared else SimpleNamespace()
    conftest.pytest_collection_modifyitems(config, items)  # type: ignore[arg-type]  # no more of them is looked at
    numbers = [item.number for item in items]
    assert numbers == ([3, 1, 2, 5, 0, 4] if shared else [0, 1, 2, 3, 4, 5])
