"""The rules once more, as plainly as they can be said: dicts of balances and holds, and no thought of speed.

It gathers every reason that holds and only then picks the first, where the core stops at the first: so the two can
only agree by both being right. ``expect`` says how a command ends; ``follow`` does what an applied one does.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import attrs

from tests.support import second_implementation
from wallet_core import (
    AMOUNT_MAX,
    CaptureHold,
    ChangeWallet,
    Command,
    FenceKey,
    HoldStatus,
    OpenWallet,
    PlaceHold,
    Post,
    Reason,
    ReleaseHold,
    Reverse,
    WalletStatus,
)
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

End = type[Outcome] | Reason
"""How a command ends: a reason if it is rejected, else the class of its outcome."""

Move = tuple[UUID | None, UUID | None, int]


@attrs.define
class ModelWallet:
    currency: str
    floor: int
    ceiling: int | None
    time: datetime
    balance: int = 0
    status: WalletStatus = WalletStatus.ACTIVE
    version: int = 1


@attrs.define
class ModelHold:
    wallet: UUID
    destination: UUID | None
    remaining: int
    expires_at: datetime | None
    status: HoldStatus = HoldStatus.ACTIVE

    def lapsed(self, now: datetime) -> bool:
        return self.status is HoldStatus.ACTIVE and self.expires_at is not None and self.expires_at <= now


@attrs.define
class Plan:
    """What a command would do: to balances by ``moves``, to what is held by ``holding``."""

    named: list[UUID] = attrs.field(factory=list)
    moves: list[Move] = attrs.field(factory=list)
    holding: dict[UUID, int] = attrs.field(factory=dict)
    broken: set[Reason] = attrs.field(factory=set)

    @property
    def leaving(self) -> set[UUID]:
        return {source for source, _, _ in self.moves if source} | {id for id, held in self.holding.items() if held > 0}

    @property
    def net(self) -> dict[UUID, int]:
        net = dict.fromkeys([end for source, destination, _ in self.moves for end in (source, destination) if end], 0)
        for source, destination, amount in self.moves:
            if source:
                net[source] -= amount
            if destination:
                net[destination] += amount
        return net

    @property
    def touched(self) -> set[UUID]:
        return {*self.net, *self.holding}


@attrs.define
class Model:
    wallets: dict[UUID, ModelWallet] = attrs.field(factory=dict)
    holds: dict[UUID, ModelHold] = attrs.field(factory=dict)
    moved: dict[UUID, list[Move]] = attrs.field(factory=dict)
    """By transaction: what it moved."""
    touched: dict[UUID, list[UUID]] = attrs.field(factory=dict)
    reversible: set[UUID] = attrs.field(factory=set)
    reversed: set[UUID] = attrs.field(factory=set)
    intents: dict[str, str | None] = attrs.field(factory=dict)
    """By key: what was decided under it; None if it was fenced."""

    def held(self, wallet: UUID, now: datetime) -> int:
        """What is held of a wallet, not counting what has lapsed."""
        return sum(hold.remaining for hold in self.holds.values() if hold.wallet == wallet and not hold.lapsed(now))

    def expect(self, command: Command, now: datetime) -> End:
        """How the command ends, if it comes next."""
        known = command.key in self.intents
        if isinstance(command, FenceKey):
            return Replayed if known and self.intents[command.key] is not None else Fenced
        if known:
            intent = self.intents[command.key]
            if intent is None:
                return KeyFenced
            return Replayed if intent == second_implementation.intent(command) else KeyReused
        if isinstance(command, OpenWallet):
            return WalletExists if command.id in self.wallets else Applied
        if not self._all_there(command):
            return NotFound
        if any(self.wallets[id].version != version for id, version in _guards(command)):
            return VersionConflict
        reasons = self._reasons(command, now)
        return next((reason for reason in Reason if reason in reasons), Applied)

    def remember(self, command: Command) -> None:
        """Something was decided under the command's key."""
        self.intents[command.key] = None if isinstance(command, FenceKey) else second_implementation.intent(command)

    def _all_there(self, command: Command) -> bool:
        match command:
            case Post():
                return all(end in self.wallets for p in command.postings for end in (p.source, p.destination) if end)
            case PlaceHold():
                return command.wallet_id in self.wallets and command.destination in {None, *self.wallets}
            case CaptureHold() | ReleaseHold():
                return command.hold_id in self.holds
            case Reverse():
                return command.transaction_id in self.moved
            case ChangeWallet():
                return command.wallet_id in self.wallets
            case OpenWallet() | FenceKey():
                return True

    def _plan(self, command: Command, now: datetime) -> Plan:
        plan = Plan()
        match command:
            case Post():
                plan.moves = [(p.source, p.destination, p.amount) for p in command.postings]
                plan.named = list(plan.net)
            case PlaceHold():
                plan.named = [end for end in (command.wallet_id, command.destination) if end]
                plan.holding = {command.wallet_id: command.amount}
                if len({self.wallets[id].currency for id in plan.named}) > 1:
                    plan.broken.add(Reason.CURRENCY_MISMATCH)
            case CaptureHold():
                hold = self.holds[command.hold_id]
                active = hold.status is HoldStatus.ACTIVE and not hold.lapsed(now)
                remaining = hold.remaining if active else 0
                amount = remaining if command.amount is None else command.amount
                plan.moves = [(hold.wallet, hold.destination, amount)]
                plan.named = list(plan.net)
                plan.holding = {hold.wallet: -(hold.remaining if command.final else amount)}
                plan.broken |= {Reason.HOLD_NOT_ACTIVE} if not active else set()
                plan.broken |= {Reason.CAPTURE_EXCEEDS_HOLD} if amount > remaining else set()
            case ReleaseHold():
                hold = self.holds[command.hold_id]
                plan.named = [hold.wallet]
                plan.holding = {hold.wallet: -hold.remaining}
                plan.broken |= (
                    {Reason.HOLD_NOT_ACTIVE} if hold.status is not HoldStatus.ACTIVE or hold.lapsed(now) else set()
                )
            case Reverse():
                id = command.transaction_id
                plan.named = self.touched[id]
                plan.moves = [(destination, source, amount) for source, destination, amount in self.moved[id]]
                plan.broken |= {Reason.NOT_REVERSIBLE} if id not in self.reversible else set()
                plan.broken |= {Reason.ALREADY_REVERSED} if id in self.reversed else set()
            case ChangeWallet():
                plan.named = [command.wallet_id]
                plan.holding = {command.wallet_id: 0}
            case OpenWallet() | FenceKey():
                pass
        return plan

    def _reasons(self, command: Command, now: datetime) -> set[Reason]:
        plan = self._plan(command, now)
        reasons = set(plan.broken)
        if any(self.wallets[id].status is WalletStatus.CLOSED for id in plan.named):
            reasons.add(Reason.WALLET_CLOSED)
        if any(self.wallets[id].status is WalletStatus.FROZEN for id in plan.leaving):
            reasons.add(Reason.WALLET_FROZEN)
        for source, destination, _ in plan.moves:
            if source and destination and self.wallets[source].currency != self.wallets[destination].currency:
                reasons.add(Reason.CURRENCY_MISMATCH)
        if isinstance(command, ChangeWallet):
            return reasons | self._reasons_of_limits(command, now)
        for id in plan.touched:
            wallet, held = self.wallets[id], self.held(id, now)
            change, holding = plan.net.get(id, 0), plan.holding.get(id, 0)
            spent = holding - change
            if spent > max(0, wallet.balance - held - wallet.floor):
                reasons.add(Reason.INSUFFICIENT_FUNDS)
            if change > 0 and wallet.ceiling is not None and wallet.balance + change > wallet.ceiling:
                reasons.add(Reason.CEILING_EXCEEDED)
            if max(abs(change), abs(wallet.balance + change), held + holding) > AMOUNT_MAX:
                reasons.add(Reason.AMOUNT_OUT_OF_RANGE)
        return reasons

    def _reasons_of_limits(self, command: ChangeWallet, now: datetime) -> set[Reason]:
        reasons = set()
        wallet, held = self.wallets[command.wallet_id], self.held(command.wallet_id, now)
        if command.status is WalletStatus.CLOSED and (wallet.balance or held):
            reasons.add(Reason.WALLET_NOT_EMPTY)
        if command.floor is not None and wallet.balance - held < command.floor:
            reasons.add(Reason.INSUFFICIENT_FUNDS)
        ceiling = command.ceiling.ceiling if command.ceiling else None
        if ceiling is not None and wallet.balance > ceiling:
            reasons.add(Reason.CEILING_EXCEEDED)
        return reasons

    def follow(self, command: Command, now: datetime, id: UUID) -> list[UUID]:
        """Do what an applied command does; ``id`` is that of its transaction. Returns the holds that expired by it."""
        if isinstance(command, OpenWallet):
            wallet = ModelWallet(command.currency, command.floor, command.ceiling, now)
            self.wallets[command.id or id] = wallet
            self.moved[id], self.touched[id] = [], [command.id or id]
            return []
        plan = self._plan(command, now)
        touched = plan.touched
        expired = self._expire(touched, now)
        time = max(now, *(self.wallets[end].time for end in touched))
        for end in touched:
            self.wallets[end].balance += plan.net.get(end, 0)
            self.wallets[end].version += 1
            self.wallets[end].time = time
        self.moved[id], self.touched[id] = plan.moves, list(touched)
        if isinstance(command, Post | CaptureHold):
            self.reversible.add(id)
        match command:
            case PlaceHold():
                lasts = command.expires_in_s
                expires_at = None if lasts is None else time + timedelta(seconds=lasts)
                self.holds[id] = ModelHold(command.wallet_id, command.destination, command.amount, expires_at)
            case CaptureHold() | ReleaseHold():
                hold = self.holds[command.hold_id]
                hold.remaining += plan.holding[hold.wallet]
                if hold.remaining == 0:
                    captured = isinstance(command, CaptureHold)
                    hold.status = HoldStatus.CAPTURED if captured else HoldStatus.RELEASED
            case Reverse():
                self.reversed.add(command.transaction_id)
            case ChangeWallet():
                wallet = self.wallets[command.wallet_id]
                wallet.status = command.status or wallet.status
                wallet.floor = wallet.floor if command.floor is None else command.floor
                wallet.ceiling = command.ceiling.ceiling if command.ceiling else wallet.ceiling
            case Post() | FenceKey():
                pass
        return expired

    def follow_expiry(self, hold: UUID, id: UUID) -> None:
        """The transaction by which the hold expired has this id."""
        self.moved[id], self.touched[id] = [], [self.holds[hold].wallet]

    def _expire(self, wallets: Iterable[UUID], now: datetime) -> list[UUID]:
        expired = []
        for id, hold in self.holds.items():
            if hold.wallet in wallets and hold.lapsed(now):
                expired.append(id)
                hold.status, hold.remaining = HoldStatus.EXPIRED, 0
                self.wallets[hold.wallet].version += 1
                self.wallets[hold.wallet].time = max(now, self.wallets[hold.wallet].time)
        return expired


def end_of(outcome: Outcome) -> End:
    """How a command ended."""
    return outcome.reason if isinstance(outcome, Rejected) else type(outcome)


def _guards(command: Command) -> list[tuple[UUID, int]]:
    match command:
        case Post():
            return list(command.expected_versions.items())
        case PlaceHold() | ChangeWallet() if command.expected_version is not None:
            return [(command.wallet_id, command.expected_version)]
        case _:
            return []
