"""Parameters in PostgreSQL's binary format, as far as the statements of a batch carry any.

Each is what the type's ``send`` function would send. PostgreSQL's manual leaves the formats to its source: for arrays
``array_recv`` has them.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, DateTime, LargeBinary, Text, Uuid
from sqlalchemy.types import JSON, TypeEngine

Encode = Callable[[Any], bytes]
"""What a value is sent as, without its size."""

EncodeEach = Callable[[Sequence[Any]], list[bytes]]
"""What values are sent as in an array, each behind its size; a size of -1 is for NULL."""

_INT4: Final = Struct(">i").pack
_NULL: Final = _INT4(-1)
_UUID_SIZE: Final = _INT4(16)
_SIZED_INT8: Final = Struct(">iq").pack
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_ARRAY: Final = Struct(">iiiii").pack
"""Dimensions, whether there are NULLs, the type of the elements, how many there are, and the number of the first."""
_NO_ELEMENTS: Final = Struct(">iii").pack


# A loop for each type: one for all, which calls what encodes a value, takes a third longer.
def _int8s(values: Sequence[int | None]) -> list[bytes]:
    return [_NULL if value is None else _SIZED_INT8(8, value) for value in values]


def _uuids(values: Sequence[UUID | None]) -> list[bytes]:
    return [_NULL if value is None else _UUID_SIZE + value.bytes for value in values]


def _texts(values: Sequence[str | None]) -> list[bytes]:
    return [_NULL if value is None else _INT4(len(text := value.encode())) + text for value in values]


def _byteas(values: Sequence[bytes | None]) -> list[bytes]:
    return [_NULL if value is None else _INT4(len(value)) + value for value in values]


def _times(values: Sequence[datetime | None]) -> list[bytes]:
    return [_NULL if value is None else _time(value) for value in values]


# Most rows of a batch have one and the same time.
@lru_cache(maxsize=16)
def _time(value: datetime) -> bytes:
    return _SIZED_INT8(8, (value - _EPOCH) // _MICROSECOND)


_ELEMENTS: Final[Mapping[type[TypeEngine[Any]], tuple[int, EncodeEach]]] = {
    BigInteger: (20, _int8s),
    DateTime: (1184, _times),
    LargeBinary: (17, _byteas),
    JSON: (114, _texts),
    Text: (25, _texts),
    Uuid: (2950, _uuids),
}
"""The oid of the type, which is the same in every PostgreSQL, and how its values are sent in an array."""


def encoder(type_: TypeEngine[Any]) -> Encode:
    """How a parameter of this type is sent. Raises ``KeyError`` for a type that no batch carries."""
    if isinstance(type_, Uuid):
        return _uuid
    if isinstance(type_, ARRAY):
        return _array(*_ELEMENTS[type(type_.item_type)])
    raise KeyError(type_)


def _uuid(value: UUID) -> bytes:
    return value.bytes


def _array(oid: int, encode_each: EncodeEach) -> Encode:
    def encode(values: Sequence[Any]) -> bytes:
        if not values:
            return _NO_ELEMENTS(0, 0, oid)
        return _ARRAY(1, None in values, oid, len(values), 1) + b"".join(encode_each(values))

    return encode
