"""A document as one HTML page that loads nothing: it opens from disk, and the same document gives the same bytes.

Names come from untrusted files. Every string passes `printable` and the escaping of the template engine, and the
page's policy (CSP) runs only our own script and style, known by their hashes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from vpar_cache import __version__
from vpar_cache.base.files import write_text
from vpar_cache.errors import UserError
from vpar_cache.rendering.chart import chart_svg
from vpar_cache.rendering.page_parts import content_policy, page_template, read_asset
from vpar_cache.rendering.tables import Block, Chart, Part

_PACKAGE = "vpar_cache.rendering"
_TITLE = "Pedestrian attribute recognition"
_SUFFIXES = (".html", ".htm")
_MANY = 8
"""More parts of one group are folded in the contents."""


def check_page_path(path: Path) -> None:
    """Raise UserError for a file whose name is not that of a page: it may be a run's name or a cache."""
    if path.suffix.lower() not in _SUFFIXES:
        raise UserError(
            f"--html: got {str(path)!r}; expected the name of a file that ends in .html. Add the ending"
        )


def write_page(path: Path, parts: Sequence[Part], notes: Sequence[str] = ()) -> None:
    """Write the page, atomically."""
    check_page_path(path)
    write_text(path, render_page(parts, notes))


def render_page(parts: Sequence[Part], notes: Sequence[str] = ()) -> str:
    """Return the page; `notes` stand above the tables."""
    from markupsafe import Markup

    style, script = read_asset(_PACKAGE, "report.css"), read_asset(_PACKAGE, "report.js")

    def svg(chart: Chart, name: str) -> Markup:
        return Markup(chart_svg(chart, name))

    return page_template(_PACKAGE, "report.html.j2").render(
        title=_TITLE,
        version=__version__,
        policy=content_policy(style, script),
        # The text that is not escaped: our own files, and charts, whose names matplotlib escapes.
        style=Markup(style),
        script=Markup(script),
        svg=svg,
        notes=notes,
        parts=parts,
        contents=_contents(parts),
        kind=_kind,
        bar_class=_bar_class,
    )


def _contents(parts: Sequence[Part]) -> list[tuple[str, list[tuple[int, Part]]]]:
    """Return numbered parts, neighbours of one group together where there are many, with the group's name."""
    numbered = groupby(enumerate(parts, 1), key=lambda entry: entry[1].group)
    groups = ((group, list(entries)) for group, entries in numbered)
    return [(group if len(entries) > _MANY else "", entries) for group, entries in groups]


def _kind(block: Block) -> str:
    return type(block).__name__


def _bar_class(share: float | None) -> str:
    """Return the class that draws a bar behind a number, in steps of 5 % (report.css)."""
    if share is None:
        return ""
    return " bar-over" if share >= 1 else f" bar bar-{5 * round(20 * share)}"
