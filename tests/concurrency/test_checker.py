"""The checker of histories is itself checked: a real history passes, and no part of it can be altered unseen."""

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest

from tests.concurrency.arena import Arena
from tests.concurrency.contents import Contents
from tests.concurrency.fleet import Fleet
from tests.concurrency.history import Call, Look, check_history
from tests.concurrency.proof import prove
from tests.concurrency.violations import (
    AcknowledgedLost,
    BrokenChain,
    DoubleEffect,
    LimitCrossed,
    LostUpdate,
    Phantom,
    Unexplained,
    Violation,
    WrongOrder,
    WrongReceipt,
)
from wallet_core import (
    Applied,
    CaptureHold,
    Contention,
    FenceKey,
    KeyFenced,
    KeyReused,
    PlaceHold,
    VersionConflict,
    credit,
    debit,
    transfer,
)


@attrs.frozen
class Evidence:
    """What clients were told, and what is there."""

    calls: Sequence[Call]
    contents: Contents
    looks: Sequence[Look] = ()

    def check(self) -> None:
        prove(self.contents)
        check_history(self.calls, self.contents, self.looks)

    def call(self, key: str) -> Call:
        return next(call for call in self.calls if call.key == key)

    def with_call(self, key: str, **changes: Any) -> "Evidence":
        """The same, but that one call went otherwise."""
        altered = attrs.evolve(self.call(key), **changes)
        return attrs.evolve(self, calls=[altered if call.key == key else call for call in self.calls])

    def with_row(self, table: str, place: int, **changes: object) -> "Evidence":
        """The same, but that one row is otherwise."""
        rows = list(getattr(self.contents, table))
        rows[place] = attrs.evolve(rows[place], **changes)
        return attrs.evolve(self, contents=attrs.evolve(self.contents, **{table: rows}))

    def place(self, key: str) -> int:
        """Where a transaction's row is."""
        keys = [row.idempotency_key for row in self.contents.transactions]
        return keys.index(key)

    def without(self, table: str, place: int) -> "Evidence":
        """The same, but that one row is missing."""
        rows = list(getattr(self.contents, table))
        del rows[place]
        return attrs.evolve(self, contents=attrs.evolve(self.contents, **{table: rows}))


@pytest.fixture(scope="module")
def evidence(shared_database: str, fleet: Fleet) -> Evidence:
    """A short history, with one of everything."""
    arena = Arena.open(shared_database, fleet)
    a, b = arena.open_wallets(2, balance=100)
    arena.apply(transfer("moved", a, b, 30))
    arena.apply(credit("paid", a, 5))
    hold = arena.apply(PlaceHold("held", b, 40)).id
    arena.apply(CaptureHold("taken", hold, 10, final=False))
    arena.carry_out(debit("refused", a, 1_000), FenceKey("fenced"), credit("late", a, 1, expected_version=1))
    arena.carry_out(credit("fenced", a, 1), credit("paid", a, 6))
    contents = arena.check()
    last = next(wallet for wallet in contents.wallets if wallet.id == a)
    now_ns = max(call.completed_ns for call in arena.record.calls)
    look = Look(a, now_ns + 1, now_ns + 2, last.version, last.balance)
    return Evidence(arena.record.calls, contents, [look])


def test_a_true_history_passes(evidence: Evidence) -> None:
    evidence.check()


def _doubled(evidence: Evidence) -> Evidence:
    rows = [*evidence.contents.transactions, evidence.contents.transactions[0]]
    return attrs.evolve(evidence, contents=attrs.evolve(evidence.contents, transactions=rows))


def _receipt_altered(evidence: Evidence) -> Evidence:
    outcome = evidence.call("paid").outcome
    assert isinstance(outcome, Applied)
    (entry,) = outcome.transaction.entries
    altered = attrs.evolve(outcome.transaction, entries=(attrs.evolve(entry, balance_after=0),))
    return evidence.with_call("paid", outcome=Applied(altered))


def _told_twice(evidence: Evidence) -> Evidence:
    return attrs.evolve(evidence, calls=[*evidence.calls, evidence.call("moved")])


def _never_written(evidence: Evidence) -> Evidence:
    paid = evidence.call("paid")
    other = Call(credit("other", evidence.contents.wallets[0].id, 5), 0, 1, paid.outcome)
    return attrs.evolve(evidence, calls=[*evidence.calls, other])


