"""Writes label.html: one page that opens from disk, shows the frames of each tracklet and takes its labels.

The page asks for nothing but the pictures beside it: its policy (CSP) runs only our own script and style, known by
their hashes. Names reach it as JSON, and its script sets them as text, never as HTML.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from vpar_cache import __version__
from vpar_cache.attributes.schema import Schema
from vpar_cache.base.files import read_bounded, write_text
from vpar_cache.datasets.labels import normalise_header
from vpar_cache.datasets.own.folders import TrackletFolder
from vpar_cache.errors import UserError

MAX_SHOWN = 24
"""Frames of a tracklet that the page shows, spread over its time."""
_SCRIPTS = ("label_csv.js", "label_table.js", "label.js")
_MAX_PAGE_BYTES = 512_000_000
_MARK = re.compile(r'<meta name="vpar-dataset" content="([0-9a-f]{16})">')


def check_page(path: Path) -> str:
    """Return the number that names the dataset in the page at `path`, a new random one where there is no page.

    The browser keeps what was entered under this number, so that a page that is written again still has it.
    Raises UserError for a file that is not such a page.
    """
    if not path.exists():
        return os.urandom(8).hex()
    mark = _MARK.search(read_bounded(path, _MAX_PAGE_BYTES).decode("utf-8", "replace"))
    if mark is None:
        raise UserError(f"{path}: got a page of another program; expected none, or a page of vpar. Move it away")
    return mark[1]


def write_label_page(
    path: Path, schema: Schema, tracklets: Sequence[TrackletFolder], rows: Sequence[Sequence[str]]
) -> None:
    """Write the page, atomically; it starts with `rows`, those of the label file, the header first."""
    from jinja2 import Environment, StrictUndefined  # only who writes a page pays for it
    from markupsafe import Markup

    style, script = _asset("label.css"), "".join(map(_asset, _SCRIPTS))
    data = {
        "dataset": (dataset := check_page(path)),
        "questions": _questions(schema),
        "tracklets": [{"name": t.name, "frames": _spread(t.frames), "count": len(t.frames)} for t in tracklets],
        "rows": [list(row) for row in rows],
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "img-src 'self' file: data:; base-uri 'none'; form-action 'none'"
    )
    page = environment.from_string(_asset("label.html.j2")).render(
        policy=policy,
        version=__version__,
        dataset=dataset,
        name=schema.name,
        style=Markup(style),  # not escaped: our own files
        script=Markup(script),
        data=data,
    )
    write_text(path, page)


def _questions(schema: Schema) -> list[dict[str, Any]]:
    """Return the columns that the page asks for: groups, then quality flags."""
    groups = [(group.columns[0], group.columns, group.name, group.value_names()) for group in schema.groups]
    flags = [(flag, (flag,), f"{flag} (quality)", ("no", "yes")) for flag in schema.quality]
    return [
        {"column": column, "spellings": [normalise_header(c) for c in columns], "title": title, "values": values}
        for column, columns, title, values in (*groups, *flags)
    ]


def _spread(frames: Sequence[str]) -> list[str]:
    """Return at most MAX_SHOWN of the frames, spread evenly, the first and the last among them."""
    if len(frames) <= MAX_SHOWN:
        return list(frames)
    return [frames[round(i * (len(frames) - 1) / (MAX_SHOWN - 1))] for i in range(MAX_SHOWN)]


def _asset(name: str) -> str:
    """Return a file of the package, with the line ends of the text that the browser hashes."""
    return (resources.files("vpar_cache.datasets.own") / name).read_text("utf-8").replace("\r\n", "\n")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
