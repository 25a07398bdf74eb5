"""The checker is checked: a service, a database or a client that lacks a mechanism is found out by a short campaign."""

import asyncio
import sys
from collections.abc import Mapping, Sequence

import pytest

from tests.concurrency.broken import NO_UNIQUE_KEY, NO_UNIQUE_VERSION, SLOW_ROWS
from tests.torture import aftermath
from tests.torture.campaign import Options, Result, run
from tests.torture.faults.schedule import named
from tests.torture.stage import Cast
from tests.torture.workload import WEIGHTS

SEED = 7
KILLS_MAX = 3
"""On a busy machine a kill may come when nothing is between its answer and its COMMIT."""
SLOW_TRANSACTIONS = SLOW_ROWS[:2]
"""Two processes that begin almost at once are then both between loading and writing."""

SAME_KEYS_AT_ONCE = {"fence": 4, "duplicate": 2, "credit": 1}
"""The guard of a wallet parts two originals; of a fence and an original both win."""

pytestmark = pytest.mark.timeout(300)


def campaign(
    flaw: str,
    faults: Sequence[str] = (),
    *,
    statements: Sequence[str] = (),
    redis: bool = False,
    weights: Mapping[str, int] = WEIGHTS,
    new_key_on_retry: bool = False,
) -> Result:
    """A few seconds of it, on two instances of one process each."""
    command = (sys.executable, "-m", "tests.torture.broken", flaw)
    cast = Cast(instances=2, workers=1, redis=redis, disk=False, command=command, statements=statements)
    kinds = named(faults) if faults else []
    options = Options(
        SEED,
        5.0,
        kinds,
        cast,
        processes=1,
        rate=300.0,
        weights=weights,
        new_key_on_retry=new_key_on_retry,
    )
    result = asyncio.run(run(options))
    assert result.never_fired == []
    return result


def kinds_found(result: Result) -> set[str]:
    return set(result.verdict.findings.counts)


def test_with_nothing_missing_nothing_is_found() -> None:
    result = campaign("as_it_is", ["postgres-kill"])
    assert [str(finding) for finding in result.findings] == []


def test_without_guard_and_unique_version_updates_are_lost() -> None:
    result = campaign("without_guard", statements=(NO_UNIQUE_VERSION, *SLOW_TRANSACTIONS))
    assert "LostUpdate" in kinds_found(result)


def test_without_the_unique_key_one_key_takes_effect_twice() -> None:
    result = campaign("as_it_is", statements=(NO_UNIQUE_KEY, *SLOW_TRANSACTIONS), weights=SAME_KEYS_AT_ONCE)
    assert "DoubleEffect" in kinds_found(result)


def test_with_answers_before_the_commit_a_kill_loses_what_was_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    # What was lost under a key that is sent once more in the end is decided anew, and then not lost but told otherwise.
    monkeypatch.setattr(aftermath, "REPEATED_MAX", 0)
    found: set[str] = set()
    for _ in range(KILLS_MAX):
        found |= kinds_found(campaign("early_answers", ["postgres-kill-all"]))
        if "AcknowledgedLost" in found:
            break
    assert "AcknowledgedLost" in found


def test_a_cache_that_is_believed_gives_away_receipts_of_others() -> None:
    result = campaign("believing_cache", ["redis-swapped"], redis=True)
    assert "WrongReceipt" in kinds_found(result)


def test_a_client_that_retries_with_a_new_key_carries_an_order_out_twice() -> None:
    result = campaign("as_it_is", ["rows-locked", "stall-after-commit"], new_key_on_retry=True)
    assert "DoubleEffect" in kinds_found(result)
