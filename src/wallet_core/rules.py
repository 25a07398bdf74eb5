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
from wallet_core.state import Account, Change, Effect, State

Details = Mapping[str, str | int | None]
Refusal = tuple[Reason, Details]

REVERSIBLE = frozenset({Kind.POST, Kind.CAPTURE})

Plannable = Post | PlaceHold | CaptureHold | ReleaseHold | Reverse | ChangeWallet


@attrs.define
class Plan:
    """What a command names, and would do. ``accounts``: all that must not be closed; ``leaving``: those that money
    leaves or is newly held on, which must not be frozen; ``refusal``: rule 5, the state of the hold or transaction."""

    effect: Effect
    accounts: Sequence[Account]
    leaving: Sequence[Account]
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
    changes = _net_changes((), command.postings, state)
    if isinstance(changes, NotFound):
        return changes
    moves = _moves(command.postings, state)
    effect = Effect(Kind.POST, command.key, intent, moves, changes, command.metadata)
    return Plan(effect, _accounts(changes), _sources(command.postings, state), command.expected_versions)


def _plan_hold(command: PlaceHold, intent: str, id: UUID, state: State) -> Plan | NotFound:
    accounts: list[Account] = []
    for wallet_id in (command.wallet_id, command.destination):
        if wallet_id is not None:
            account = state.accounts.get(wallet_id)
            if account is None:
                return NotFound(Thing.WALLET, wallet_id)
            accounts.append(account)
    account = accounts[0]
    placed_at = max(state.now, account.updated_at)
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
    effect = Effect(Kind.HOLD, command.key, intent, (), [(account, 0, command.amount)], command.metadata, hold)
    return Plan(effect, accounts, (account,), _guards(command))


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
    account = state.accounts[hold.wallet_id]
    changes = [(account, -amount, -hold.remaining if done else -amount)]
    if hold.destination is not None:
        changes.append((state.accounts[hold.destination], amount, 0))
    effect = Effect(Kind.CAPTURE, command.key, intent, _moves((posting,), state), changes, {}, after)
    return Plan(effect, _accounts(changes), (account,), {}, refusal)


def _plan_release(command: ReleaseHold, intent: str, state: State) -> Plan | NotFound:
    hold = state.holds.get(command.hold_id)
    if hold is None:
        return NotFound(Thing.HOLD, command.hold_id)
    after = attrs.evolve(hold, status=HoldStatus.RELEASED)
    account = state.accounts[hold.wallet_id]
    effect = Effect(Kind.RELEASE, command.key, intent, (), [(account, 0, -hold.remaining)], {}, after)
    return Plan(effect, (account,), (), {}, _not_active(hold, state))


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
    # In the order of the entries that it makes good for.
    changes = _net_changes([entry.wallet_id for entry in target.entries], postings, state)
    if isinstance(changes, NotFound):
        return changes
    moves = _moves(postings, state)
    effect = Effect(Kind.REVERSAL, command.key, intent, moves, changes, command.metadata, reverses=target.id)
    return Plan(effect, _accounts(changes), _sources(postings, state), {}, refusal)


def _plan_change(command: ChangeWallet, intent: str, state: State) -> Plan | NotFound:
    account = state.accounts.get(command.wallet_id)
    if account is None:
        return NotFound(Thing.WALLET, command.wallet_id)
    effect = Effect(Kind.CHANGE, command.key, intent, (), [(account, 0, 0)], command.metadata or {})
    return Plan(effect, (account,), (), _guards(command), amends=command)


def first_reason(plan: Plan, state: State) -> Refusal | None:
    """The reason of the highest precedence that refuses the plan, with what was compared; None if nothing does."""
    for account in plan.accounts:
        if account.status is WalletStatus.CLOSED:
            return Reason.WALLET_CLOSED, {"wallet_id": str(account.id), "status": "closed"}
    for account in plan.leaving:
        if account.status is WalletStatus.FROZEN:
            return Reason.WALLET_FROZEN, {"wallet_id": str(account.id), "status": "frozen"}
    if plan.amends is not None:
        return _refuses_change(plan.amends, plan.accounts[0])
    if plan.refusal is not None:
        return plan.refusal
    return _different_currencies(plan.effect, state) or _refuses_amounts(plan.effect.changes)


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


