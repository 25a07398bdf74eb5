"""Headers that tell a browser what it may do with an answer, and with pages of others. All are made once.

The API is not meant for browsers to show, so an answer may do nothing there, unless it says otherwise, as pages do.
"""

from collections.abc import Iterable
from typing import Final

Header = tuple[bytes, bytes]

NO_STORE: Final = (b"cache-control", b"no-store")

CLOSED: Final = (
    b"content-security-policy",
    b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
)

ALWAYS: Final[tuple[Header, ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    # No page of others may embed an answer, or keep a hold on a window with one. Those of WALLET_CORS_ORIGINS ask in
    # another way, which this does not concern.
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)

PLAIN: Final = (*ALWAYS, CLOSED, NO_STORE)
"""For an answer that says nothing of its own on these matters."""

HSTS: Final = ("strict-transport-security", "max-age=31536000")
"""RFC 6797: for a year, this host is to be reached by TLS only. Other hosts of its domain are none of our business."""


def with_security_headers(headers: Iterable[Header]) -> tuple[Header, ...]:
    """The headers, and those that are missing among them."""
    given = tuple(headers)
    names = [name for name, _ in given]
    if b"content-security-policy" not in names and b"cache-control" not in names:
        return *given, *PLAIN
    return *given, *ALWAYS, *(header for header in (CLOSED, NO_STORE) if header[0] not in names)
