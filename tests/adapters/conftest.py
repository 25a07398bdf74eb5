"""Data folders of an embedded server, and what its tests do with them."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres_processes import end_processes
from tests.support.embedded import query


@pytest.fixture(scope="module")
def prepared() -> Iterator[Path]:
    """A data folder with a stopped cluster and one acknowledged row, for tests to copy."""
    folder = Path(tempfile.mkdtemp(prefix="wallet-test-"))
    with EmbeddedPostgres(folder / "data") as server:
        query(server, "CREATE TABLE kept (value int)")
        query(server, "INSERT INTO kept VALUES (42)")
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture
def new_data_dir() -> Iterator[Path]:
    # Not below pytest's own temporary folder, which the next run of pytest closes again to the server's account.
    folder = Path(tempfile.mkdtemp(prefix="wallet-test-"))
    yield folder / "data"
    end_processes(folder / "data" / "postgres")
    shutil.rmtree(folder)


@pytest.fixture
def data_dir(prepared: Path, new_data_dir: Path) -> Path:
    subprocess.run(["cp", "-a", str(prepared), str(new_data_dir)], check=True)
    return new_data_dir
