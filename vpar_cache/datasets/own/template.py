"""Writes what own data need beside the pictures: a schema, a label file with empty cells, a page to fill it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from vpar_cache.attributes.schema import Schema, read_schema
from vpar_cache.base.files import write_text
from vpar_cache.base.spreadsheet import read_rows
from vpar_cache.datasets.labels import MAX_FILE_BYTES
from vpar_cache.datasets.own.folders import TrackletFolder, find_tracklet_folders
from vpar_cache.datasets.own.label_page import check_page, write_label_page
from vpar_cache.errors import UserError

SCHEMA, LABELS, README, PAGE = "schema.toml", "labels.csv", "README.md", "label.html"


@dataclass(frozen=True)
class Template:
    """What was done with a folder."""

    written: tuple[str, ...]
    """Names of the files that were not there, or that hold nothing of the user."""
    kept: tuple[str, ...]
    tracklets: int


def start_template(root: Path) -> tuple[Schema, list[str]]:
    """Write the schema and README.md into `root` unless they are there; return the schema and what was written.

    Raises UserError for a root that is not a folder, an invalid schema, and a label.html of another program.
    """
    if (root.exists() or root.is_symlink()) and not root.is_dir():
        raise UserError(f"DIR: got {root}, which is a file; expected a folder, or a name that is free")
    check_page(root / PAGE)
    written = []
    for name, source in ((SCHEMA, "template_schema.toml"), (README, "template_readme.md")):
        if not (root / name).exists():
            text = (resources.files("vpar_cache.datasets.own") / source).read_text("utf-8")
            write_text(root / name, text.replace("\r\n", "\n"))
            written.append(name)
    return read_schema(root / SCHEMA), written


def write_template(root: Path, started: Sequence[str] = ()) -> Template:
    """Write schema, README.md, label file and page into `root`, for the tracklets that it holds.

    A file of the user is never replaced: labels.csv is written where it is missing or has no row, the page always,
    since it holds nothing that is not in the others. `started` is what start_template wrote before in this call.
    Raises as start_template, and DataError for a labels.csv that is no table.
    """
    schema, written = start_template(root)
    written += started
    tracklets = find_tracklet_folders(root)
    labels = root / LABELS
    rows = [row for _, row in read_rows(labels, MAX_FILE_BYTES)] if labels.exists() else []
    if len(rows) < 2:
        rows = empty_labels(schema, tracklets)
        write_text(labels, format_labels(rows))
        written.append(LABELS)
    if tracklets:
        write_label_page(root / PAGE, schema, tracklets, rows)
        written.append(PAGE)
    kept = tuple(name for name in (SCHEMA, README, LABELS) if name not in written)
    return Template(tuple(written), kept, len(tracklets))


def empty_labels(schema: Schema, tracklets: list[TrackletFolder]) -> list[list[str]]:
    """Return the rows of a label file, the header first; each tracklet is a person of its own."""
    attributes = [*(group.columns[0] for group in schema.groups), *schema.quality]
    header = ["tracklet", "split", "person_id", *attributes]
    return [header, *([tracklet.name, "", tracklet.name, *("" for _ in attributes)] for tracklet in tracklets)]


def format_labels(rows: list[list[str]]) -> str:
    """Return the rows as CSV."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
