"""Whatever is sent, the answer is one that the document describes, and the database holds what was answered.

Every campaign ends with the whole tenant proved, and its rows compared with all answers: what was refused left nothing.
That a campaign finds what is wrong is shown with a service that is spoilt in one place.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import attrs
import pytest

from entrypoints.http.operations import OPERATIONS
from tests.databases import Databases, run
from tests.fuzz.aftermath import contradictions, rows
from tests.fuzz.campaign import PHASES, SUCCESSES_MIN, campaign, successes
from tests.fuzz.flaws import FLAWS, Flaw
from tests.fuzz.meddler import meddling
from tests.http.process import Running, serving

FEW: Final = ("openWallet", "getWallet", "creditWallet")


@attrs.frozen
class Target:
    """A service in a process of its own, and its database."""

    dsn: str
    service: Running


@pytest.fixture(scope="module")
def target(databases: Databases) -> Iterator[Target]:
    dsn = databases.create()
    with serving(dsn) as service:
        yield Target(dsn, service)


def test_every_answer_is_as_described_and_nothing_is_kept_of_what_was_refused(target: Target) -> None:
    report = campaign(target.service.url, target.service.api_key, examples=6, rounds_max=8)
    assert [str(finding) for finding in report.findings] == []
    assert run(contradictions(target.dsn, report.calls)) == []

    # A campaign that gets nowhere finds nothing.
    assert set(report.scenarios) == set(PHASES)
    succeeded = successes(report.calls)
    assert all(succeeded[f"{operation.method} {operation.path}"] >= SUCCESSES_MIN for operation in OPERATIONS), (
        succeeded
    )
    statuses = Counter(call.status for call in report.calls)
    assert all(statuses[status] >= 5 for status in (200, 201, 400, 401, 404, 405, 409, 415, 422)), statuses


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.__name__)
def test_a_flaw_is_found(target: Target, flaw: type[Flaw]) -> None:
    before = run(rows(target.dsn))
    with meddling(target.service.url, flaw()) as url:
        report = campaign(url, target.service.api_key, name=flaw.__name__, examples=3, only=FEW, phases=flaw.phases)
    if flaw.found_by is not None:
        assert flaw.found_by in {finding.check for finding in report.findings}
    else:
        assert report.findings == []
    differences = run(contradictions(target.dsn, report.calls, before))
    assert bool(differences) == (flaw.found_by is None or flaw.also_in_the_rows), differences


def test_without_a_flaw_nothing_is_found_through_the_proxy(target: Target) -> None:
    before = run(rows(target.dsn))
    with meddling(target.service.url, lambda request, send: send(request)) as url:
        report = campaign(url, target.service.api_key, name="none", examples=3, only=FEW, phases=PHASES[:2])
    assert [str(finding) for finding in report.findings] == []
    assert run(contradictions(target.dsn, report.calls, before)) == []
