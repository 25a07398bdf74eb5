"""Pages of a list: where the next one starts is told by an opaque cursor, which is good for the same list only."""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar
from uuid import UUID

import attrs

from entrypoints.http.problems import malformed

LIMIT_DEFAULT: Final = 50
LIMIT_MAX: Final = 500
PAGE_PARAMETERS: Final = ("limit", "cursor")
INTEGER_DIGITS_MAX: Final = 16

_LIST_MARK_BYTES: Final = 6

T = TypeVar("T")


@attrs.frozen
class Page:
    """Which part of which list is asked for. ``mark`` stands for the list and its filters."""

    limit: int
    mark: bytes
    position: str | None

    @classmethod
    def of(cls, parameters: Mapping[str, str], *list_name: str) -> "Page":
        """The page that the query asks for. ``list_name`` names the list. Raises ``Refused``."""
        filters = sorted(item for item in parameters.items() if item[0] not in PAGE_PARAMETERS)
        mark = hashlib.sha256(repr((list_name, filters)).encode()).digest()[:_LIST_MARK_BYTES]
        cursor = parameters.get("cursor")
        return cls(
            integer(parameters, "limit", LIMIT_MAX) or LIMIT_DEFAULT,
            mark,
            None if cursor is None else _position(cursor, mark),
        )

    def before(self, parse: Callable[[str], T | None]) -> T | None:
        """The position that the page comes after; None for the first page. Raises ``Refused``."""
        if self.position is None:
            return None
        position = parse(self.position)
        if position is None:
            raise _bad_cursor()
        return position

    def next_cursor(self, found: Sequence[T], position_of: Callable[[T], UUID | int]) -> str | None:
        """The cursor of the page after, given one item more than fits on this one, if there is one."""
        if len(found) <= self.limit:
            return None
        position = str(position_of(found[self.limit - 1])).encode()
        return urlsafe_b64encode(self.mark + position).rstrip(b"=").decode()


def integer(parameters: Mapping[str, str], name: str, largest: int, smallest: int = 1) -> int | None:
    """A parameter that is an integer in these bounds; None if it is not given. Raises ``Refused``."""
    text = parameters.get(name)
    if text is None:
        return None
    value = _natural_or_none(text)
    if value is None or not smallest <= value <= largest:
        raise malformed(name, f"must be an integer from {smallest} to {largest}")
    return value


def version_or_none(text: str) -> int | None:
    """A positive integer in plain decimal digits; None if the text is none."""
    return _natural_or_none(text) or None


def _natural_or_none(text: str) -> int | None:
    # int() alone would take signs, underscores, spaces and digits of other scripts.
    if not (text.isascii() and text.isdigit() and len(text) <= INTEGER_DIGITS_MAX):
        return None
    return int(text)


def _position(cursor: str, mark: bytes) -> str:
    try:
        content = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        position = content[_LIST_MARK_BYTES:].decode("ascii")
    except (Base64Error, UnicodeError):
        raise _bad_cursor() from None
    if content[:_LIST_MARK_BYTES] != mark:
        raise _bad_cursor()
    return position


def _bad_cursor() -> Exception:
    return malformed("cursor", "is not a cursor that this list, with these filters, has given out")
