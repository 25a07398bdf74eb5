"""The simulation is itself checked: take one mechanism out of the service, and it finds what that leads to."""

import logging

import asyncpg
import pytest

from tests.concurrency.violations import Violation
from tests.simulation.schedule import run_schedule
from tests.simulation.variants import VARIANTS


@pytest.fixture(autouse=True)
def _silence(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "wallet")


@pytest.mark.parametrize("missing", VARIANTS)
def test_a_missing_mechanism_is_found_out(missing: str) -> None:
    variant = VARIANTS[missing]
    for seed in range(variant.schedules_max):
        course = run_schedule(seed, variant.setup)
        if course.failure is not None:
            # The database refuses some of what follows, as its constraints are there for.
            assert isinstance(course.failure, Violation | asyncpg.CheckViolationError), course
        if isinstance(course.failure, variant.violation):
            assert run_schedule(seed).failure is None
            return
    pytest.fail(f"{variant.schedules_max} schedules have not shown {variant.violation.__name__}")
