"""What a command must be to be a command at all. Nothing here looks at the state of the ledger."""

from wallet_core.canonical import canonical_metadata
from wallet_core.model import Metadata
from wallet_core.money import AMOUNT_MAX

KEY_LENGTH_MAX = 255
POSTINGS_MAX = 100
METADATA_MEMBERS_MAX = 16
METADATA_BYTES_MAX = 4096
EXPIRES_IN_S_MAX = 31_536_000


class InvalidCommand(ValueError):
    """The command is malformed: nothing about the state of the ledger could make it valid.

    ``field`` is a path into the command, such as ``postings[0].amount``.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def check_key(key: str) -> None:
    """Visible ASCII only. Keys that the ledger derives for itself hold a space, which no client may send."""
    if not 1 <= len(key) <= KEY_LENGTH_MAX or not key.isascii() or not key.isprintable() or " " in key:
        raise InvalidCommand("idempotency_key", f"must be 1 to {KEY_LENGTH_MAX} visible ASCII characters")


def check_integer(value: int, field: str, low: int, high: int) -> None:
    """An integer within these bounds, both included."""
    # `type`, not `isinstance`: a bool is an int to Python, and True is not an amount.
    if type(value) is not int or not low <= value <= high:
        raise InvalidCommand(field, f"must be an integer from {low} to {high}")


def check_amount(amount: int, field: str) -> None:
    """In minor units, more than 0."""
    check_integer(amount, field, 1, AMOUNT_MAX)


def check_version(version: int, field: str) -> None:
    """A wallet's version: 1 or more."""
    check_integer(version, field, 1, AMOUNT_MAX)


def check_floor(floor: int) -> None:
    """In minor units, 0 or less."""
    check_integer(floor, "floor", -AMOUNT_MAX, 0)


def check_ceiling(ceiling: int | None) -> None:
    """In minor units, 0 or more, or none at all."""
    if ceiling is not None:
        check_integer(ceiling, "ceiling", 0, AMOUNT_MAX)


def checked_metadata(metadata: Metadata) -> Metadata:
    """At most 16 string keys to string values, 4 KiB of UTF-8 in all, without what PostgreSQL text cannot hold.

    Returns a copy in canonical order: the one in which it is stored, so that a first answer has the bytes of a replay.
    """
    if not metadata:
        return {}
    if len(metadata) > METADATA_MEMBERS_MAX:
        raise InvalidCommand("metadata", f"must have at most {METADATA_MEMBERS_MAX} members")
    size = 0
    for name, value in metadata.items():
        if type(name) is not str or type(value) is not str:
            raise InvalidCommand("metadata", "must map strings to strings")
        try:
            size += len(name.encode()) + len(value.encode())
        except UnicodeEncodeError:
            raise InvalidCommand("metadata", "must not hold a lone surrogate") from None
        if "\0" in name or "\0" in value:
            raise InvalidCommand("metadata", "must not hold the character U+0000")
    if size > METADATA_BYTES_MAX:
        raise InvalidCommand("metadata", f"must be at most {METADATA_BYTES_MAX} bytes in all")
    return canonical_metadata(metadata)
