"""New ids: UUIDv7 (RFC 9562, section 5.7), in order within the process whatever the clock does."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from uuid import RFC_4122

import pytest

from adapters.ids import UuidV7, uuid7
from tests.support.time import NOON, later


def milliseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@pytest.mark.parametrize("moment", [datetime(1970, 1, 1, tzinfo=UTC), NOON, datetime(9999, 12, 31, tzinfo=UTC)])
def test_an_id_has_version_7_and_starts_with_the_milliseconds_since_1970(moment: datetime) -> None:
    for id in (uuid7(moment), *islice(UuidV7()(moment), 100)):
        assert (id.version, id.variant) == (7, RFC_4122)
        assert id.int >> 80 == milliseconds(moment)


def test_ids_ascend_within_a_millisecond_and_from_one_to_the_next() -> None:
    ids = UuidV7()
    made = [id for number in range(100) for id in islice(ids(later(number / 1000)), 100)]
    assert made == sorted(set(made))
    assert {id.version for id in made} == {7}
    assert [id.int >> 80 for id in made[::100]] == [milliseconds(NOON) + number for number in range(100)]


def test_ids_of_one_millisecond_ascend_across_calls() -> None:
    ids = UuidV7()
    made = [next(ids(NOON + timedelta(microseconds=number % 800))) for number in range(1000)]
    assert made == sorted(set(made))
    one, two = ids(NOON), ids(NOON)
    assert next(one) < next(two) < next(one)


def test_ids_ascend_even_when_the_clock_steps_back() -> None:
    """They keep the latest time seen until the clock has caught up."""
    ids = UuidV7()
    before = next(ids(later(60)))
    during = list(islice(ids(NOON), 100))
    after = next(ids(later(61)))
    made = [before, *during, after]
    assert made == sorted(set(made))
    assert {id.int >> 80 for id in during} == {milliseconds(later(60))}
    assert after.int >> 80 == milliseconds(later(61))


def test_two_sources_never_give_the_same_id_and_none_can_be_guessed_from_another() -> None:
    """74 bits are random at first, and the steps between ids of one millisecond are random too."""
    one, two = list(islice(UuidV7()(NOON), 1000)), list(islice(UuidV7()(NOON), 1000))
    assert len({*one, *two}) == 2000
    steps = {second.int - first.int for first, second in pairwise(one)}
    assert len(steps) > 990