def _not_called(evidence: Evidence) -> Evidence:
    return attrs.evolve(evidence, calls=[call for call in evidence.calls if call.key != "moved"])


def _looked_late(evidence: Evidence) -> Evidence:
    (look,) = evidence.looks
    return attrs.evolve(evidence, looks=[attrs.evolve(look, version=1, balance=0)])


def _looked_early(evidence: Evidence) -> Evidence:
    (look,) = evidence.looks
    return attrs.evolve(evidence, looks=[attrs.evolve(look, invoked_ns=0, completed_ns=1)])


def _saw_nothing_real(evidence: Evidence) -> Evidence:
    (look,) = evidence.looks
    return attrs.evolve(evidence, looks=[attrs.evolve(look, balance=look.balance + 1)])


ALTERATIONS: dict[str, tuple[Callable[[Evidence], Evidence], type[Violation]]] = {
    "an amount": (lambda e: e.with_row("entries", 1, change=101), LostUpdate),
    "a running balance": (lambda e: e.with_row("entries", 1, balance_after=101), LostUpdate),
    "a version": (lambda e: e.with_row("entries", 1, version=3), LostUpdate),
    "a hash": (lambda e: e.with_row("entries", 1, hash=bytes(32)), BrokenChain),
    "the head of a chain": (lambda e: e.with_row("wallets", 0, head=bytes(32)), BrokenChain),
    "a balance": (lambda e: e.with_row("wallets", 0, balance=0), LostUpdate),
    "what a wallet holds": (lambda e: e.with_row("wallets", 0, held=1), LostUpdate),
    "what was captured": (lambda e: e.with_row("holds", 0, captured=11), Unexplained),
    "the status of a hold": (lambda e: e.with_row("holds", 0, status="captured"), Unexplained),
    "the amount of a hold": (lambda e: e.with_row("holds", 0, amount=9), DoubleEffect),
    "a key": (lambda e: e.with_row("transactions", e.place("moved"), idempotency_key="gone"), BrokenChain),
    "an intent": (lambda e: e.with_row("transactions", e.place("moved"), intent="{}"), BrokenChain),
    "a limit": (
        lambda e: e.with_row("transactions", 0, intent=e.contents.transactions[0].intent.replace("null", "7", 1)),
        LimitCrossed,
    ),
    "a missing entry": (lambda e: e.without("entries", 1), LostUpdate),
    "a missing wallet": (lambda e: e.without("wallets", 0), Unexplained),
    "a missing transaction": (lambda e: e.without("transactions", e.place("paid")), Unexplained),
    "a missing rejection": (lambda e: e.without("transactions", e.place("refused")), AcknowledgedLost),
    "a missing fence": (lambda e: e.without("transactions", e.place("fenced")), AcknowledgedLost),
    "one key twice": (_doubled, DoubleEffect),
    "two who were first": (_told_twice, DoubleEffect),
    "another receipt": (_receipt_altered, WrongReceipt),
    "something that was told and is not there": (_never_written, AcknowledgedLost),
    "something that nobody asked for": (_not_called, Phantom),
    "something that was refused and is there": (
        lambda e: e.with_call("moved", outcome=VersionConflict(e.contents.wallets[0].id, 1, 2)),
        Phantom,
    ),
    "something that was given up and is there": (lambda e: e.with_call("moved", outcome=Contention()), Phantom),
    "a key that was not used for something else": (
        lambda e: e.with_call("moved", outcome=KeyReused("moved")),
        WrongReceipt,
    ),
    "a key that was not fenced": (lambda e: e.with_call("moved", outcome=KeyFenced("moved")), WrongReceipt),
    "an effect before its cause": (lambda e: e.with_call("moved", invoked_ns=2**62, completed_ns=2**62), WrongOrder),
    "a read that missed what was acknowledged": (_looked_late, WrongOrder),
    "a read that saw what was still to come": (_looked_early, WrongOrder),
    "a read of what never was": (_saw_nothing_real, WrongOrder),
}


@pytest.mark.parametrize("what", ALTERATIONS)
def test_an_altered_history_is_found_out(evidence: Evidence, what: str) -> None:
    alter, violation = ALTERATIONS[what]
    with pytest.raises(violation):
        alter(evidence).check()
