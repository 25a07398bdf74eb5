"""Checks what clients were told against what the ledger holds, in linear time and without a search.

The ledger gives each wallet's writes their order, the version, so nothing has to be guessed: every call that was
answered is looked up by its key, and what was complete before something else began must come before it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Final
from uuid import UUID

import attrs

from tests.concurrency.contents import Contents, EntryRow, TransactionRow
from tests.concurrency.violations import AcknowledgedLost, DoubleEffect, Phantom, WrongOrder, WrongReceipt
from wallet_core import (
    Applied,
    Command,
    Contention,
    DatabaseUnavailable,
    Fence,
    Fenced,
    FenceKey,
    KeyFenced,
    KeyReused,
    NotFound,
    Outcome,
    Overloaded,
    Rejected,
    Rejection,
    Replayed,
    Transaction,
    VersionConflict,
    WalletExists,
)
from wallet_core.canonical import canonical_json, result_json
from wallet_core.model import Decision

NOT_APPLIED: Final = (Contention, DatabaseUnavailable, NotFound, Overloaded, VersionConflict, WalletExists)
EXPIRY_PREFIX: Final = "expiry "


@attrs.frozen
class Call:
    """One command as a client sent it, and what came of it. An outcome of None: no answer ever came.

    Times are nanoseconds of the machine's monotonic clock, which all its processes share.
    """

    command: Command
    invoked_ns: int
    completed_ns: int
    outcome: Outcome | None

    @property
    def key(self) -> str:
        return self.command.key


@attrs.frozen
class Look:
    """A read of one wallet, and what it showed."""

    wallet_id: UUID
    invoked_ns: int
    completed_ns: int
    version: int
    balance: int


def check_history(calls: Sequence[Call], contents: Contents, looks: Iterable[Look] = ()) -> None:
    """Raise the ``Violation`` that the calls show against the ledger, if they show any.

    ``calls`` are all the calls that were ever made on the tenant.
    """
    by_key: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        by_key[call.key].append(call)
    rows = {row.idempotency_key: row for row in contents.transactions}
    entries: dict[UUID, list[EntryRow]] = defaultdict(list)
    for entry in contents.entries:
        entries[entry.transaction_id].append(entry)
    for key, same_key in by_key.items():
        _check_key(key, same_key, rows.get(key), entries)
    holds = {f"{EXPIRY_PREFIX}{hold.id}" for hold in contents.holds}
    unasked = rows.keys() - by_key.keys() - holds
    if unasked:
        raise Phantom(f"decided without a call: {sorted(unasked)[:5]}")
    _check_order(by_key, contents, looks)


def _check_key(
    key: str, calls: Sequence[Call], row: TransactionRow | None, entries: Mapping[UUID, Sequence[EntryRow]]
) -> None:
    first_hand = 0
    may_exist = False
    for call in calls:
        told = _decision_in(call.outcome)
        if told is not None:
            if row is None:
                raise AcknowledgedLost(f"{key}: {call.outcome}")
            _check_receipt(told, row, entries.get(row.id, ()))
            may_exist = True
            first_hand += isinstance(call.outcome, Applied | Rejected)
        else:
            _check_refusal(call, row)
            may_exist = may_exist or not isinstance(call.outcome, NOT_APPLIED)
    if first_hand > 1:
        raise DoubleEffect(f"{first_hand} callers were told that theirs was the first under the key {key}")
    if row is not None:
        if not may_exist:
            raise Phantom(f"{key} was refused without being remembered, and is in the ledger: {row}")
        if row.intent not in {_intent(call.command) for call in calls}:
            raise Phantom(f"{key} was decided with an intent that nobody had: {row}")


def _decision_in(outcome: Outcome | None) -> Decision | None:
    match outcome:
        case Applied():
            return outcome.transaction
        case Rejected():
            return outcome.rejection
        case Replayed():
            return outcome.decision
        case Fenced():
            return outcome.fence
        case _:
            return None


def _check_refusal(call: Call, row: TransactionRow | None) -> None:
    match call.outcome:
        case KeyReused() if row is None or row.intent == _intent(call.command):
            raise WrongReceipt(f"{call.key} was not decided with another intent: {row}")
        case KeyFenced() if row is None or row.outcome != "fenced":
            raise WrongReceipt(f"{call.key} was not fenced: {row}")
        case _:
            return


def _intent(command: Command) -> str:
    return '{"kind":"fence"}' if isinstance(command, FenceKey) else command.intent()


def _check_receipt(told: Decision, row: TransactionRow, entries: Sequence[EntryRow]) -> None:
    match told:
        case Transaction():
            versions = [(entry.wallet_id, entry.version) for entry in told.entries]
            same = (told.kind, told.intent, told.reverses) == (row.kind, row.intent, row.reverses) and result_json(
                told.moves, versions, told.hold
            ) == row.result
            stored = {(entry.wallet_id, entry.version): entry for entry in entries}
            for entry in told.entries:
                found = stored.get((entry.wallet_id, entry.version))
                same = same and found is not None and attrs.astuple(entry)[2:] == attrs.astuple(found)[3:]
            outcome = "applied"
        case Rejection():
            result = canonical_json({"details": told.details, "reason": told.reason.value})
            same = (told.kind, told.intent, result) == (row.kind, row.intent, row.result)
            outcome = "rejected"
        case Fence():
            same, outcome = True, "fenced"
    if not same or (told.id, told.created_at, outcome) != (row.id, row.created_at, row.outcome):
        raise WrongReceipt(f"told {told}, stored {row}")


@attrs.frozen
class _Span:
    """When a key's effect may have come about: not before it was first asked for, nor after it was first told of."""

    invoked_ns: int
    told_ns: float


