"""What the ledger consists of. All immutable; amounts in minor units; times are aware datetimes in UTC."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import attrs

from wallet_core.money import Currency

Metadata = Mapping[str, str]

CHAIN_START = bytes(32)
"""What the first entry of a wallet names as the hash before it."""


class WalletStatus(StrEnum):
    """``frozen``: nothing leaves and nothing new is held. ``closed``: nothing moves, for good."""

    ACTIVE = "active"
    FROZEN = "frozen"
    CLOSED = "closed"


class HoldStatus(StrEnum):
    """Only an ``active`` hold reserves money; the other three are final."""

    ACTIVE = "active"
    CAPTURED = "captured"
    RELEASED = "released"
    EXPIRED = "expired"


class Kind(StrEnum):
    """What a transaction is. A client asks for all of these but ``expiry``, which the passing of time asks for."""

    OPEN = "open"
    POST = "post"
    HOLD = "hold"
    CAPTURE = "capture"
    RELEASE = "release"
    EXPIRY = "expiry"
    REVERSAL = "reversal"
    CHANGE = "change"


class Reason(StrEnum):
    """Why a command is rejected, in order of precedence: of two reasons that hold, the earlier one is given."""

    WALLET_CLOSED = "wallet-closed"
    WALLET_FROZEN = "wallet-frozen"
    WALLET_NOT_EMPTY = "wallet-not-empty"
    HOLD_NOT_ACTIVE = "hold-not-active"
    CAPTURE_EXCEEDS_HOLD = "capture-exceeds-hold"
    ALREADY_REVERSED = "already-reversed"
    NOT_REVERSIBLE = "not-reversible"
    CURRENCY_MISMATCH = "currency-mismatch"
    INSUFFICIENT_FUNDS = "insufficient-funds"
    CEILING_EXCEEDED = "ceiling-exceeded"
    AMOUNT_OUT_OF_RANGE = "amount-out-of-range"


@attrs.frozen
class Wallet:
    """An account in one currency. Its version is the number of its entries; ``head`` is the hash of the last one."""

    id: UUID
    currency: Currency
    balance: int
    held: int
    floor: int
    ceiling: int | None
    status: WalletStatus
    version: int
    metadata: Metadata
    created_at: datetime
    updated_at: datetime
    head: bytes

    @property
    def available(self) -> int:
        """What may leave or be held: everything above the floor that no hold reserves."""
        return self.balance - self.held - self.floor


@attrs.frozen
class Posting:
    """A movement of ``amount`` > 0. No source: it enters from outside. No destination: it leaves."""

    source: UUID | None
    destination: UUID | None
    amount: int


@attrs.frozen
class Move:
    """A posting as it was carried out, with the currency of the wallets it moved between."""

    source: UUID | None
    destination: UUID | None
    amount: int
    currency: Currency


@attrs.frozen
class Entry:
    """What one transaction did to one wallet. (wallet, version) is its identity; ``hash`` chains it to version - 1."""

    wallet_id: UUID
    version: int
    change: int
    held_change: int
    balance_after: int
    held_after: int
    hash: bytes


@attrs.frozen
class Hold:
    """An amount of a wallet that is set aside until it is captured, released, or expires."""

    id: UUID
    wallet_id: UUID
    destination: UUID | None
    amount: int
    captured: int
    status: HoldStatus
    expires_at: datetime | None
    created_at: datetime

    @property
    def remaining(self) -> int:
        """What the hold still reserves: 0 once it is no longer active."""
        return self.amount - self.captured if self.status is HoldStatus.ACTIVE else 0

    def is_due(self, now: datetime) -> bool:
        """Whether the hold has expired at ``now`` and nothing has written that down yet."""
        return self.status is HoldStatus.ACTIVE and self.expires_at is not None and self.expires_at <= now


@attrs.frozen
class Transaction:
    """One applied command: the receipt. It never changes, and every answer about it is a function of it alone.

    ``intent`` is the canonical JSON of what was asked for (see ``wallet_core.canonical``).
    """

    id: UUID
    kind: Kind
    key: str
    intent: str
    moves: tuple[Move, ...]
    entries: tuple[Entry, ...]
    hold: Hold | None
    reverses: UUID | None
    metadata: Metadata
    created_at: datetime


@attrs.frozen
class Rejection:
    """One command that a rule refused: remembered under its key, like an applied one.

    ``details`` says what was compared, its members in alphabetical order.
    """

    id: UUID
    kind: Kind
    key: str
    intent: str
    reason: Reason
    details: Mapping[str, str | int | None]
    created_at: datetime


@attrs.frozen
class Fence:
    """A key that may never apply, because somebody asked for certainty before anything was decided under it."""

    id: UUID
    key: str
    created_at: datetime


Decision = Transaction | Rejection | Fence
"""What the database remembers under an idempotency key, for ever."""
