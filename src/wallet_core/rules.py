"""The rules: what each kind of command names and would do, and which reason, if any, refuses it.

``plan`` works out a command against the state of the batch; ``first_reason`` then checks the plan in the documented
order of precedence (``Reason``). Both are pure. An amount is checked on the net change of each wallet.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import assert_never
from uuid import UUID

import attrs

from wallet_core.commands import CaptureHold, ChangeWallet, PlaceHold, Post, ReleaseHold, Reverse
from wallet_core.model import Hold, HoldStatus, Kind, Move, Posting, Reason, WalletStatus
from wallet_core.money import AMOUNT_MAX
from wallet_core.outcomes import NotFound, Thing
from wallet_core.state import Account, Effect, State

Details = Mapping[str, str | int | None]
Refusal = tuple[Reason, Details]

REVERSIBLE = frozenset({Kind.POST, Kind.CAPTURE})

Plannable = Post | PlaceHold | CaptureHold | ReleaseHold | Reverse | ChangeWallet


@attrs.frozen
class Plan:
    """What a command names, and would do. ``wallets``: all that must not be closed; ``leaving``: those that money
    leaves or is newly held on, which must not be frozen; ``refusal``: rule 5, the state of the hold or transaction."""

    effect: Effect
    wallets: Sequence[UUID]
    leaving: Iterable[UUID]
    guards: Mapping[UUID, int]
    refusal: Refusal | None = None
    amends: ChangeWallet | None = None


def plan(command: Plannable, intent: str, id: UUID, state: State) -> Plan | NotFound:
    """What the command would do, or the first thing it names that does not exist. ``id`` is its transaction's."""
    match command:
        case Post():
            return _plan_post(command, intent, state)
        case PlaceHold():
            return _plan_hold(command, intent, id, state)
        case CaptureHold():
            return _plan_capture(command, intent, state)
        case ReleaseHold():
            return _plan_release(command, intent, state)
        case Reverse():
            return _plan_reversal(command, intent, state)
        case ChangeWallet():
            return _plan_change(command, intent, state)
        case _:
            assert_never(command)


def _plan_post(command: Post, intent: str, state: State) -> Plan | NotFound:
    wallets = _wallets_of(command.postings)
    missing = _missing(wallets, state)
    if missing is not None:
        return missing
    effect = Effect(
        Kind.POST,
        command.key,
        intent,
        _moves(command.postings, state),
        _net_changes(wallets, command.postings),
        command.metadata,
    )
    return Plan(effect, wallets, _sources(command.postings), command.expected_versions)


def _plan_hold(command: PlaceHold, intent: str, id: UUID, state: State) -> Plan | NotFound:
    wallets = [command.wallet_id] if command.destination is None else [command.wallet_id, command.destination]
    missing = _missing(wallets, state)
    if missing is not None:
        return missing
    placed_at = state.time_of((command.wallet_id,))
    hold = Hold(
        id,
        command.wallet_id,
        command.destination,
        command.amount,
        captured=0,
        status=HoldStatus.ACTIVE,
        expires_at=None if command.expires_in_s is None else placed_at + timedelta(seconds=command.expires_in_s),
        created_at=placed_at,
    )
    changes = {command.wallet_id: (0, command.amount)}
    effect = Effect(Kind.HOLD, command.key, intent, (), changes, command.metadata, hold)
    guards = {} if command.expected_version is None else {command.wallet_id: command.expected_version}
    return Plan(effect, wallets, (command.wallet_id,), guards)


