"""Wallets, holds, transactions and snapshots with every detail filled in, so that a test names only what matters."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import attrs

from tests.support.ids import CountingIds, id_number
from tests.support.time import NOON
from wallet_core import (
    AMOUNT_MAX,
    ChangeWallet,
    Command,
    Currency,
    Decided,
    Entry,
    Hold,
    HoldStatus,
    Kind,
    Move,
    Outcome,
    PlaceHold,
    Post,
    Posting,
    Transaction,
    Wallet,
    WalletStatus,
    decide_batch,
)
from wallet_core.model import Decision, Metadata
from wallet_core.ports import Snapshot

EUR = Currency("EUR")
USD = Currency("USD")

# Wallets, holds and transactions that tests talk about.
A, B, C, NOWHERE = (id_number(number) for number in (0xA, 0xB, 0xC, 0xF))
HOLD, OTHER_HOLD = id_number(0x10), id_number(0x11)
PAST = id_number(0x20)

Stored = Wallet | Hold | Transaction


def wallet(
    id: UUID = A,
    balance: int = 0,
    *,
    held: int = 0,
    floor: int = 0,
    ceiling: int | None = None,
    currency: Currency = EUR,
    status: WalletStatus = WalletStatus.ACTIVE,
    version: int = 7,
    metadata: Metadata | None = None,
    updated_at: datetime = NOON,
) -> Wallet:
    """A wallet somewhere in its life. ``held`` is what its holds sum up to."""
    return Wallet(
        id,
        currency,
        balance,
        held,
        floor,
        ceiling,
        status,
        version,
        metadata or {},
        created_at=min(NOON, updated_at),
        updated_at=updated_at,
        head=bytes([version % 256]) * 32,
    )


def frozen(id: UUID = A, balance: int = 0, *, held: int = 0, currency: Currency = EUR) -> Wallet:
    """A frozen wallet."""
    return wallet(id, balance, held=held, currency=currency, status=WalletStatus.FROZEN)


def closed(id: UUID = A, *, ceiling: int | None = None, currency: Currency = EUR) -> Wallet:
    """A closed wallet: empty, as it must be."""
    return wallet(id, ceiling=ceiling, currency=currency, status=WalletStatus.CLOSED)


def hold(
    amount: int,
    id: UUID = HOLD,
    *,
    wallet_id: UUID = A,
    destination: UUID | None = None,
    captured: int = 0,
    status: HoldStatus = HoldStatus.ACTIVE,
    expires_at: datetime | None = None,
    created_at: datetime = NOON,
) -> Hold:
    """A hold on wallet A. What it still reserves has to be part of the wallet's ``held``."""
    return Hold(id, wallet_id, destination, amount, captured, status, expires_at, created_at)


def past(*postings: Posting, kind: Kind = Kind.POST, id: UUID = PAST, currency: Currency = EUR) -> Transaction:
    """A transaction that moved this, some time ago; with an entry for each wallet it touched."""
    touched = dict.fromkeys(id for posting in postings for id in (posting.source, posting.destination) if id) or {A: 0}
    return Transaction(
        id,
        kind,
        key=f"past-{id.int}",
        intent=f'{{"kind":"{kind.value}"}}',
        moves=tuple(Move(posting.source, posting.destination, posting.amount, currency) for posting in postings),
        entries=tuple(Entry(wallet_id, 2, 0, 0, 0, 0, bytes(32)) for wallet_id in touched),
        hold=None,
        reverses=None,
        metadata={},
        created_at=NOON,
    )


def snapshot(
    *things: Stored, now: datetime = NOON, reversed: Iterable[UUID] = (), decisions: Sequence[Decision] = ()
) -> Snapshot:
    """What was loaded. Of two things with one id the later one counts, so that a case can be varied at its end."""
    return Snapshot(
        now,
        {thing.id: thing for thing in things if isinstance(thing, Wallet)},
        {thing.id: thing for thing in things if isinstance(thing, Hold)},
        {thing.id: thing for thing in things if isinstance(thing, Transaction)},
        frozenset(reversed),
        {decision.key: decision for decision in decisions},
    )


def decide(given: Snapshot, *commands: Command) -> Decided:
    """Decide the commands as one batch, with foreseeable ids."""
    return decide_batch(given, commands, CountingIds()(given.now))


def outcome_of(given: Snapshot, command: Command) -> Outcome:
    """What becomes of one command."""
    (outcome,) = decide(given, command).outcomes
    return outcome


def guarded(command: Command, version: int) -> Command | None:
    """The command, expecting this version of the first wallet it names; None if it is of a kind that has no guard."""
    match command:
        case PlaceHold() | ChangeWallet():
            return attrs.evolve(command, expected_version=version)
        case Post():
            first = command.postings[0]
            named = first.destination if first.source is None else first.source
            return attrs.evolve(command, expected_versions={} if named is None else {named: version})
        case _:
            return None


HALF = AMOUNT_MAX // 2 + 1
"""Twice this much is more than any balance may be."""
