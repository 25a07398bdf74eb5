"""The built user interface, served out of the package: its page, and its assets. Everything else is a route's."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from litestar.types import HTTPScope

from entrypoints.http import problem_types as types
from entrypoints.http.answers import Answer, problem_answer
from entrypoints.http.html import page
from entrypoints.http.problems import Problem
from entrypoints.http.requests import header_values

PAGES: Final = ("/", "/lab", "/wallets/{rest:path}")
"""Paths at which the browser gets the page, which then shows what the path is about."""

UI_FOLDER: Final = Path(__file__).resolve().parents[1] / "ui"

UI_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    b"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# The names of built assets carry a hash of their content.
UNCHANGING: Final = (b"cache-control", b"public, max-age=31536000, immutable")
REVALIDATED: Final = (b"cache-control", b"no-cache")

CONTENT_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
"""Told here, because what the system thinks of a name differs from one system to the next."""

SUFFIXES: Final = {"br": ".br", "gzip": ".gz"}
"""What the build calls the compressed forms of a file, by content coding, the best one first."""

Codings = Mapping[str, Answer]
"""A file in each of its content codings."""

NOT_BUILT: Final = """\
<p><code>make run</code> builds it.</p>
<p>The API is described in <a href="/schema">/schema</a>.</p>
"""


class UserInterface:
    """The files of the user interface, read once: what is not among them is not there, whatever path is asked for."""

    def __init__(self, folder: Path = UI_FOLDER) -> None:
        index = folder / "index.html"
        not_built = {"identity": page("The user interface is not built", NOT_BUILT)}
        self._index = _file(index, REVALIDATED) if index.is_file() else not_built
        self._assets: Mapping[str, Codings] = {
            path.relative_to(folder / "assets").as_posix(): _file(path, UNCHANGING)
            for path in sorted((folder / "assets").rglob("*"))
            if path.is_file() and path.suffix not in SUFFIXES.values()
        }

    def index(self, scope: HTTPScope) -> Answer:
        """The page."""
        return _chosen(self._index, scope)

    def asset(self, scope: HTTPScope) -> Answer:
        """One of the files that the page needs."""
        found = self._assets.get(scope["path_params"]["name"].strip("/"))
        return _chosen(found, scope) if found else problem_answer(Problem(types.NOT_FOUND), scope)


def _file(path: Path, caching: tuple[bytes, bytes]) -> Codings:
    content_type = CONTENT_TYPES.get(path.suffix, "application/octet-stream")
    headers = (
        (b"content-type", content_type.encode()),
        (b"content-security-policy", UI_POLICY),
        (b"vary", b"accept-encoding"),
        caching,
    )
    compressed = {
        coding: Answer(200, (*headers, (b"content-encoding", coding.encode())), other.read_bytes())
        for coding, suffix in SUFFIXES.items()
        if (other := path.with_name(path.name + suffix)).is_file()
    }
    return {**compressed, "identity": Answer(200, headers, path.read_bytes())}


def _chosen(codings: Codings, scope: HTTPScope) -> Answer:
    """The first of the codings that the client takes; the plain file where it takes none (RFC 9110, section 12.5.3)."""
    accepted = b",".join(header_values(scope, b"accept-encoding")).decode("latin-1").lower()
    taken = {
        coding.strip() for coding, *weight in (part.split(";") for part in accepted.split(",")) if not _is_zero(weight)
    }
    return next((answer for coding, answer in codings.items() if coding in taken), codings["identity"])


def _is_zero(weight: Sequence[str]) -> bool:
    """Whether a coding comes with the weight that means "not this one"."""
    return bool(weight) and re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight[0]) is not None