def _plan_capture(command: CaptureHold, intent: str, state: State) -> Plan | NotFound:
    hold = state.holds.get(command.hold_id)
    if hold is None:
        return NotFound(Thing.HOLD, command.hold_id)
    refusal = _not_active(hold, state)
    amount = hold.remaining if command.amount is None else command.amount
    if refusal is None and amount > hold.remaining:
        refusal = (
            Reason.CAPTURE_EXCEEDS_HOLD,
            {"hold_id": str(hold.id), "remaining": hold.remaining, "amount": amount},
        )
    done = command.final or amount == hold.remaining
    after = attrs.evolve(
        hold,
        captured=hold.captured + amount,
        status=HoldStatus.CAPTURED if done else HoldStatus.ACTIVE,
    )
    posting = Posting(hold.wallet_id, hold.destination, amount)
    changes = {hold.wallet_id: (-amount, -hold.remaining if done else -amount)}
    if hold.destination is not None:
        changes[hold.destination] = (amount, 0)
    effect = Effect(Kind.CAPTURE, command.key, intent, _moves((posting,), state), changes, {}, after)
    return Plan(effect, list(changes), (hold.wallet_id,), {}, refusal)


def _plan_release(command: ReleaseHold, intent: str, state: State) -> Plan | NotFound:
    hold = state.holds.get(command.hold_id)
    if hold is None:
        return NotFound(Thing.HOLD, command.hold_id)
    after = attrs.evolve(hold, status=HoldStatus.RELEASED)
    changes = {hold.wallet_id: (0, -hold.remaining)}
    effect = Effect(Kind.RELEASE, command.key, intent, (), changes, {}, after)
    return Plan(effect, (hold.wallet_id,), (), {}, _not_active(hold, state))


def _plan_reversal(command: Reverse, intent: str, state: State) -> Plan | NotFound:
    target = state.transactions.get(command.transaction_id)
    if target is None:
        return NotFound(Thing.TRANSACTION, command.transaction_id)
    refusal: Refusal | None = None
    if target.id in state.reversed:
        refusal = (Reason.ALREADY_REVERSED, {"transaction_id": str(target.id)})
    elif target.kind not in REVERSIBLE:
        refusal = (Reason.NOT_REVERSIBLE, {"transaction_id": str(target.id), "kind": target.kind.value})
    postings = [Posting(move.destination, move.source, move.amount) for move in target.moves]
    wallets = [entry.wallet_id for entry in target.entries]
    effect = Effect(
        Kind.REVERSAL,
        command.key,
        intent,
        _moves(postings, state),
        _net_changes(wallets, postings),
        command.metadata,
        reverses=target.id,
    )
    return Plan(effect, wallets, _sources(postings), {}, refusal)


def _plan_change(command: ChangeWallet, intent: str, state: State) -> Plan | NotFound:
    wallets = (command.wallet_id,)
    missing = _missing(wallets, state)
    if missing is not None:
        return missing
    effect = Effect(Kind.CHANGE, command.key, intent, (), {command.wallet_id: (0, 0)}, command.metadata or {})
    guards = {} if command.expected_version is None else {command.wallet_id: command.expected_version}
    return Plan(effect, wallets, (), guards, amends=command)


def first_reason(plan: Plan, state: State) -> Refusal | None:
    """The reason of the highest precedence that refuses the plan, with what was compared; None if nothing does."""
    accounts = state.accounts
    for id in plan.wallets:
        if accounts[id].status is WalletStatus.CLOSED:
            return Reason.WALLET_CLOSED, {"wallet_id": str(id), "status": "closed"}
    for id in plan.leaving:
        if accounts[id].status is WalletStatus.FROZEN:
            return Reason.WALLET_FROZEN, {"wallet_id": str(id), "status": "frozen"}
    if plan.amends is not None:
        return _refuses_change(plan.amends, accounts[plan.amends.wallet_id])
    if plan.refusal is not None:
        return plan.refusal
    return _different_currencies(plan, accounts) or _refuses_amounts(plan, accounts)


def _refuses_change(change: ChangeWallet, account: Account) -> Refusal | None:
    id = str(account.id)
    if change.status is WalletStatus.CLOSED and (account.balance != 0 or account.held_now != 0):
        return Reason.WALLET_NOT_EMPTY, {"wallet_id": id, "balance": account.balance, "held": account.held_now}
    if change.floor is not None and account.balance - account.held_now < change.floor:
        # Raising the floor takes as much from what is available as a debit would.
        available = account.balance - account.held_now - account.floor
        return (
            Reason.INSUFFICIENT_FUNDS,
            {"wallet_id": id, "available": available, "needed": change.floor - account.floor},
        )
    if change.ceiling is not None and change.ceiling.ceiling is not None and account.balance > change.ceiling.ceiling:
        return (
            Reason.CEILING_EXCEEDED,
            {"wallet_id": id, "ceiling": change.ceiling.ceiling, "balance": account.balance},
        )
    return None


