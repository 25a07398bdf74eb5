"""The built user interface, served out of the package: its page, and its assets. Everything else is a route's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from litestar.types import HTTPScope

from entrypoints.http import problem_types as types
from entrypoints.http.answers import Answer, problem_answer
from entrypoints.http.html import page
from entrypoints.http.problems import Problem

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

NOT_BUILT: Final = """\
<p><code>make run</code> builds it.</p>
<p>The API is described in <a href="/schema">/schema</a>.</p>
"""


class UserInterface:
    """The files of the user interface, read once: what is not among them is not there, whatever path is asked for."""

    def __init__(self, folder: Path = UI_FOLDER) -> None:
        index = folder / "index.html"
        not_built = page("The user interface is not built", NOT_BUILT)
        self._index = _file(index, REVALIDATED) if index.is_file() else not_built
        self._assets: Mapping[str, Answer] = {
            path.relative_to(folder / "assets").as_posix(): _file(path, UNCHANGING)
            for path in sorted((folder / "assets").rglob("*"))
            if path.is_file()
        }

    def index(self, scope: HTTPScope) -> Answer:
        """The page."""
        return self._index

    def asset(self, scope: HTTPScope) -> Answer:
        """One of the files that the page needs."""
        found = self._assets.get(scope["path_params"]["name"].strip("/"))
        return found or problem_answer(Problem(types.NOT_FOUND), scope)


def _file(path: Path, caching: tuple[bytes, bytes]) -> Answer:
    content_type = CONTENT_TYPES.get(path.suffix, "application/octet-stream")
    headers = ((b"content-type", content_type.encode()), (b"content-security-policy", UI_POLICY), caching)
    return Answer(200, headers, path.read_bytes())
