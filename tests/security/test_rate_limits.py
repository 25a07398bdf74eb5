"""How often a key may be used: counted for all processes together, whatever becomes of one of them."""

import fcntl
import multiprocessing
from multiprocessing.connection import Connection
from uuid import UUID, uuid4

import attrs
import pytest

from entrypoints.http.buckets import NS, PLACES, PLACES_TRIED, Buckets, Rate
from entrypoints.http.rate_limits import HELD_UP_S, RateLimits
from wallet_core.ports import Principal

TENANT = uuid4()


@attrs.define
class Clock:
    ns: int = 1_000 * NS

    def __call__(self) -> int:
        return self.ns

    def advance(self, seconds: float) -> None:
        self.ns += int(seconds * NS)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def buckets(clock: Clock) -> Buckets:
    return Buckets(clock)


def key(per_s: int | None = None) -> Principal:
    return Principal(TENANT, uuid4(), frozenset({"read"}), per_s)


def admitted(limits: RateLimits, principal: Principal, times: int) -> int:
    return sum(limits.wait_s(principal) == 0 for _ in range(times))


def test_a_key_has_its_burst_and_then_its_rate(buckets: Buckets, clock: Clock) -> None:
    limits, principal = RateLimits(buckets, 100, 1.0), key()
    assert admitted(limits, principal, 500) == 100
    for _ in range(50):
        clock.advance(0.1)
        assert admitted(limits, principal, 50) == 10
    clock.advance(3_600)
    assert admitted(limits, principal, 500) == 100


@pytest.mark.parametrize(
    ("per_s", "burst_s", "at_once"), [(1, 0.001, 1), (7, 2.0, 14), (1_000, 0.25, 250), (3, 1.0, 3)]
)
def test_a_burst_is_a_time_of_the_rate_and_one_request_at_least(
    buckets: Buckets, clock: Clock, per_s: int, burst_s: float, at_once: int
) -> None:
    limits, principal = RateLimits(buckets, per_s, burst_s), key()
    assert admitted(limits, principal, 2_000) == at_once
    clock.advance(1 / per_s + 0.000_001)
    assert admitted(limits, principal, 2_000) == 1


def test_who_waits_as_long_as_told_is_let_in(buckets: Buckets, clock: Clock) -> None:
    limits, principal = RateLimits(buckets, 4, 1.0), key()
    assert admitted(limits, principal, 4) == 4
    wait_s = limits.wait_s(principal)
    assert wait_s == pytest.approx(0.25)
    clock.advance(wait_s - 0.001)
    assert limits.wait_s(principal) == pytest.approx(0.001)
    clock.advance(0.001)
    assert limits.wait_s(principal) == 0


def test_a_key_s_own_limit_goes_before_the_general_one_and_keys_do_not_share(buckets: Buckets) -> None:
    limits = RateLimits(buckets, 10, 1.0)
    for principal, allowed in ((key(), 10), (key(), 10), (key(3), 3), (key(50), 50)):
        assert admitted(limits, principal, 100) == allowed


def test_without_a_limit_nothing_is_counted(buckets: Buckets) -> None:
    limits = RateLimits(buckets, None, 1.0)
    principal = key()
    assert admitted(limits, principal, 10_000) == 10_000
    limits.charge(principal, 1_000)
    assert limits.wait_s(principal) == 0
    assert admitted(limits, key(2), 10) == 2


def test_a_limit_that_changes_holds_from_then_on(buckets: Buckets, clock: Clock) -> None:
    limits, principal = RateLimits(buckets, None, 1.0), key(1_000)
    assert admitted(limits, principal, 2_000) == 1_000
    clock.advance(1)
    assert admitted(limits, attrs.evolve(principal, rate_limit_per_s=5), 100) == 5


def test_several_processes_have_one_limit_together(buckets: Buckets, clock: Clock) -> None:
    workers = [RateLimits(buckets, 1_000, 1.0) for _ in range(4)]
    principal = key()
    assert sum(admitted(worker, principal, 1_000) for worker in workers) == 1_000
    clock.advance(0.5)
    assert sum(admitted(worker, principal, 1_000) for worker in reversed(workers)) == 500


