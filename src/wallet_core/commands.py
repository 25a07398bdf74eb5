"""What a caller may ask for. Commands are data: frozen, checked when they are made, decided elsewhere.

Each has an idempotency ``key`` and an ``intent()``: the canonical JSON of what is asked for. The intent leaves out
``expected_version``, which is a guard: a client whose success got lost re-reads and sends the same key with a newer
version, and must get the replay.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

import attrs
from attrs.converters import optional

from wallet_core.canonical import canonical_json, post_intent_json
from wallet_core.checks import (
    EXPIRES_IN_S_MAX,
    POSTINGS_MAX,
    InvalidCommand,
    check_amount,
    check_ceiling,
    check_floor,
    check_integer,
    check_key,
    check_version,
    checked_metadata,
)
from wallet_core.model import Kind, Metadata, Posting, WalletStatus
from wallet_core.money import Currency, is_currency

NO_METADATA: Metadata = {}


@attrs.frozen
class OpenWallet:
    """Open a wallet with balance 0 and version 1. Without ``id`` the ledger chooses one."""

    key: str
    currency: str
    id: UUID | None = None
    floor: int = 0
    ceiling: int | None = None
    metadata: Metadata = attrs.field(default=NO_METADATA, converter=checked_metadata)

    kind = Kind.OPEN

    def __attrs_post_init__(self) -> None:
        check_key(self.key)
        if not is_currency(self.currency):
            raise InvalidCommand("currency", "must be 3 to 12 of A-Z 0-9, starting with a letter")
        check_floor(self.floor)
        check_ceiling(self.ceiling)

    def intent(self) -> str:
        """Canonical JSON of the intent."""
        return canonical_json(
            {
                "ceiling": self.ceiling,
                "currency": Currency(self.currency),
                "floor": self.floor,
                "id": _text(self.id),
                "kind": Kind.OPEN.value,
                "metadata": self.metadata,
            }
        )


@attrs.frozen
class Post:
    """Move money by 1 to ``POSTINGS_MAX`` postings, all or nothing. Rules apply to the net change of each wallet."""

    key: str
    postings: Sequence[Posting]
    expected_versions: Mapping[UUID, int] = attrs.field(factory=dict)
    metadata: Metadata = attrs.field(default=NO_METADATA, converter=checked_metadata)

    kind = Kind.POST

    def __attrs_post_init__(self) -> None:
        check_key(self.key)
        if not 1 <= len(self.postings) <= POSTINGS_MAX:
            raise InvalidCommand("postings", f"must be 1 to {POSTINGS_MAX} postings")
        for index, posting in enumerate(self.postings):
            if posting.source == posting.destination:
                need = "a source or a destination" if posting.source is None else "two different wallets"
                raise InvalidCommand(f"postings[{index}]", f"must name {need}")
            check_amount(posting.amount, f"postings[{index}].amount")
        if self.expected_versions:
            named = {wallet for posting in self.postings for wallet in (posting.source, posting.destination)}
            for wallet_id, version in self.expected_versions.items():
                if wallet_id not in named:
                    raise InvalidCommand("expected_versions", f"names wallet {wallet_id}, which no posting does")
                check_version(version, f"expected_versions.{wallet_id}")

    def intent(self) -> str:
        """Canonical JSON of the intent."""
        return post_intent_json(self.postings, self.metadata)


def credit(
    key: str, wallet_id: UUID, amount: int, *, expected_version: int | None = None, metadata: Metadata = NO_METADATA
) -> Post:
    """Money enters a wallet from outside."""
    return Post(key, (Posting(None, wallet_id, amount),), _guard(wallet_id, expected_version), metadata)


def debit(
    key: str, wallet_id: UUID, amount: int, *, expected_version: int | None = None, metadata: Metadata = NO_METADATA
) -> Post:
    """Money leaves a wallet to the outside."""
    return Post(key, (Posting(wallet_id, None, amount),), _guard(wallet_id, expected_version), metadata)


def transfer(
    key: str,
    source: UUID,
    destination: UUID,
    amount: int,
    *,
    expected_versions: Mapping[UUID, int] | None = None,
    metadata: Metadata = NO_METADATA,
) -> Post:
    """Money moves from one wallet to another of the same currency."""
    return Post(key, (Posting(source, destination, amount),), expected_versions or {}, metadata)


@attrs.frozen
class PlaceHold:
    """Set an amount aside. With ``destination`` a capture credits that wallet; ``expires_in_s`` is in seconds."""

    key: str
    wallet_id: UUID
    amount: int
    destination: UUID | None = None
    expires_in_s: int | None = None
    expected_version: int | None = None
    metadata: Metadata = attrs.field(default=NO_METADATA, converter=checked_metadata)

    kind = Kind.HOLD

    def __attrs_post_init__(self) -> None:
        check_key(self.key)
        check_amount(self.amount, "amount")
        if self.destination == self.wallet_id:
            raise InvalidCommand("destination", "must be another wallet")
        if self.expires_in_s is not None:
            check_integer(self.expires_in_s, "expires_in", 1, EXPIRES_IN_S_MAX)
        if self.expected_version is not None:
            check_version(self.expected_version, "expected_version")

    def intent(self) -> str:
        """Canonical JSON of the intent."""
        return canonical_json(
            {
                "amount": self.amount,
                "destination": _text(self.destination),
                "expires_in": self.expires_in_s,
                "kind": Kind.HOLD.value,
                "metadata": self.metadata,
                "wallet": str(self.wallet_id),
            }
        )


@attrs.frozen
class CaptureHold:
    """Take a held amount: all that remains, or ``amount`` of it. If ``final``, what then remains is released."""

    key: str
    hold_id: UUID
    amount: int | None = None
    final: bool = True

    kind = Kind.CAPTURE

    def __attrs_post_init__(self) -> None:
        check_key(self.key)
        if self.amount is not None:
            check_amount(self.amount, "amount")

    def intent(self) -> str:
        """Canonical JSON of the intent."""
        return canonical_json(
            {"amount": self.amount, "final": self.final, "hold": str(self.hold_id), "kind": Kind.CAPTURE.value}
        )


@attrs.frozen
class ReleaseHold:
    """Give back what a hold still reserves."""

    key: str
    hold_id: UUID

    kind = Kind.RELEASE

    def __attrs_post_init__(self) -> None:
        check_key(self.key)

    def intent(self) -> str:
        """Canonical JSON of the intent."""
        return canonical_json({"hold": str(self.hold_id), "kind": Kind.RELEASE.value})


@attrs.frozen
class Reverse:
    """Move back what a posted or captured transaction moved. Once per transaction; the usual rules apply."""

    key: str
    transaction_id: UUID
    metadata: Metadata = attrs.field(default=NO_METADATA, converter=checked_metadata)

    kind = Kind.REVERSAL

    def __attrs_post_init__(self) -> None:
        check_key(self.key)

    def intent(self) -> str:
        """Canonical JSON of the intent."""
        return canonical_json(
            {
                "kind": Kind.REVERSAL.value,
                "metadata": self.metadata,
                "transaction": str(self.transaction_id),
            }
        )


@attrs.frozen
class NewCeiling:
    """A ceiling to set, where None takes it away. A class of its own keeps that apart from "no change"."""

    ceiling: int | None


@attrs.frozen
class ChangeWallet:
    """Change a wallet's status, limits or metadata. What is None stays as it is; metadata is replaced as a whole."""

    key: str
    wallet_id: UUID
    status: WalletStatus | None = None
    floor: int | None = None
    ceiling: NewCeiling | None = None
    metadata: Metadata | None = attrs.field(default=None, converter=optional(checked_metadata))
    expected_version: int | None = None

    kind = Kind.CHANGE

    def __attrs_post_init__(self) -> None:
        check_key(self.key)
        if self.status is None and self.floor is None and self.ceiling is None and self.metadata is None:
            raise InvalidCommand("", "must change at least one of status, floor, ceiling, metadata")
        if self.floor is not None:
            check_floor(self.floor)
        if self.ceiling is not None:
            check_ceiling(self.ceiling.ceiling)
        if self.expected_version is not None:
            check_version(self.expected_version, "expected_version")

    def intent(self) -> str:
        """Canonical JSON of the intent: only the members that are to change."""
        members: dict[str, object] = {}
        if self.ceiling is not None:
            members["ceiling"] = self.ceiling.ceiling
        if self.floor is not None:
            members["floor"] = self.floor
        members["kind"] = Kind.CHANGE.value
        if self.metadata is not None:
            members["metadata"] = self.metadata
        if self.status is not None:
            members["status"] = self.status.value
        members["wallet"] = str(self.wallet_id)
        return canonical_json(members)


@attrs.frozen
class FenceKey:
    """Make sure that nothing more can happen under a key: learn what was decided, or forbid that anything ever is."""

    key: str

    def __attrs_post_init__(self) -> None:
        check_key(self.key)


Command = OpenWallet | Post | PlaceHold | CaptureHold | ReleaseHold | Reverse | ChangeWallet | FenceKey


def _guard(wallet_id: UUID, expected_version: int | None) -> dict[UUID, int]:
    return {} if expected_version is None else {wallet_id: expected_version}


def _text(id: UUID | None) -> str | None:
    return None if id is None else str(id)
