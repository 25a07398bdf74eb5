"""Every way in which a command can end. Callers match the union exhaustively (``typing.assert_never``)."""

from enum import StrEnum
from uuid import UUID

import attrs

from wallet_core.model import Fence, Reason, Rejection, Transaction


class Thing(StrEnum):
    """What a command may name."""

    WALLET = "wallet"
    HOLD = "hold"
    TRANSACTION = "transaction"


@attrs.frozen
class Applied:
    """It is in the ledger, and was not before."""

    transaction: Transaction


@attrs.frozen
class Rejected:
    """A rule refused it, and this is remembered: the key is spent."""

    rejection: Rejection

    @property
    def reason(self) -> Reason:
        """The rule that refused it."""
        return self.rejection.reason


@attrs.frozen
class Replayed:
    """The key was decided before, with the same intent: this is what was decided then."""

    decision: Transaction | Rejection


@attrs.frozen
class Fenced:
    """Answer to a fence: nothing was decided under the key, and nothing ever will be."""

    fence: Fence


@attrs.frozen
class KeyReused:
    """The key was decided before, with another intent. Nothing was done."""

    key: str


@attrs.frozen
class KeyFenced:
    """The key was fenced before. Nothing was done, and nothing will be under this key."""

    key: str


@attrs.frozen
class NotFound:
    """The tenant has no such wallet, hold or transaction. Not remembered."""

    thing: Thing
    id: UUID


@attrs.frozen
class WalletExists:
    """A wallet of this id is there already. Not remembered."""

    wallet_id: UUID


@attrs.frozen
class VersionConflict:
    """The wallet no longer has the version that the command expected. Not remembered."""

    wallet_id: UUID
    expected_version: int
    current_version: int


@attrs.frozen
class Contention:
    """Other writers won the race more often than we try. Nothing was done; the same key may be sent again."""


@attrs.frozen
class Overloaded:
    """The queue is full, its turn did not come in time, or the service is stopping. Nothing was started."""


@attrs.frozen
class DatabaseUnavailable:
    """The database is away. Nothing was done."""


@attrs.frozen
class Unknown:
    """The connection was lost at COMMIT. It may have happened or not; the same key asks the database again."""


Outcome = (
    Applied
    | Rejected
    | Replayed
    | Fenced
    | KeyReused
    | KeyFenced
    | NotFound
    | WalletExists
    | VersionConflict
    | Contention
    | Overloaded
    | DatabaseUnavailable
    | Unknown
)
