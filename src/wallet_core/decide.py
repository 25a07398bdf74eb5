"""Deciding a batch: a pure fold over its commands. It never awaits, logs, reads a clock or makes an id.

Precedence, for each command: its key (replay, reuse, fence); what it names exists; expected versions; then the rules
(``wallet_core.rules``). Each command sees the effects of those before it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import assert_never
from uuid import UUID

import attrs

from wallet_core.commands import ChangeWallet, Command, FenceKey, OpenWallet
from wallet_core.model import Decision, Fence, Rejection, Transaction
from wallet_core.money import Currency
from wallet_core.outcomes import (
    Applied,
    Fenced,
    KeyFenced,
    KeyReused,
    NotFound,
    Outcome,
    Rejected,
    Replayed,
    VersionConflict,
    WalletExists,
)
from wallet_core.ports import DUE_HOLDS_MAX, Changes, Snapshot
from wallet_core.rules import Plannable, first_reason, plan
from wallet_core.state import Account, State, new_account


@attrs.frozen
class Decided:
    """One outcome per command, and what has to be written before any of them may be told."""

    outcomes: list[Outcome]
    changes: Changes


def decide_batch(snapshot: Snapshot, commands: Sequence[Command], ids: Iterator[UUID]) -> Decided:
    """Decide the commands in order. ``ids`` is an endless supply of new ids, sorted by ``snapshot.now``."""
    deciding = Deciding(snapshot, ids)
    deciding.go_on(commands)
    return deciding.decided()


class Deciding:
    """The same in several steps, for a batch that is so large that others would wait for it too long."""

    def __init__(self, snapshot: Snapshot, ids: Iterator[UUID]) -> None:
        self._state = State(snapshot, ids)
        self._outcomes: list[Outcome] = []

    def go_on(self, commands: Sequence[Command]) -> None:
        """Decide the next of the commands."""
        state = self._state
        self._outcomes += [_decide(command, state) for command in commands]

    def decided(self) -> Decided:
        """What has been decided."""
        return Decided(self._outcomes, self._state.changes())


def expire_crowds(snapshot: Snapshot, ids: Iterator[UUID]) -> Changes:
    """The expiry of due holds, and nothing else, for wallets that have too many to be decided about with the rest."""
    due = Counter(hold.wallet_id for hold in snapshot.holds.values() if hold.is_due(snapshot.now))
    state = State(snapshot, ids)
    for wallet_id in sorted(due):
        if due[wallet_id] > DUE_HOLDS_MAX:
            state.expire_due(wallet_id)
    return state.changes()


def _decide(command: Command, state: State) -> Outcome:
    known = state.decisions.get(command.key)
    if isinstance(command, FenceKey):
        return _fence(command, known, state)
    intent = command.intent()
    if known is not None:
        return _recall(known, intent)
    if isinstance(command, OpenWallet):
        return _open(command, intent, state)
    return _carry_out(command, intent, state)


def _recall(known: Decision, intent: str) -> Outcome:
    match known:
        case Fence():
            return KeyFenced(known.key)
        case Transaction() | Rejection():
            return Replayed(known) if known.intent == intent else KeyReused(known.key)
        case _:
            assert_never(known)


def _fence(command: FenceKey, known: Decision | None, state: State) -> Outcome:
    match known:
        case None:
            fence = Fence(next(state.ids), command.key, state.now)
            state.remember(fence)
            return Fenced(fence)
        case Fence():
            return Fenced(known)
        case Transaction() | Rejection():
            return Replayed(known)
        case _:
            assert_never(known)


def _open(command: OpenWallet, intent: str, state: State) -> Outcome:
    id = next(state.ids)
    wallet_id = id if command.id is None else command.id
    if wallet_id in state.accounts:
        return WalletExists(wallet_id)
    account = new_account(
        wallet_id, Currency(command.currency), command.floor, command.ceiling, command.metadata, state.now
    )
    return Applied(state.open(id, account, command.key, intent))


def _carry_out(command: Plannable, intent: str, state: State) -> Outcome:
    id = next(state.ids)
    planned = plan(command, intent, id, state)
    if isinstance(planned, NotFound):
        return planned
    for wallet_id, expected in planned.guards.items():
        current = state.accounts[wallet_id].version
        if current != expected:
            return VersionConflict(wallet_id, expected, current)
    refusal = first_reason(planned, state)
    if refusal is not None:
        reason, details = refusal
        # In canonical order from the start, so that a replay, read back from storage, has the same bytes.
        details = {name: details[name] for name in sorted(details)}
        rejection = Rejection(id, command.kind, command.key, intent, reason, details, state.now)
        state.remember(rejection)
        return Rejected(rejection)
    if planned.amends is not None:
        _amend(state.accounts[planned.amends.wallet_id], planned.amends)
    return Applied(state.apply(id, planned.effect))


def _amend(account: Account, change: ChangeWallet) -> None:
    if change.status is not None:
        account.status = change.status
    if change.floor is not None:
        account.floor = change.floor
    if change.ceiling is not None:
        account.ceiling = change.ceiling.ceiling
    if change.metadata is not None:
        account.metadata = change.metadata