def _different_currencies(effect: Effect, state: State) -> Refusal | None:
    pairs = [(move.source, move.destination) for move in effect.moves]
    if effect.kind is Kind.HOLD and effect.hold is not None:
        pairs = [(effect.hold.wallet_id, effect.hold.destination)]
    for source, destination in pairs:
        if source is None or destination is None:
            continue
        ours, theirs = state.accounts[source].currency, state.accounts[destination].currency
        if ours != theirs:
            return Reason.CURRENCY_MISMATCH, {
                "source": str(source),
                "source_currency": ours,
                "destination": str(destination),
                "destination_currency": theirs,
            }
    return None


def _refuses_amounts(changes: Sequence[Change]) -> Refusal | None:
    for account, change, held_change in changes:
        needed = held_change - change
        if needed > 0:
            available = account.balance - account.held_now - account.floor
            if needed > available:
                return (
                    Reason.INSUFFICIENT_FUNDS,
                    {"wallet_id": str(account.id), "available": available, "needed": needed},
                )
    for account, change, _ in changes:
        if change > 0 and account.ceiling is not None and account.balance + change > account.ceiling:
            return (
                Reason.CEILING_EXCEEDED,
                {"wallet_id": str(account.id), "ceiling": account.ceiling, "balance": account.balance + change},
            )
    for account, change, held_change in changes:
        largest = max(abs(change), abs(account.balance + change), account.held_now + held_change)
        if largest > AMOUNT_MAX:
            return (
                Reason.AMOUNT_OUT_OF_RANGE,
                {"wallet_id": str(account.id), "amount_max": AMOUNT_MAX, "balance": account.balance, "change": change},
            )
    return None


def _not_active(hold: Hold, state: State) -> Refusal | None:
    if hold.is_due(state.now):
        return Reason.HOLD_NOT_ACTIVE, {"hold_id": str(hold.id), "status": HoldStatus.EXPIRED.value}
    if hold.status is not HoldStatus.ACTIVE:
        return Reason.HOLD_NOT_ACTIVE, {"hold_id": str(hold.id), "status": hold.status.value}
    return None


def _guards(command: PlaceHold | ChangeWallet) -> Mapping[UUID, int]:
    return {} if command.expected_version is None else {command.wallet_id: command.expected_version}


def _net_changes(wallets: Iterable[UUID], postings: Iterable[Posting], state: State) -> list[Change] | NotFound:
    """What the postings come to for each wallet: the given ones, then others in the order in which they are named."""
    net = dict.fromkeys(wallets, 0)
    for posting in postings:
        source, destination, amount = posting.source, posting.destination, posting.amount
        if source is not None:
            net[source] = net.get(source, 0) - amount
        if destination is not None:
            net[destination] = net.get(destination, 0) + amount
    changes: list[Change] = []
    for id, change in net.items():
        account = state.accounts.get(id)
        if account is None:
            return NotFound(Thing.WALLET, id)
        changes.append((account, change, 0))
    return changes


def _accounts(changes: Iterable[Change]) -> list[Account]:
    return [account for account, _, _ in changes]


def _sources(postings: Iterable[Posting], state: State) -> list[Account]:
    return [state.accounts[posting.source] for posting in postings if posting.source is not None]


def _moves(postings: Iterable[Posting], state: State) -> tuple[Move, ...]:
    return tuple(
        [
            Move(posting.source, posting.destination, posting.amount, state.accounts[_any_end(posting)].currency)
            for posting in postings
        ]
    )


def _any_end(posting: Posting) -> UUID:
    id = posting.source if posting.source is not None else posting.destination
    if id is None:
        raise ValueError("a posting has a source or a destination")
    return id
