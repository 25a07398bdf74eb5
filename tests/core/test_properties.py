"""What holds for any schedule of batches, while time advances: found out on random ones, with duplicates of commands,
keys used twice, fences, holds that come due, and amounts at the bounds."""

from collections.abc import Sequence
from datetime import datetime

from hypothesis import given

from tests.support.book import TENANT, Book, run
from tests.support.histories import History, prove, read_history
from tests.support.model import Model, end_of
from tests.support.strategies import FOUNDATION, Draft, Targets, schedules
from wallet_core import Applied, Command, Fenced, FenceKey, Outcome, Rejected, Replayed

Schedule = Sequence[tuple[int, Sequence[Draft]]]
Step = tuple[datetime, Command, Outcome]


def play(schedule: Schedule, book: Book, *, one_by_one: bool = False) -> list[Step]:
    """Carry out the schedule: what came when, and how it ended."""
    targets = Targets()
    steps: list[Step] = []
    for seconds, batch in ((0, FOUNDATION), *schedule):
        book.clock.advance(seconds)
        commands = targets.resolve(batch, book.ids.upcoming(len(batch)))
        if one_by_one:
            outcomes = [outcome for command in commands for outcome in book.do(command)]
        else:
            outcomes = list(book.do(*commands))
        assert len(outcomes) == len(commands)
        targets.learn(commands, outcomes)
        steps += [(book.clock.now, command, outcome) for command, outcome in zip(commands, outcomes, strict=True)]
    return steps


def history(book: Book) -> History:
    return run(read_history(book.store, TENANT))


@given(schedules)
def test_a_batch_equals_the_same_commands_one_by_one(schedule: Schedule) -> None:
    """To the byte: outcomes, ids, times and hashes."""
    whole, single = Book(), Book()
    assert play(schedule, whole) == play(schedule, single, one_by_one=True)
    assert history(whole) == history(single)


@given(schedules)
def test_every_balance_is_explained_and_no_limit_is_ever_crossed(schedule: Schedule) -> None:
    """Σ balances = Σ in − Σ out; floor ≤ balance − held, balance ≤ ceiling at every entry; version = number of entries;
    each hash follows from the one before."""
    book = Book()
    play(schedule, book)
    prove(history(book))


@given(schedules)
def test_every_command_ends_as_the_plain_model_says(schedule: Schedule) -> None:
    book, model = Book(), Model()
    for now, command, outcome in play(schedule, book):
        assert end_of(outcome) == model.expect(command, now), command
        match outcome:
            case Applied(transaction):
                for hold in model.follow(command, now, transaction.id):
                    model.follow_expiry(hold, book.decision(f"expiry {hold}").id)
                model.remember(command)
            case Rejected() | Fenced():
                model.remember(command)
            case _:
                pass
    for wallet in book.wallets():
        plain = model.wallets[wallet.id]
        assert (wallet.balance, wallet.version, wallet.status) == (plain.balance, plain.version, plain.status)
        assert (wallet.floor, wallet.ceiling) == (plain.floor, plain.ceiling)
        assert wallet.held == model.held(wallet.id, book.clock.now)


@given(schedules)
def test_whatever_was_decided_is_replayed_at_any_later_time_and_changes_nothing(schedule: Schedule) -> None:
    book = Book()
    steps = play(schedule, book)
    book.clock.advance(1_000_000)
    before = history(book)
    for _, command, outcome in steps:
        match outcome:
            case Applied(transaction):
                expected: Outcome = Replayed(transaction)
            case Rejected(rejection):
                expected = Replayed(rejection)
            case Replayed() | Fenced():
                expected = outcome
            case _:
                continue
        assert list(book.do(command)) == [expected]
        if isinstance(expected, Replayed):
            assert list(book.do(FenceKey(command.key))) == [expected]
    assert history(book) == before


@given(schedules)
def test_only_an_applied_command_changes_anything(schedule: Schedule) -> None:
    book, targets = Book(), Targets()
    book.do(*FOUNDATION)
    for seconds, batch in schedule:
        book.clock.advance(seconds)
        for command in targets.resolve(batch, book.ids.upcoming(1)):
            before = history(book)
            (outcome,) = book.do(command)
            targets.learn([command], [outcome])
            assert (history(book) != before) == isinstance(outcome, Applied)
