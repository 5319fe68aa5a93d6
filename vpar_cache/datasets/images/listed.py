"""A list of images with labels: a CSV file with the path of each image and a column of 0 and 1 for each attribute.

    ROOT/.../00001.png      images (jpg, jpeg, png, webp, bmp), in any folders
    ROOT/labels.csv         the label file, here or elsewhere; or ROOT/train.csv with test.csv or val_task1/val.csv

The first column, or the one that is named `image` or `path`, holds the path of an image, relative to the root and
separated by /. Columns `split`, `person_id` and `camera_id` are optional; without `split` the rows of the label
file train, and those of the test label file test. Every other column is an attribute, unless a schema names them.
The files of UPAR are read as they are.

Source of UPAR: Specker, Cormier and Beyerer, "UPAR: Unified Pedestrian Attribute Recognition and Person
Retrieval", WACV 2023.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from vpar_cache.attributes.schema import Schema, binary
from vpar_cache.base.spreadsheet import read_rows
from vpar_cache.datasets.folder import number_people, split_of
from vpar_cache.datasets.frames_on_disk import find_frames
from vpar_cache.datasets.images.names import problem_of_path
from vpar_cache.datasets.labels import MAX_FILE_BYTES, KeyColumn, LabelRow, normalise_header, read_labels
from vpar_cache.datasets.tracklet import Dataset, Split, Tracklet, build_dataset, first_few, require
from vpar_cache.errors import DataError, UserError, counted

IMAGE_COLUMNS = ("image", "path", "image_path", "file", "file_name", "image_name", "img")
_OPTIONAL = ("split", "person_id", "camera_id")
_DEFAULTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("labels.csv", ()),
    ("train.csv", ("test.csv", "val_task1/val.csv")),
)
"""Label files in the root, each with its test label files: the first that is there counts."""
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")

_Row = tuple[LabelRow, Split]


def load_images(
    root: Path,
    labels: Path | None = None,
    test_labels: Path | None = None,
    schema: Schema | None = None,
    follow_links: Path | None = None,
) -> Dataset:
    """Return the images that the label files list, each a tracklet of one frame.

    `labels` None: labels.csv in the root, or train.csv with test.csv or UPAR's val_task1/val.csv. `schema` None:
    each column is an attribute of its own. Images that are links, and folders that lead out of the root, are taken
    where they lead into `follow_links`, a real path. Raises UserError where the root or a label file is missing,
    DataError where the contents are invalid.
    """
    require(root, "folder", "give the folder that holds the images as --root", UserError)
    labels, test_labels = _label_files(root, labels, test_labels)
    header = _header(labels)
    schema = replace(schema or schema_of_header(labels, header), unit="image")
    rows, notes = _read(labels, test_labels, header, schema)
    people, person_notes = number_people([row for row, _ in rows], unit="image")
    tracklets = list(_tracklets(rows, people, _Folders(root, follow_links)))
    found, missing = find_frames(tracklets, follow_links)
    people_known = any("person_id" in row.keys for row, _ in rows)
    return build_dataset("images", schema, found, missing, [*notes, *person_notes], people_known)


def schema_of_header(path: Path, header: Sequence[str]) -> Schema:
    """Return a schema in which each column that has no other meaning is an attribute of 0 and 1."""
    taken = {normalise_header(name) for name in (_image_column(header).spellings[-1], *_OPTIONAL)}
    names = [name.strip() for name in header if name.strip() and normalise_header(name) not in taken]
    if not names:
        raise DataError(f"{path} has no column of an attribute; add a column of 0 and 1 for each")
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{path} has several columns {repeated[0]!r}; remove or rename all but one")
    try:
        groups = tuple(binary(name, name, phrase_of(name), f"not {phrase_of(name)}") for name in names)
        return Schema("images", groups)
    except UserError as error:
        raise DataError(f"{path}: {error}") from error


def phrase_of(column: str) -> str:
    """Return the words of a column, for its prompt: "upper body color black" for UpperBody-Color-Black."""
    words = re.sub(r"[\s_-]+", " ", _CAMEL.sub(" ", column.replace("&", " and ")))
    return words.strip().lower()


def _label_files(root: Path, labels: Path | None, test_labels: Path | None) -> tuple[Path, Path | None]:
    """Return the label file and the test label file, of which the user may have named one, both or none."""
    found: tuple[str, ...] = ()
    if labels is None:
        names = [name for name, _ in _DEFAULTS if (root / name).is_file()]
        name = (names or [_DEFAULTS[0][0]])[0]
        labels, found = root / name, dict(_DEFAULTS)[name]
    fix = "give the label file as --labels, or put it into the root as labels.csv or train.csv"
    require(labels, "file", fix, UserError)
    if test_labels is None:
        return labels, next((root / name for name in found if (root / name).is_file()), None)
    require(test_labels, "file", "give the label file of the test images as --test-labels", UserError)
    return labels, test_labels


def _header(path: Path) -> list[str]:
    rows = read_rows(path, MAX_FILE_BYTES)
    if not rows:
        raise DataError(f"{path} is empty; its first line must name the columns")
    return rows[0][1]


def _image_column(header: Sequence[str]) -> KeyColumn:
    """Return the column of the paths: the first with such a name, else the first."""
    wanted = {normalise_header(name) for name in IMAGE_COLUMNS}
    found = next((name for name in header if normalise_header(name) in wanted), header[0])
    return KeyColumn("image", (found,))


def _read(
    labels: Path, test_labels: Path | None, header: Sequence[str], schema: Schema
) -> tuple[list[_Row], list[str]]:
    """Return the rows of all files with their splits, and notes on the files."""
    known = {normalise_header(name) for name in header}
    has_split = normalise_header("split") in known
    if has_split and test_labels is not None:
        raise UserError(
            f"--test-labels: got {test_labels}; expected none, since {labels} has a column split. Leave it "
            "out, or remove the column"
        )
    if not has_split and test_labels is None:
        raise UserError(
            f"--test-labels: got none; expected the file of the test images, since {labels} has no column split. "
            "Give the file, or add the column"
        )
    optional = [KeyColumn(name, optional=True) for name in _OPTIONAL]
    file = read_labels(labels, schema, (_image_column(header), *optional))
    notes = [*file.notes, *_note_other_columns(labels, file.other_columns)]
    if test_labels is None:
        return [(row, split_of(row)) for row in file.rows], notes
    # What one file says of people and cameras the other must say too.
    same = [KeyColumn(name) for name in _OPTIONAL if normalise_header(name) in known]
    test = read_labels(test_labels, schema, (_image_column(_header(test_labels)), *same))
    rows: list[_Row] = [(row, "train") for row in file.rows]
    rows += [(row, "test") for row in test.rows]
    return rows, [*notes, *test.notes, *_note_other_columns(test_labels, test.other_columns)]


def _note_other_columns(path: Path, columns: Sequence[str]) -> list[str]:
    if not columns:
        return []
    are = counted(len(columns), "column is", "columns are")
    return [f"{path.name}: {are} not in the schema ({first_few([name[:60] for name in columns])}): not read"]


def _tracklets(rows: Sequence[_Row], people: Sequence[int], folders: _Folders) -> Iterator[Tracklet]:
    first: dict[str, LabelRow] = {}
    for (row, split), person in zip(rows, people, strict=True):
        path = folders.path_of(row)
        earlier = first.setdefault(path.as_posix(), row)
        if earlier is not row:
            raise row.error("image", f"is also in {earlier.path} line {earlier.line}; keep one row")
        yield Tracklet(
            tracklet_id=path.as_posix(),
            split=split,
            person_id=person,
            camera_id=row.integer("camera_id") if "camera_id" in row.keys else 0,
            folder=folders.folder_of(row, path),
            frames=(path.name,),
            labels=row.labels,
            quality=row.quality,
            known=row.known,
        )


class _Folders:
    """Where the images are. A label file cannot lead out of the root and of `follow_links`."""

    def __init__(self, root: Path, follow_links: Path | None) -> None:
        self._root, self._follow_links = Path(os.path.realpath(root)), follow_links
        self._real: dict[PurePosixPath, Path] = {}

    def path_of(self, row: LabelRow) -> PurePosixPath:
        """Return the path of a row's image, relative to the root."""
        if problem := problem_of_path(row.keys["image"]):
            raise row.error("image", problem)
        return PurePosixPath(row.keys["image"])

    def folder_of(self, row: LabelRow, path: PurePosixPath) -> Path:
        """Return the real folder of an image."""
        folder = self._real.get(path.parent)
        if folder is None:
            folder = self._real[path.parent] = Path(os.path.realpath(self._root / path.parent))
        if folder.is_relative_to(self._root) or (self._follow_links and folder.is_relative_to(self._follow_links)):
            return folder
        raise row.error(
            "image",
            f"lies in {folder}, outside the root; copy the images into the root, or allow the link with "
            "--follow-links DIR, the folder that it leads into",
        )
