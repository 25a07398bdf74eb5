"""The bodies of the writes, and the commands that they ask for.

The classes are what a body is decoded into, and the source of the OpenAPI schemas. Bounds that a schema can express
stand here; the core checks them all again, and those that a schema cannot express.
"""

from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from entrypoints.http.decode import UUID_LENGTH, UUID_PATTERN, as_uuid
from entrypoints.http.problems import malformed
from entrypoints.http.shapes import Amount, Version
from wallet_core import model
from wallet_core.checks import EXPIRES_IN_S_MAX, KEY_LENGTH_MAX, METADATA_MEMBERS_MAX, POSTINGS_MAX
from wallet_core.commands import (
    CaptureHold,
    ChangeWallet,
    Command,
    NewCeiling,
    OpenWallet,
    PlaceHold,
    Post,
    ReleaseHold,
    Reverse,
    credit,
    debit,
)
from wallet_core.model import WalletStatus
from wallet_core.money import AMOUNT_MAX, CURRENCY_PATTERN

# The length keeps out the line feed that a pattern's end would let through.
Id = Annotated[str, Meta(pattern=UUID_PATTERN, max_length=UUID_LENGTH, extra_json_schema={"format": "uuid"})]
Key = Annotated[str, Meta(extra_json_schema={"pattern": "^[!-~]+$", "minLength": 1, "maxLength": KEY_LENGTH_MAX})]
Currency = Annotated[str, Meta(extra_json_schema={"pattern": f"^{CURRENCY_PATTERN.pattern}$"})]
Floor = Annotated[int, Meta(ge=-AMOUNT_MAX, le=0, description="in minor units; below 0 it allows an overdraft")]
Ceiling = Annotated[int, Meta(ge=0, le=AMOUNT_MAX, description="in minor units")]
ExpiresIn = Annotated[int, Meta(ge=1, le=EXPIRES_IN_S_MAX, description="in seconds")]
Metadata = Annotated[dict[str, str], Meta(max_length=METADATA_MEMBERS_MAX, description="at most 4 KiB of UTF-8 in all")]


class OpenWalletBody(Struct, forbid_unknown_fields=True):
    """A wallet to open. Without ``id`` the service chooses one."""

    currency: Currency
    id: Id | None = None
    floor: Floor = 0
    ceiling: Ceiling | None = None
    metadata: Metadata = {}


class ChangeWalletBody(Struct, forbid_unknown_fields=True):
    """What to change; at least one of ``status``, ``floor``, ``ceiling`` (null takes it away) and ``metadata``."""

    status: WalletStatus | UnsetType = UNSET
    floor: Floor | UnsetType = UNSET
    ceiling: Ceiling | None | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    expected_version: Version | None = None


class AmountBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """An amount to credit or debit."""

    amount: Amount
    expected_version: Version | None = None
    metadata: Metadata = {}


class PostingBody(Struct, forbid_unknown_fields=True):
    """A movement. No source: money enters from outside. No destination: it leaves."""

    amount: Amount
    source: Id | None = None
    destination: Id | None = None


class PostBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Postings that happen all together or not at all."""

    postings: Annotated[list[PostingBody], Meta(min_length=1, max_length=POSTINGS_MAX)]
    expected_versions: dict[Id, Version] | None = None
    metadata: Metadata = {}


class HoldBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """An amount to set aside; a capture credits ``destination``, if there is one."""

    amount: Amount
    destination: Id | None = None
    expires_in: ExpiresIn | None = None
    expected_version: Version | None = None
    metadata: Metadata = {}


class CaptureBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """How much of a hold to take: all that remains, unless ``amount`` says otherwise."""

    amount: Amount | None = None
    final: Annotated[bool, Meta(description="release what then remains")] = True


class ReleaseBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Nothing more is needed."""


class ReversalBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """A reversal may have metadata of its own."""

    metadata: Metadata = {}


class FenceBody(Struct, forbid_unknown_fields=True):
    """The key under which nothing more may happen."""

    key: Key


def open_wallet(body: OpenWalletBody, key: str) -> Command:
    """Open a wallet."""
    return OpenWallet(key, body.currency, _optional(body.id), body.floor, body.ceiling, body.metadata)


def change_wallet(body: ChangeWalletBody, key: str, wallet_id: UUID) -> Command:
    """Change a wallet. A member that is absent leaves what it names alone."""
    return ChangeWallet(
        key,
        wallet_id,
        status=_given(body.status),
        floor=_given(body.floor),
        ceiling=None if body.ceiling is UNSET else NewCeiling(body.ceiling),
        metadata=_given(body.metadata),
        expected_version=body.expected_version,
    )


def credit_wallet(body: AmountBody, key: str, wallet_id: UUID) -> Command:
    """Credit a wallet."""
    return credit(key, wallet_id, body.amount, expected_version=body.expected_version, metadata=body.metadata)


def debit_wallet(body: AmountBody, key: str, wallet_id: UUID) -> Command:
    """Debit a wallet."""
    return debit(key, wallet_id, body.amount, expected_version=body.expected_version, metadata=body.metadata)


def post(body: PostBody, key: str) -> Command:
    """Carry out postings."""
    postings = [
        model.Posting(_optional(posting.source), _optional(posting.destination), posting.amount)
        for posting in body.postings
    ]
    given = body.expected_versions or {}
    expected_versions = {as_uuid(id): version for id, version in given.items()}
    if len(expected_versions) < len(given):
        raise malformed("expected_versions", "names a wallet twice")
    return Post(key, postings, expected_versions, body.metadata)


def place_hold(body: HoldBody, key: str, wallet_id: UUID) -> Command:
    """Place a hold."""
    return PlaceHold(
        key,
        wallet_id,
        body.amount,
        _optional(body.destination),
        body.expires_in,
        body.expected_version,
        body.metadata,
    )


def capture_hold(body: CaptureBody, key: str, hold_id: UUID) -> Command:
    """Capture a hold."""
    return CaptureHold(key, hold_id, body.amount, body.final)


def release_hold(body: ReleaseBody, key: str, hold_id: UUID) -> Command:
    """Release a hold. The body has nothing to say about it."""
    return ReleaseHold(key, hold_id)


def reverse(body: ReversalBody, key: str, transaction_id: UUID) -> Command:
    """Reverse a transaction."""
    return Reverse(key, transaction_id, body.metadata)


def _optional(text: str | None) -> UUID | None:
    return None if text is None else as_uuid(text)


def _given(value: Any) -> Any:
    return None if value is UNSET else value
