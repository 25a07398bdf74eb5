"""Strict decoding. What is not exactly what the API takes is refused, with the path of the field at fault.

The standard library's parser is used because it can be told to see a member that is given twice, and keeps ``12.0``
apart from ``12``; faster ones take both. Shapes are then checked without any conversion between types.
"""

import json
import re
from collections.abc import Callable
from typing import Final, TypeVar
from uuid import UUID

import msgspec
from asyncpg.pgproto import pgproto

from entrypoints.http.problems import Refused, malformed
from wallet_core.checks import InvalidCommand

UUID_LENGTH: Final = 36
UUID_PATTERN: Final = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
NAME_SHOWN_MAX: Final = 64

T = TypeVar("T")

_UUID = re.compile(UUID_PATTERN)
_PATH = re.compile(r" - at `(?:key` in `)?\$\.?([^`]*)`$")
_MISSING = re.compile(r"Object missing required field `([^`]*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_TYPES: Final = {
    "int": "an integer",
    "str": "a string",
    "bool": "true or false",
    "object": "an object",
    "array": "an array",
    "null": "null",
    "float": "a number with a fraction or an exponent",
}


class Repeated:
    """Stands in the parsed document for an object in which a member is given twice. No shape takes it."""


def parse_json(data: bytes) -> object:
    """The document that these bytes are, in UTF-8. Raises ``Refused``."""
    if not data:
        raise malformed("", "a JSON object is needed, and the body is empty")
    try:
        document: object = _decode(data.decode())
    except UnicodeDecodeError:
        raise malformed("", "is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise malformed("", f"is not JSON: {error.msg} at character {error.pos}") from None
    except ValueError:
        # The interpreter's own limit on the digits of an integer.
        raise malformed("", "holds an integer of too many digits") from None
    except RecursionError:
        raise malformed("", "is nested too deeply") from None
    return document


def shaped(document: object, shape: type[T]) -> T:
    """The document in its shape; no type is taken for another. Raises ``Refused``."""
    try:
        return msgspec.convert(document, shape, strict=True)
    except msgspec.ValidationError as error:
        raise _malformed_shape(str(error)) from None
    except UnicodeEncodeError:
        raise malformed("", "has a member whose name is not valid Unicode") from None
    except RecursionError:
        raise malformed("", "is nested too deeply") from None


def checked(make: Callable[[], T]) -> T:
    """The command that ``make`` makes. Raises ``Refused`` where the core says that it is none."""
    try:
        return make()
    except InvalidCommand as invalid:
        raise malformed(invalid.field, invalid.message) from None


def uuid_or_none(text: str) -> UUID | None:
    """The id that this text is, in the canonical form of 36 characters, in any case; None if it is none."""
    return as_uuid(text) if len(text) == UUID_LENGTH and _UUID.match(text) else None


def as_uuid(text: str) -> UUID:
    """An id whose form has been checked."""
    # The database driver's kind of UUID: see ``adapters.ids``.
    return pgproto.UUID(text)


def _object(members: list[tuple[str, object]]) -> object:
    unique = dict(members)
    return unique if len(unique) == len(members) else Repeated()


# Made once: making a decoder takes as long as decoding a body with it (2 µs).
_decode = json.JSONDecoder(object_pairs_hook=_object).decode


def _malformed_shape(error: str) -> Refused:
    """The validator's message, as a field and what is wrong with it."""
    at = _PATH.search(error)
    # The validator writes [...] for any member of a map, whose name it does not tell.
    path = at[1].replace("[...]", "") if at else ""
    text = error[: at.start()] if at else error
    if missing := _MISSING.fullmatch(text):
        return malformed(_joined(path, missing[1]), "is required")
    if unknown := _UNKNOWN.fullmatch(text):
        return malformed(_joined(path, unknown[1][:NAME_SHOWN_MAX]), "is not a known field")
    if "matching regex" in text:
        return malformed(path, "must be a UUID of 36 characters")
    if text.endswith(f"got `{Repeated.__name__}`"):
        return malformed(path, "has a member twice")
    named = re.sub(r"`([^`]*)`", lambda name: _TYPES.get(name[1], name[1]), text)
    return malformed(path, named[:1].lower() + named[1:])


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
