"""Blocks as one HTML page that loads nothing: it opens from disk, and the same blocks give the same bytes.

Names come from files of anybody's making. Every string passes `printable` and then the escaping of the
template engine, and the page's policy (CSP) runs only our own script and style, known by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vpar_cache import __version__
from vpar_cache.base.files import write_text
from vpar_cache.errors import UserError, printable
from vpar_cache.rendering import chart as html_chart
from vpar_cache.rendering.tables import Block, Chart, Notes, Table

if TYPE_CHECKING:  # imported when a page is drawn, so that the tables alone do not pay for it
    from jinja2 import Template

_TITLE = "Pedestrian attribute recognition"
_SUFFIXES = (".html", ".htm")
_LEAD = re.compile(r"[^:,.(]{1,60}:(?= )")


@dataclass(frozen=True)
class Part:
    """Blocks under a heading."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class _Item:
    """A block as the template takes it."""

    kind: str
    anchor: str = ""
    title: str = ""
    context: str = ""
    """How the title starts, where all in its part start so."""
    entry: str = ""
    """The title in the contents, where it need not name its part again."""
    has_heading: bool = True
    """Not the chart of the table above it."""
    table: Table | None = None
    drawing: html_chart.Drawing | None = None
    chart: Chart | None = None
    lines: tuple[tuple[str, str], ...] = ()


def check_page_path(path: Path) -> None:
    """Raises UserError for a file that is no page by its name: it may be a run's name or a cache."""
    if path.suffix.lower() not in _SUFFIXES:
        raise UserError(f"--html {str(path)!r} must be the name of a file that ends in .html")


def write_page(path: Path, parts: Sequence[Part], notes: Sequence[str] = ()) -> None:
    """Publish the page atomically."""
    check_page_path(path)
    write_text(path, render_page(parts, notes))


def render_page(parts: Sequence[Part], notes: Sequence[str] = ()) -> str:
    """The page; `notes` stand above the tables."""
    from markupsafe import Markup

    style, script = _asset("report.css"), _asset("report.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return _template().render(
        title=_TITLE,
        version=__version__,
        policy=policy,
        # The only text that is not escaped: our own files, and no value ever enters them.
        style=Markup(style),
        script=Markup(script),
        notes=[_lead(line) for line in notes],
        parts=[(f"part-{i}", part.title, list(_items(part, i))) for i, part in enumerate(parts, 1)],
        area=html_chart,
        is_pinned=_is_pinned,
    )


def _items(part: Part, number: int) -> Iterator[_Item]:
    titles = [block.title for block in part.blocks if not isinstance(block, Notes)]
    context = _common_start(part.title, titles)
    previous = ""
    for i, block in enumerate(part.blocks, 1):
        if isinstance(block, Notes):
            yield _Item("notes", lines=tuple(map(_lead, block.lines)))
            continue
        anchor, title = f"part-{number}-{i}", block.title.removeprefix(context)
        entry = _capital(title) if context else _without(part.title, title)
        if isinstance(block, Chart):
            has_heading, drawing = not block.is_repeated or block.title != previous, html_chart.draw(block)
            yield _Item("chart", anchor, title, context, entry, has_heading, drawing.points, drawing, block)
        else:
            yield _Item("table", anchor, title, context, entry, table=block)
        previous = block.title


def _common_start(part: str, titles: Sequence[str]) -> str:
    """The name of a run with which every title of its details starts."""
    start = titles[0][: titles[0].find(": ") + 2] if titles and ": " in titles[0] else ""
    is_shared = len(titles) > 1 and all(title.startswith(start) for title in titles)
    return start if is_shared or start.startswith(part) else ""


def _without(name: str, title: str) -> str:
    """Of "Table 1. MARS: averages" in the part MARS it leaves "Table 1. Averages"."""
    before, found, rest = title.partition(f"{name}: ")
    return before + _capital(rest) if found else title


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lead(line: str) -> tuple[str, str]:
    """("vtf:", " probability > 0.45; ...") so that what a note is about stands out."""
    found = _LEAD.match(line)
    return (found[0], line[found.end() :]) if found else ("", line)


def _is_pinned(table: Table, row: int) -> bool:
    """The average under the groups keeps its place, however they are sorted: it stands below the only line."""
    return row == len(table.rows) - 1 and table.rules == {row - 1} and table.num_labels == 1


@cache
def _template() -> Template:
    from jinja2 import DictLoader, Environment, StrictUndefined

    def visible(value: Any) -> Any:
        return printable(value) if type(value) is str else value  # Markup, a str of ours, stays

    names = ("report.html.j2", "report_blocks.html.j2")
    environment = Environment(
        loader=DictLoader({name: _asset(name) for name in names}),
        autoescape=True,
        finalize=visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(names[0])


@cache
def _asset(name: str) -> str:
    """A file of the package; line ends as in the hash of what the browser reads."""
    return (resources.files("vpar_cache.rendering") / name).read_text("utf-8").replace("\r\n", "\n")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
