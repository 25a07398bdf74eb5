"""What a request brings besides its path: headers, a bounded body, and query parameters. All of it is checked."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final
from urllib.parse import unquote_to_bytes
from uuid import UUID

from litestar.types import HTTPScope, Receive

from entrypoints.http import problem_types as types
from entrypoints.http.decode import uuid_or_none
from entrypoints.http.problems import malformed, refusal
from wallet_core.begun import within
from wallet_core.checks import KEY_LENGTH_MAX
from wallet_core.outcomes import Thing

BODY_BYTES_MAX: Final = 16 * 1024
BATCH_BODY_BYTES_MAX: Final = 1024 * 1024
REQUEST_ID_LENGTH_MAX: Final = 128

_BY_NAME: Final = "headers_by_name"
"""Where the headers are kept for the rest of the request, in the state of its scope."""

JSON_CONTENT: Final = re.compile(rb'application/json(?:[ \t]*;[ \t]*charset[ \t]*=[ \t]*(?:utf-8|"utf-8"))?', re.I)
VISIBLE_ASCII: Final = re.compile(rb"[!-~]+")
QUOTED_STRING: Final = re.compile(rb'"((?:[ !#-\[\]-~]|\\["\\])*)"')
"""A string of RFC 8941, section 3.3.3."""
ESCAPED: Final = re.compile(rb"\\(.)")


def header_values(scope: HTTPScope, name: bytes) -> Sequence[bytes]:
    """All values of a header, without the white space around them. ``name`` is in lower case."""
    # A write asks for seven of them, and going through all headers for each takes 5 µs.
    state = scope.setdefault("state", {})
    by_name: dict[bytes, list[bytes]] | None = state.get(_BY_NAME)
    if by_name is None:
        by_name = state[_BY_NAME] = {}
        for key, value in scope["headers"]:
            by_name.setdefault(key, []).append(value.strip(b" \t"))
    return by_name.get(name, ())


def check_media_type(scope: HTTPScope) -> None:
    """Raise ``Refused`` unless the body, if there is one, is plain JSON."""
    encodings = [value.lower() for value in header_values(scope, b"content-encoding")]
    content_types = header_values(scope, b"content-type")
    if any(encoding != b"identity" for encoding in encodings):
        raise refusal(types.UNSUPPORTED_MEDIA_TYPE)
    if content_types:
        if len(content_types) > 1 or not JSON_CONTENT.fullmatch(content_types[0]):
            raise refusal(types.UNSUPPORTED_MEDIA_TYPE)
    elif header_values(scope, b"transfer-encoding") or declared_length(scope) > 0:
        raise refusal(types.UNSUPPORTED_MEDIA_TYPE)


def declared_length(scope: HTTPScope) -> int:
    """The body's length in bytes as the client declares it; 0 if it does not."""
    values = header_values(scope, b"content-length")
    return int(values[0]) if values and values[0].isdigit() else 0


async def received(scope: HTTPScope, receive: Receive, bytes_max: int, timeout_s: float) -> bytes:
    """The body of a write, which takes no query parameters. Raises ``Refused``."""
    check_media_type(scope)
    body = await read_body(scope, receive, bytes_max, timeout_s)
    check_body(scope, body)
    return body


def check_body(scope: HTTPScope, body: bytes) -> None:
    """Raise ``Refused`` where a body comes without a media type, or a write with query parameters."""
    if body and not header_values(scope, b"content-type"):
        raise refusal(types.UNSUPPORTED_MEDIA_TYPE)
    query_parameters(scope, ())


async def read_body(scope: HTTPScope, receive: Receive, bytes_max: int, timeout_s: float) -> bytes:
    """The whole body. Raises ``Refused`` as soon as it is too large, whether or not a length was declared, or when it
    does not arrive in time."""
    if declared_length(scope) > bytes_max:
        raise refusal(types.PAYLOAD_TOO_LARGE, bytes_max=bytes_max)
    try:
        return await within(timeout_s, _whole_body(receive, bytes_max))
    except TimeoutError:
        raise malformed("", "the body did not arrive in time") from None


async def _whole_body(receive: Receive, bytes_max: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise malformed("", "the connection was closed before the body was complete")
        pieces.append(message["body"])
        size += len(message["body"])
        if size > bytes_max:
            raise refusal(types.PAYLOAD_TOO_LARGE, bytes_max=bytes_max)
        if not message["more_body"]:
            return b"".join(pieces)


def idempotency_key(scope: HTTPScope) -> str:
    """The key of a write: bare, or what a quoted string stands for. Raises ``Refused``."""
    values = header_values(scope, b"idempotency-key")
    if not values:
        raise malformed("Idempotency-Key", "is required", types.KEY_MISSING)
    if len(values) > 1:
        raise malformed("Idempotency-Key", "must be sent once", types.KEY_INVALID)
    value = values[0]
    if value.startswith(b'"'):
        quoted = QUOTED_STRING.fullmatch(value)
        value = ESCAPED.sub(rb"\1", quoted[1]) if quoted else b""
    key = visible_ascii(value, KEY_LENGTH_MAX)
    if key is None:
        message = f"must be 1 to {KEY_LENGTH_MAX} visible ASCII characters, bare or as a quoted string"
        raise malformed("Idempotency-Key", message, types.KEY_INVALID)
    return key


def path_id(scope: HTTPScope, thing: Thing) -> UUID:
    """The id in the path. What is no id names nothing that could exist. Raises ``Refused``."""
    id = uuid_or_none(scope["path_params"]["id"])
    if id is None:
        raise refusal(types.OF_MISSING[thing])
    return id


def visible_ascii(value: bytes, length_max: int) -> str | None:
    """The text, if it is 1 to ``length_max`` visible ASCII characters."""
    return value.decode() if len(value) <= length_max and VISIBLE_ASCII.fullmatch(value) else None


def request_id(scope: HTTPScope) -> bytes | None:
    """The id that the client gave its request, if it is fit to be sent back."""
    for value in header_values(scope, b"x-request-id"):
        if len(value) <= REQUEST_ID_LENGTH_MAX and VISIBLE_ASCII.fullmatch(value):
            return value
    return None


def query_parameters(scope: HTTPScope, allowed: Collection[str]) -> Mapping[str, str]:
    """The query's parameters. Raises ``Refused`` for one that is unknown or given twice: a filter or a guard that is
    passed over in silence answers another question than was asked.

    A plus stands for itself, not for a space: it occurs in times and keys, and a space in neither.
    """
    if not scope["query_string"]:
        return {}
    parameters: dict[str, str] = {}
    for part in scope["query_string"].split(b"&"):
        if not part:
            continue
        raw_name, _, raw_value = part.partition(b"=")
        try:
            name, value = unquote_to_bytes(raw_name).decode(), unquote_to_bytes(raw_value).decode()
        except UnicodeDecodeError:
            raise malformed("", "the query is not UTF-8") from None
        if name not in allowed:
            raise malformed(name[:64], "is not a known query parameter")
        if name in parameters:
            raise malformed(name, "is given twice")
        parameters[name] = value
    return parameters
