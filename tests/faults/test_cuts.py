"""The way to PostgreSQL is cut, or stands still, at every moment of a batch: what callers are told is so, and what they
ask for again under the same key has happened once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import product

import attrs
import pytest

from adapters.postgres import session, silence
from tests.concurrency.violations import DoubleEffect
from tests.databases import Databases
from tests.faults.desk import KINDS, Desk, desk
from tests.support.proxy.postgres import Point
from tests.support.proxy.rules import Action, Cut, HalfOpen, Rule, Stall, Truncate
from tests.support.waits import until
from wallet_core import Applied, DatabaseUnavailable, Unknown, credit
from wallet_core import ledger as ledger_module

# Where in the protocol, and at which statement.
MOMENTS: dict[str, tuple[Point, str | None]] = {
    "start-up": (Point.START_UP, None),
    "begin": (Point.STATEMENT_SENT, "BEGIN"),
    "load": (Point.STATEMENT_SENT, "WITH w AS"),
    "append transactions": (Point.STATEMENT_SENT, "INSERT INTO transactions"),
    "append entries": (Point.STATEMENT_SENT, "INSERT INTO entries"),
    "before commit": (Point.BEFORE_COMMIT, None),
    "commit sent": (Point.COMMIT_SENT, None),
    "after commit": (Point.AFTER_COMMIT, None),
}
CUTS: tuple[Action, ...] = (Cut(), Cut(reset=False), Truncate(3))
IN_TIME_S = 8.0

LIMITS_MS: dict[str, int] = {
    "pool_timeout_ms": 2000,
    "connect_timeout_ms": 500,
    "statement_timeout_ms": 400,
    "lock_timeout_ms": 400,
    "idle_in_transaction_timeout_ms": 300,
}


@pytest.fixture(scope="module")
def dsn(databases: Databases) -> Iterator[str]:
    created = databases.create()
    yield created
    databases.drop(created)


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's own limits speak first, and then those for a server that is not heard."""
    monkeypatch.setattr(session, "PROMPT_S_MAX", 0.3)
    monkeypatch.setattr(silence, "ANSWER_MARGIN_S", 0.2)


@pytest.fixture
async def counter(dsn: str) -> AsyncIterator[Desk]:
    async with desk(dsn, **LIMITS_MS) as made:
        yield made


def _armed(counter: Desk, moment: str, action: Action) -> Rule:
    point, text = MOMENTS[moment]
    if point is Point.START_UP:
        # So that there is one.
        counter.proxy.cut_all()
    return counter.arm(point, action, text)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_batch_that_is_cut_once_is_applied_once_and_says_so(counter: Desk, moment: str) -> None:
    for cut, kind in product(CUTS, KINDS):
        rule = _armed(counter, moment, cut)
        commands = counter.commands(kind)
        told = await counter.do(commands)
        await rule.fired()
        assert all(isinstance(outcome, Applied) for outcome in told)
        await counter.require_told_truly(commands, told)
        await counter.resolve(commands, told)
        counter.proxy.disarm(rule)
    await counter.prove()
    await counter.require_healthy()


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_batch_that_stands_still_for_less_than_its_limit_is_applied_as_if_nothing_had_been(
    counter: Desk, moment: str
) -> None:
    for kind in KINDS:
        rule = _armed(counter, moment, Stall(0.05))
        told = await counter.do(counter.commands(kind))
        await rule.fired()
        assert all(isinstance(outcome, Applied) for outcome in told)
        counter.proxy.disarm(rule)
    await counter.prove()
    await counter.require_healthy()


async def _past_its_limit(dsn: str, moment: str, action: Action) -> None:
    """One batch meets one fault that lasts, is told something true in time, and is resolved by its keys."""
    async with desk(dsn, **LIMITS_MS) as counter:
        rule = _armed(counter, moment, action)
        commands = counter.commands("batch")
        async with asyncio.timeout(IN_TIME_S):
            told = await counter.do(commands)
        await rule.fired()
        await counter.require_told_truly(commands, told)
        # What stood still arrives now, after its caller has been told.
        rule.release()
        await until(lambda: counter.none_in(("idle in transaction", "active")))
        await counter.resolve(commands, told)
        await counter.prove()
        await counter.require_healthy()