def test_each_process_with_buckets_of_its_own_would_have_a_limit_of_its_own() -> None:
    """The same without what they share: so the test above can fail."""
    clock, principal = Clock(), key()
    assert sum(admitted(RateLimits(Buckets(clock), 1_000, 1.0), principal, 1_000) for _ in range(4)) == 4_000


def test_a_process_that_begins_anew_does_not_widen_the_limit(buckets: Buckets) -> None:
    principal = key()
    assert admitted(RateLimits(buckets, 1_000, 1.0), principal, 700) == 700
    # What it had at hand is lost with it: at most a hundredth of the rate.
    assert 290 <= admitted(RateLimits(buckets, 1_000, 1.0), principal, 1_000) <= 300


def test_what_is_charged_is_paid_before_anything_else_is_let_in(buckets: Buckets, clock: Clock) -> None:
    limits, principal = RateLimits(buckets, 100, 1.0), key()
    assert limits.wait_s(principal) == 0
    limits.charge(principal, 499)
    assert limits.wait_s(principal) == pytest.approx(4.01, abs=0.02)
    clock.advance(4.0)
    assert limits.wait_s(principal) > 0
    clock.advance(0.02)
    assert limits.wait_s(principal) == 0


def test_a_charge_is_covered_by_what_is_there(buckets: Buckets) -> None:
    limits, principal = RateLimits(buckets, 1_000, 1.0), key()
    assert limits.wait_s(principal) == 0
    limits.charge(principal, 3)
    limits.charge(principal, 496)
    assert admitted(limits, principal, 2_000) == 500


def test_a_bucket_of_a_key_that_rests_makes_room_for_others(buckets: Buckets, clock: Clock) -> None:
    """More keys than places: each gets its burst, as long as not all of them are at it at once."""
    rate = Rate.of(1, 1.0)
    for _ in range(3):
        for _ in range(PLACES // 2):
            assert buckets.take(uuid4(), rate, 5) == (1, 0)
        clock.advance(2)


def test_when_all_places_are_taken_the_fullest_bucket_gives_way(buckets: Buckets, clock: Clock) -> None:
    rate = Rate.of(1, 100.0)
    crowd = [UUID(int=(number << 32) | 5) for number in range(1, PLACES_TRIED + 2)]
    for spent, id in enumerate(crowd[:-1], 1):
        assert buckets.take(id, rate, spent) == (spent, 0)
    assert buckets.take(crowd[-1], rate, 100) == (100, 0)
    # The first had spent one, and has it back; the others are as they were.
    assert buckets.take(crowd[1], rate, 200) == (98, 0)
    assert buckets.take(crowd[PLACES_TRIED - 1], rate, 200) == (100 - PLACES_TRIED, 0)


def stopped_clock() -> int:
    return NS


def take_and_hold_lock(buckets: Buckets, id: UUID, told: Connection) -> None:
    told.send(buckets.take(id, Rate.of(1_000, 1.0), 400))
    fcntl.lockf(buckets._file, fcntl.LOCK_EX)
    told.send("locked")
    told.recv()


def test_processes_share_the_memory_and_one_that_is_killed_while_it_has_the_lock_leaves_none() -> None:
    context = multiprocessing.get_context("spawn")
    id, rate = uuid4(), Rate.of(1_000, 1.0)
    with Buckets(stopped_clock) as buckets:
        assert buckets.take(id, rate, 500) == (500, 0)
        here, there = context.Pipe()
        other = context.Process(target=take_and_hold_lock, args=(buckets, id, there))
        other.start()
        assert here.recv() == (400, 0)
        assert here.recv() == "locked"
        # Not waited for: whoever is held up while it has the lock would hold up everybody. A lot is let in on trust.
        assert buckets.take(id, rate, 1) is None
        limits, principal = RateLimits(buckets, 1_000, 1.0), Principal(TENANT, id, frozenset())
        assert [limits.wait_s(principal) for _ in range(20)] == [0.0] * 10 + [HELD_UP_S] * 10
        other.kill()
        other.join()
        # Of the 100 that were left, 10 have been spent already.
        assert admitted(limits, principal, 1_000) == 90