def _span(calls: Sequence[Call]) -> _Span:
    told = [call.completed_ns for call in calls if _decision_in(call.outcome) is not None]
    return _Span(min(call.invoked_ns for call in calls), min(told, default=float("inf")))


def _check_order(by_key: Mapping[str, Sequence[Call]], contents: Contents, looks: Iterable[Look]) -> None:
    key_of = {row.id: row.idempotency_key for row in contents.transactions}
    spans = {key: _span(calls) for key, calls in by_key.items()}
    histories: dict[UUID, list[tuple[EntryRow, _Span]]] = defaultdict(list)
    for entry in contents.entries:
        # An expiry has no call of its own, and so no time at which anyone asked for it.
        span = spans.get(key_of[entry.transaction_id], _Span(0, float("inf")))
        histories[entry.wallet_id].append((entry, span))
    for history in histories.values():
        invoked_ns_max = 0
        for entry, span in history:
            if span.told_ns < invoked_ns_max:
                raise WrongOrder(f"{entry} was complete before one with a lower version began")
            invoked_ns_max = max(invoked_ns_max, span.invoked_ns)
    told_ns_from = {wallet_id: _told_ns_from(history) for wallet_id, history in histories.items()}
    for look in looks:
        _check_look(look, histories[look.wallet_id], told_ns_from.get(look.wallet_id, ()))


def _told_ns_from(history: Sequence[tuple[EntryRow, _Span]]) -> list[float]:
    """At each place, when the first of the entries from there on was told of."""
    backwards = accumulate((span.told_ns for _, span in reversed(history)), min, initial=float("inf"))
    return list(backwards)[::-1]


def _check_look(look: Look, history: Sequence[tuple[EntryRow, _Span]], told_ns_from: Sequence[float]) -> None:
    if not 1 <= look.version <= len(history) or history[look.version - 1][0].balance_after != look.balance:
        raise WrongOrder(f"{look} saw what never was")
    if told_ns_from[look.version] < look.invoked_ns:
        raise WrongOrder(f"{look} missed what had been acknowledged before it began")
    if history[look.version - 1][1].invoked_ns > look.completed_ns:
        raise WrongOrder(f"{look} saw what was asked for only after it ended")