@pytest.mark.parametrize(
    "action", [HalfOpen(), HalfOpen(server_closed=True), Stall()], ids=["half-open", "server gone", "stalled"]
)
async def test_a_batch_that_is_not_answered_is_told_in_time_and_applied_once(dsn: str, action: Action) -> None:
    """At each moment, all side by side, since most of it is waiting."""
    await asyncio.gather(*(_past_its_limit(dsn, moment, action) for moment in MOMENTS))


@pytest.mark.parametrize(
    ("point", "expected", "kept"),
    [
        (Point.START_UP, DatabaseUnavailable, False),
        (Point.STATEMENT_SENT, DatabaseUnavailable, False),
        (Point.BEFORE_COMMIT, Unknown, False),
    ],
)
async def test_what_is_cut_every_time_is_not_applied_until_it_is_asked_again(
    counter: Desk, point: Point, expected: type, kept: bool
) -> None:
    """A COMMIT that never got an answer is unknown, although it happens not to have been heard."""
    counter.proxy.cut_all()
    rule = counter.arm(point, Cut(), times=None)
    commands = counter.commands("batch")
    told = await counter.do(commands)
    await rule.fired(2)
    assert {type(outcome) for outcome in told} == {expected}
    decided = {row.idempotency_key for row in (await counter.contents()).transactions}
    assert (commands[0].key in decided) == kept
    counter.proxy.disarm()
    await counter.resolve(commands, told)
    await counter.prove()
    await counter.require_healthy()


async def test_after_a_lost_answer_with_nobody_to_ask_the_outcome_is_unknown_and_the_key_tells_it(
    counter: Desk,
) -> None:
    commands = counter.commands("batch")
    committed = counter.arm(Point.AFTER_COMMIT, Cut())
    doing = asyncio.create_task(counter.do(commands))
    await committed.fired()
    counter.proxy.refuse()
    counter.proxy.cut_all()
    told = await doing
    assert {type(outcome) for outcome in told} == {Unknown}
    await counter.proxy.listen()
    await counter.resolve(commands, told)
    await counter.prove()
    await counter.require_healthy()


async def test_a_commit_that_is_heard_after_its_caller_gave_up_counts_once(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second attempt waits for the key that the first one holds, until the first one's COMMIT arrives."""
    monkeypatch.setattr(silence, "ANSWER_MARGIN_S", -4.7)
    async with desk(dsn, statement_timeout_ms=5000, lock_timeout_ms=5000, idle_in_transaction_timeout_ms=9000) as slow:
        rule = slow.arm(Point.BEFORE_COMMIT, Stall())
        commands = slow.commands("batch")
        doing = asyncio.create_task(slow.do(commands))
        await rule.fired()
        await until(slow.waits_for_lock)
        rule.release()
        told = await doing
        assert {type(outcome) for outcome in told} == {Applied}
        await slow.require_told_truly(commands, told)
        await slow.resolve(commands, told)
        await slow.prove()
        await slow.require_healthy()


async def test_a_retry_under_a_new_key_has_a_double_effect_and_is_caught(
    counter: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the same key is for: here the client takes a lost answer for a failure, and asks anew."""
    monkeypatch.setattr(ledger_module, "CONNECTION_ATTEMPTS_MAX", 1)
    rule = counter.arm(Point.AFTER_COMMIT, Cut())
    intended = credit(counter.key(), counter.first, 5)
    (told,) = await counter.do([intended])
    await rule.fired()
    assert isinstance(told, Unknown)
    await counter.ledger.execute(counter.tenant, [attrs.evolve(intended, key="anew")])
    with pytest.raises(DoubleEffect):
        await counter.prove()


async def test_a_slow_way_in_small_pieces_changes_nothing(counter: Desk) -> None:
    counter.proxy.shape.delay_ms = 0.5
    counter.proxy.shape.piece_bytes_max = 512
    for kind in KINDS:
        told = await counter.do(counter.commands(kind))
        assert all(isinstance(outcome, Applied) for outcome in told)
    await counter.prove()
