"""Commands for hypothesis: few wallets and small amounts, so that they meet; and now and then an extreme.

What is generated are drafts. A draft may refer to a hold or to a transaction, or repeat a command, by a number, which
``Targets`` turns into one that is there once the schedule has come so far.
"""

from collections.abc import Sequence
from typing import TypeVar, assert_never
from uuid import UUID

import attrs
from hypothesis import strategies as st

from tests.support.builders import HALF, NOWHERE, A, B, C
from tests.support.ids import id_number
from wallet_core import (
    AMOUNT_MAX,
    Applied,
    CaptureHold,
    ChangeWallet,
    Command,
    FenceKey,
    NewCeiling,
    OpenWallet,
    Outcome,
    PlaceHold,
    Post,
    Posting,
    ReleaseHold,
    Reverse,
    WalletStatus,
    credit,
)

D = id_number(0xD)
WALLETS = (A, B, C, D)

FOUNDATION: Sequence[Command] = (
    OpenWallet("open-A", "EUR", id=A),
    OpenWallet("open-B", "EUR", id=B, floor=-10, ceiling=40),
    OpenWallet("open-C", "USD", id=C),
    credit("fund-A", A, 30),
    credit("fund-C", C, 30),
)
"""What schedules start with. Wallet D is left to be opened by them."""


@attrs.frozen
class Again:
    """Send the command of this number again; with ``version`` as what it expects, if it is one that can."""

    number: int
    version: int | None


Draft = Command | Again

T = TypeVar("T")


def _weighted(*options: tuple[int, st.SearchStrategy[T]]) -> st.SearchStrategy[T]:
    """One of the options, as often as its weight says. (``one_of`` would take an option named twice for one.)"""
    strategies = [strategy for weight, strategy in options for _ in range(weight)]
    return st.integers(0, len(strategies) - 1).flatmap(lambda number: strategies[number])


def _often(*options: tuple[int, T]) -> st.SearchStrategy[T]:
    """One of the values, as often as its weight says."""
    return st.sampled_from([value for weight, value in options for _ in range(weight)])


_ENDS: list[UUID | None] = [None, A, B, C, D]
_PAIRS = [(source, destination) for source in _ENDS for destination in _ENDS if source != destination]

keys = st.integers(0, 400).map(lambda number: f"key-{number}")
numbers = st.integers(0, 40)
references = numbers.map(id_number)
wallets = _often((10, A), (6, B), (3, C), (2, D), (1, NOWHERE))
pairs = _often(
    *((1, pair) for pair in _PAIRS), (8, (A, B)), (8, (B, A)), (4, (None, A)), (4, (A, None)), (1, (A, NOWHERE))
)
amounts = _weighted((8, st.integers(1, 15)), (1, st.sampled_from((HALF, AMOUNT_MAX))))
floors = st.sampled_from((0, 0, -5, -20, -AMOUNT_MAX))
ceilings = st.sampled_from((None, None, 0, 10, 50, AMOUNT_MAX))
new_ceilings = st.none() | ceilings.map(NewCeiling)
statuses = _often((3, None), (3, WalletStatus.ACTIVE), (2, WalletStatus.FROZEN), (1, WalletStatus.CLOSED))
versions = _weighted((8, st.none()), (1, st.integers(1, 12)))
lifetimes = st.sampled_from((None, 5, 10, 10, 60))
metadatas = st.sampled_from(({}, {}, {"note": 'é"\U0001f4b6'}, {"\ufb33": "1", "\U0001f600": "2"}))
postings = st.builds(lambda pair, amount: Posting(pair[0], pair[1], amount), pairs, amounts)


def _post(key: str, postings: Sequence[Posting], version: int | None, metadata: dict[str, str]) -> Command:
    end = postings[0].source or postings[0].destination
    return Post(key, postings, {} if version is None or end is None else {end: version}, metadata)


def _place(
    key: str, wallet: UUID, amount: int, destination: UUID | None, lifetime: int | None, version: int | None
) -> Command:
    return PlaceHold(key, wallet, amount, None if destination == wallet else destination, lifetime, version)


