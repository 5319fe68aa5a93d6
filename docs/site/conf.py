"""Settings of Sphinx for the site. `make docs` runs build.py, which gives Sphinx the pages."""

import re
from typing import Any

from pygments.lexers.special import TextLexer

import vpar_cache

project = "vpar-cache"
author = "the authors of vpar-cache"
release = version = vpar_cache.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
default_role = "code"  # in docstrings, `word` is code, as it is in Markdown
highlight_language = "text"
smartquotes = False  # the -- of an option stays two characters
myst_heading_anchors = 3  # links such as datasets.md#your-own-data, as on code hosts

html_theme = "furo"
html_title = f"vpar-cache {release}"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_show_search_summary = False  # it would be fetched, which browsers refuse for pages opened from disk
pygments_style = "tango"
pygments_dark_style = "github-dark"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 80


def _escape_stars(app: Any, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Keep the * of shapes such as (B, *row_shape), outside `code`, from starting emphasis."""
    lines[:] = [re.sub(r"`[^`]*`|\*", lambda part: "\\*" if part[0] == "*" else part[0], line) for line in lines]


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _escape_stars)
    app.add_lexer("csv", TextLexer)
