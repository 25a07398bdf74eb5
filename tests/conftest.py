"""What every test shares."""

import os
from collections.abc import Callable, Generator, Iterator

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
