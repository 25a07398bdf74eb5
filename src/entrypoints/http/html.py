"""Plain pages for people: no script, nothing fetched from elsewhere, readable without a style sheet."""

import hashlib
from base64 import b64encode
from html import escape
from typing import Final

from litestar.types import HTTPScope

from entrypoints.http.answers import Answer
from entrypoints.http.requests import header_values

STYLE: Final = """\
:root { color-scheme: light dark; }
body { font: 1rem/1.55 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.25; }
h2 { margin-top: 2.5rem; }
h3 { margin-top: 2rem; }
code { font-family: ui-monospace, monospace; font-size: .92em; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: .25rem .9rem .25rem 0; }
th { font-weight: 600; }
tbody tr { border-top: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
"""

_STYLE_HASH = b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

PAGE_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page(title: str, body: str, status: int = 200) -> Answer:
    """A page. ``body`` is HTML; ``title`` is text."""
    document = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} – Wallet Service</title><style>{STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>\n"
    )
    headers = (
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", PAGE_POLICY.encode()),
        (b"vary", b"Accept"),
    )
    return Answer(status, headers, document.encode())


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table; the cells are HTML."""
    header = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table></div>'


def code(text: str) -> str:
    """The text as code."""
    return f"<code>{escape(text)}</code>"


def prefers(scope: HTTPScope, wanted: bytes, otherwise: bytes) -> bool:
    """Whether the client would rather have the media type ``wanted`` than ``otherwise`` (RFC 9110, section 12.5.1)."""
    accept = b",".join(header_values(scope, b"accept")).lower()
    return _quality(accept, wanted) > _quality(accept, otherwise)


def _quality(accept: bytes, media_type: bytes) -> float:
    """How much the client wants a type: by the most specific range that covers it."""
    ranges = (media_type, media_type.partition(b"/")[0] + b"/*", b"*/*")
    best = (len(ranges), 0.0)
    for part in accept.split(b","):
        name, *parameters = (item.strip() for item in part.split(b";"))
        if name in ranges:
            best = min(best, (ranges.index(name), _weight(parameters)), key=lambda found: found[0])
    return best[1]


def _weight(parameters: list[bytes]) -> float:
    for parameter in parameters:
        if parameter.startswith(b"q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
