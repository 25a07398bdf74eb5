"""How `make docs` makes a site of these pages: Sphinx, reading Markdown as GitHub does. Nothing is fetched."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.site_pages import fill

project = "Wallet Service"
author = "Wallet Service"
version = release = version_of("wallet-service")

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
# The anchors that GitHub gives to headings, so that a link works in both places.
myst_heading_anchors = 4
myst_enable_extensions = ["tasklist"]
nitpicky = True
# What stands in quotes is often to be typed.
smartquotes = False
# Sessions show what a terminal shows, and the rest of a language's errors are found by tests that run the code.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = "Wallet Service"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_last_updated_fmt = ""


def setup(app: Sphinx) -> None:
    """Have each page completed as it is read."""

    def complete(app: Sphinx, docname: str, source: list[str]) -> None:
        source[0] = fill(source[0], docname, app.project.docnames)

    app.connect("source-read", complete)
