"""Whatever is done to a ledger, in whatever order, by several processes at once and while time passes: it does as the
plain model says, over every store."""

from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.machine import LedgerMachine, OpenWorld
from tests.support.stores import ISOLATIONS, memory_world, postgres_world


def run_machine(open_world: OpenWorld, chosen: settings) -> None:
    class Machine(LedgerMachine):
        def __init__(self) -> None:
            super().__init__(open_world)

    run_state_machine_as_test(Machine, settings=chosen)


def test_a_ledger_in_memory_does_as_the_model_says() -> None:
    half = max(1, settings().max_examples // 2)
    run_machine(memory_world, settings(max_examples=half, stateful_step_count=30))


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_ledger_on_postgresql_does_as_the_model_says(ledger_database: str, isolation: str) -> None:
    """Each example costs some connections and many commits, so there are fewer. Real races come out differently each
    time, which is no ground for a search of smaller examples."""
    few = settings(
        max_examples=max(1, settings().max_examples // 10),
        stateful_step_count=20,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    opened = partial(postgres_world, ledger_database, ISOLATIONS[isolation])
    run_machine(opened, few)