def _different_currencies(plan: Plan, accounts: Mapping[UUID, Account]) -> Refusal | None:
    pairs = [(move.source, move.destination) for move in plan.effect.moves]
    if plan.effect.kind is Kind.HOLD and plan.effect.hold is not None:
        pairs.append((plan.effect.hold.wallet_id, plan.effect.hold.destination))
    for source, destination in pairs:
        if source is None or destination is None:
            continue
        ours, theirs = accounts[source].currency, accounts[destination].currency
        if ours != theirs:
            return Reason.CURRENCY_MISMATCH, {
                "source": str(source),
                "source_currency": ours,
                "destination": str(destination),
                "destination_currency": theirs,
            }
    return None


def _refuses_amounts(plan: Plan, accounts: Mapping[UUID, Account]) -> Refusal | None:
    changes = plan.effect.changes
    for id, (change, held_change) in changes.items():
        account = accounts[id]
        needed = held_change - change
        available = account.balance - account.held_now - account.floor
        if needed > 0 and needed > available:
            return Reason.INSUFFICIENT_FUNDS, {"wallet_id": str(id), "available": available, "needed": needed}
    for id, (change, _) in changes.items():
        account = accounts[id]
        if change > 0 and account.ceiling is not None and account.balance + change > account.ceiling:
            return (
                Reason.CEILING_EXCEEDED,
                {"wallet_id": str(id), "ceiling": account.ceiling, "balance": account.balance + change},
            )
    for id, (change, held_change) in changes.items():
        account = accounts[id]
        largest = max(abs(change), abs(account.balance + change), account.held_now + held_change)
        if largest > AMOUNT_MAX:
            return (
                Reason.AMOUNT_OUT_OF_RANGE,
                {"wallet_id": str(id), "amount_max": AMOUNT_MAX, "balance": account.balance, "change": change},
            )
    return None


def _not_active(hold: Hold, state: State) -> Refusal | None:
    if hold.is_due(state.now):
        return Reason.HOLD_NOT_ACTIVE, {"hold_id": str(hold.id), "status": HoldStatus.EXPIRED.value}
    if hold.status is not HoldStatus.ACTIVE:
        return Reason.HOLD_NOT_ACTIVE, {"hold_id": str(hold.id), "status": hold.status.value}
    return None


def _missing(wallets: Iterable[UUID], state: State) -> NotFound | None:
    for id in wallets:
        if id not in state.accounts:
            return NotFound(Thing.WALLET, id)
    return None


def _wallets_of(postings: Iterable[Posting]) -> list[UUID]:
    ids = (id for posting in postings for id in (posting.source, posting.destination) if id is not None)
    return list(dict.fromkeys(ids))


def _sources(postings: Iterable[Posting]) -> list[UUID]:
    return [posting.source for posting in postings if posting.source is not None]


def _net_changes(wallets: Iterable[UUID], postings: Iterable[Posting]) -> dict[UUID, tuple[int, int]]:
    net = dict.fromkeys(wallets, 0)
    for posting in postings:
        if posting.source is not None:
            net[posting.source] -= posting.amount
        if posting.destination is not None:
            net[posting.destination] += posting.amount
    return {id: (change, 0) for id, change in net.items()}


def _moves(postings: Iterable[Posting], state: State) -> tuple[Move, ...]:
    return tuple(
        Move(posting.source, posting.destination, posting.amount, state.accounts[_any_end(posting)].currency)
        for posting in postings
    )


def _any_end(posting: Posting) -> UUID:
    id = posting.source if posting.source is not None else posting.destination
    if id is None:
        raise ValueError("a posting has a source or a destination")
    return id
