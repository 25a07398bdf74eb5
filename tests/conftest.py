"""What every test shares."""

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings

from tests.databases import Databases
from tests.databases import postgres_server as running_postgres_server

IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")

# How long one example takes says more about the machine than about the code. In CI the examples are always the same;
# a campaign for new ones is `pytest --hypothesis-profile=long --timeout=0`.
settings.register_profile("wallet", deadline=None, print_blob=True, derandomize=IN_CI)
settings.register_profile("long", deadline=None, print_blob=True, max_examples=5_000)
settings.load_profile("wallet")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A superuser's URL of the server that this session's databases are made on."""
    with running_postgres_server() as admin_dsn:
        yield admin_dsn


@pytest.fixture(scope="session")
def databases(postgres_server: str) -> Iterator[Databases]:
    made = Databases(postgres_server)
    yield made
    made.drop_all()


@pytest.fixture(scope="session")
def create_database(databases: Databases) -> Callable[[], str]:
    """Makes databases without a schema, which last as long as the session."""
    return databases.create_empty


@pytest.fixture
def database(databases: Databases) -> Iterator[str]:
    """The superuser's URL of a database of this test's own, with the newest schema and no rows."""
    dsn = databases.create()
    yield dsn
    databases.drop(dsn)


LONGEST_FIRST: Final = (
    "torture/test_checker_is_checked.py",
    "browser/test_access.py",
    "simulation/test_schedules.py",
    "faults/test_shutdown.py",
    "http/test_process.py",
    "browser/test_lab.py",
    "torture/test_campaign.py",
    "browser/test_writing.py",
    "http/test_command_line.py",
    "fuzz/test_fuzz.py",
    "faults/test_overload.py",
    "packaging/test_load_balancer.py",
    "simulation/test_differential.py",
    "packaging/test_distributions.py",
    "faults/test_cuts_service.py",
    "faults/test_failover.py",
    "browser/test_lab_page.py",
    "concurrency/test_crashes.py",
    "tooling/test_benchmarks.py",
    "verification/test_command.py",
    "adapters/test_embedded_postgres_leftovers.py",
    "http/test_lab.py",
    "verification/test_under_load.py",
)
"""The files that take longest: from a minute and a half down to ten seconds."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests, begin with the long files: one that comes last keeps the others waiting.

    Of itself, xdist begins with the files that have many tests, and many of the long ones have few.
    """
    if not hasattr(config, "workerinput"):
        return
    tests = Path(__file__).parent
    rank = {tests / name: place for place, name in enumerate(LONGEST_FIRST)}
    number = Counter(item.path for item in items)
    items.sort(key=lambda item: (rank.get(item.path, len(rank)), -number[item.path], str(item.path)))


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Where CI is set, a skip is a failure: a part that is missing there would otherwise pass unseen."""
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, and CI skips nothing: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report