def _change(
    key: str,
    wallet: UUID,
    status: WalletStatus | None,
    floor: int | None,
    ceiling: NewCeiling | None,
    metadata: dict[str, str] | None,
    version: int | None,
) -> Command:
    if status is None and floor is None and ceiling is None and metadata is None:
        status = WalletStatus.FROZEN
    return ChangeWallet(key, wallet, status, floor, ceiling, metadata, version)


_several = _weighted((5, st.lists(postings, min_size=1, max_size=1)), (1, st.lists(postings, min_size=2, max_size=4)))
_opened = st.sampled_from((D, D, A, None))

drafts: st.SearchStrategy[Draft] = _weighted(
    (6, st.builds(_post, keys, _several, versions, metadatas)),
    (5, st.builds(_place, keys, wallets, amounts, st.none() | wallets, lifetimes, versions)),
    (4, st.builds(CaptureHold, keys, references, st.none() | amounts, st.booleans())),
    (2, st.builds(ReleaseHold, keys, references)),
    (2, st.builds(Reverse, keys, references, metadatas)),
    (2, st.builds(_change, keys, wallets, statuses, st.none() | floors, new_ceilings, st.none() | metadatas, versions)),
    (1, st.builds(OpenWallet, keys, st.sampled_from(("EUR", "EUR", "USD")), _opened, floors, ceilings, metadatas)),
    (1, st.builds(FenceKey, keys)),
    (3, st.builds(Again, numbers, versions)),
)
"""Any kind of command, in any state of the ledger."""

batches = st.lists(drafts, min_size=1, max_size=10)
seconds = st.sampled_from((0, 0, 1, 5, 10, 60, -5))
"""How far time advances before a batch. It may step back."""

schedules = st.lists(st.tuples(seconds, batches), min_size=2, max_size=12)
"""What happens: how far time advances, and the batch that comes then; and so on."""


@attrs.define
class Targets:
    """What drafts may refer to: grows as the schedule goes on."""

    holds: list[UUID] = attrs.field(factory=list)
    transactions: list[UUID] = attrs.field(factory=list)
    sent: list[Command] = attrs.field(factory=lambda: list(FOUNDATION))

    def resolve(self, batch: Sequence[Draft], upcoming: Sequence[UUID]) -> list[Command]:
        """The commands of the batch. ``upcoming`` are ids that it may give itself, so that its commands can refer to
        one another."""
        return [self._resolve(draft, upcoming) for draft in batch]

    def learn(self, commands: Sequence[Command], outcomes: Sequence[Outcome]) -> None:
        """Take in what became of a batch."""
        self.sent.extend(commands)
        for outcome in outcomes:
            if isinstance(outcome, Applied):
                self.transactions.append(outcome.transaction.id)
                if outcome.transaction.hold is not None:
                    self.holds.append(outcome.transaction.hold.id)

    def _resolve(self, draft: Draft, upcoming: Sequence[UUID]) -> Command:
        match draft:
            case CaptureHold() | ReleaseHold():
                there = self.holds[-6:]
                return attrs.evolve(draft, hold_id=_pick([*there * 3, *upcoming[:2], NOWHERE], draft.hold_id))
            case Reverse():
                there = self.transactions[-8:]
                among = [*there * 3, *upcoming[:2], NOWHERE]
                return attrs.evolve(draft, transaction_id=_pick(among, draft.transaction_id))
            case Again():
                command = self.sent[-1 - draft.number % min(len(self.sent), 20)]
                if isinstance(command, PlaceHold | ChangeWallet):
                    return attrs.evolve(command, expected_version=draft.version)
                return command
            case OpenWallet() | Post() | PlaceHold() | ChangeWallet() | FenceKey():
                return draft
            case _:
                assert_never(draft)


def _pick(among: Sequence[UUID], reference: UUID) -> UUID:
    return among[reference.int % len(among)]
