"""PA-100K in its authors' layout.

    ROOT/annotation.mat                                       names and labels of all images
    ROOT/data/*.jpg or ROOT/release_data/release_data/*.jpg   images such as 000001.jpg

annotation.mat holds train_images_name, val_images_name and test_images_name (n cells each), train_label, val_label
and test_label (n x 26, of 0 and 1), and attributes (26 cells). The dataset names no people.

Source: Liu et al., "HydraPlus-Net: Attentive Deep Features for Pedestrian Analysis", ICCV 2017.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.pa100k_table import ATTRIBUTES, PA100K
from vpar_cache.base.matlab_file import Value, read_variables
from vpar_cache.datasets.frames_on_disk import find_frames
from vpar_cache.datasets.images.names import check_image_name
from vpar_cache.datasets.tracklet import Dataset, Split, Tracklet, build_dataset, require
from vpar_cache.errors import DataError, UserError, count_of

IMAGE_FOLDERS = ("data", "release_data/release_data", "release_data", ".")
"""Where the images of the published archives lie, by how they were unpacked."""
_SPLITS: tuple[tuple[str, Split], ...] = (("train", "train"), ("val", "validation"), ("test", "test"))
_GET = "get PA-100K from its authors (Liu et al. 2017)"
_GET_FILE = f"{_GET} and put annotation.mat into the root"
_NO_PEOPLE = (
    "PA-100K names no people: each image counts as its own person, so an overlap of people between train and test "
    "cannot be seen"
)


def load_pa100k(root: Path, follow_links: Path | None = None) -> Dataset:
    """Return PA-100K at `root`: each image a tracklet of one frame.

    Images that are links are taken where they lead into `follow_links`, a real path. Raises UserError for a root
    that is not a folder, DataError for a missing, damaged or contradictory file and for a split without images.
    """
    require(root, "folder", f"{_GET} and give its folder as --root", UserError)
    path = root / "annotation.mat"
    require(path, "file", _GET_FILE)
    variables = read_variables(path)
    order = _order_of_attributes(path, variables)
    folder: Path | None = None
    tracklets: list[Tracklet] = []
    notes = [_NO_PEOPLE]
    for prefix, split in _SPLITS:
        names = _names(path, variables, f"{prefix}_images_name")
        labels = _labels(path, variables, f"{prefix}_label", len(names))[:, order]  # (n, A)
        known, more = _known(labels, split)
        notes += more
        folder = folder or _image_folder(root, names[0])
        for name, row, is_known in zip(names, np.where(known, labels, 0).astype(np.uint8), known, strict=True):
            tracklets.append(
                Tracklet(
                    tracklet_id=Path(name).stem,
                    split=split,
                    person_id=len(tracklets),
                    camera_id=0,
                    folder=folder,
                    frames=(name,),
                    labels=row,  # (A,)
                    quality=np.zeros(0, np.uint8),  # (0,)
                    known=is_known,  # (A,)
                )
            )
    found, missing = find_frames(tracklets, follow_links)
    return build_dataset("pa100k", PA100K, found, missing, notes, people_known=False)


def _image_folder(root: Path, first: str) -> Path:
    """Return the folder that holds the first image; without any, the first folder that exists."""
    folders = [root / name for name in IMAGE_FOLDERS if (root / name).is_dir()]
    found = next((folder for folder in folders if (folder / first).is_file()), folders[0])
    if found == root and not (root / first).is_file():
        held = " or ".join(IMAGE_FOLDERS[:2])
        raise DataError(f"{root} has no folder {held} with {first}; {_GET} and unpack its images there")
    return found


def _order_of_attributes(path: Path, variables: Mapping[str, Value]) -> list[int]:
    """Return the column of each output in the file, which may list its attributes in another order."""
    names = [name.strip().casefold() for name in _texts(path, variables, "attributes")]
    wanted = [name.casefold() for name in ATTRIBUTES]
    if sorted(names) != sorted(wanted):
        extra = next((name for name in names if name not in wanted), "")
        missing = [name for name in ATTRIBUTES if name.casefold() not in names]
        got = f"{extra[:60]!r}" if extra else count_of(len(names), "name")
        raise DataError(
            f"{path}: attributes: got {got}; expected the {len(ATTRIBUTES)} names of PA-100K, of which "
            f"{', '.join(missing[:5]) or 'each once'} is missing. Use a copy of the published file"
        )
    return [names.index(name) for name in wanted]


def _names(path: Path, variables: Mapping[str, Value], variable: str) -> list[str]:
    names = _texts(path, variables, variable)
    for number, name in enumerate(names, start=1):
        check_image_name(name, f"{path}: {variable} row {number}", _GET_FILE)
    if not names:
        raise DataError(f"{path}: {variable} is empty; {_GET_FILE}")
    return names


def _texts(path: Path, variables: Mapping[str, Value], variable: str) -> list[str]:
    """Return the texts of a cell array; each may lie in a cell of its own."""
    cells = variables.get(variable)
    if not isinstance(cells, list):
        held = ", ".join(sorted(name[:60] for name in variables)[:10]) or "nothing"
        raise DataError(f"{path}: got {held}; expected cells of texts named {variable}. Use the published file")
    return list(_unpacked(path, cells, variable))


def _unpacked(path: Path, cells: list[Value], variable: str) -> Iterator[str]:
    for number, cell in enumerate(cells, start=1):
        text = cell[0] if isinstance(cell, list) and len(cell) == 1 else cell
        if not isinstance(text, str):
            raise DataError(f"{path}: {variable} row {number} is no text; {_GET_FILE}")
        yield text


def _labels(path: Path, variables: Mapping[str, Value], variable: str, count: int) -> NDArray[np.float64]:
    """Return (n, 26) of 0 and 1."""
    labels = variables.get(variable)
    shape = labels.shape if isinstance(labels, np.ndarray) else None
    if not isinstance(labels, np.ndarray) or shape != (count, len(ATTRIBUTES)):
        got = f"{shape[0]} x {shape[1]}" if shape else "no matrix"
        raise DataError(
            f"{path}: {variable}: got {got}; expected {count} x {len(ATTRIBUTES)}, a row for each image. "
            "Use the published file"
        )
    wrong = np.argwhere((labels != 0) & (labels != 1))  # (w, 2); NaN too
    if len(wrong):
        row, column = wrong[0].tolist()
        raise DataError(
            f"{path}: {variable} row {row + 1}, column {column + 1}: got {labels[row, column]:.15g}; expected 0 "
            "or 1. Use the published file"
        )
    return labels


def _known(labels: NDArray[np.float64], split: Split) -> tuple[NDArray[np.bool_], list[str]]:
    """Return (n, A), which labels are known: a choice is not where none or several of its values are 1."""
    known = np.ones(labels.shape, np.bool_)  # (n, A)
    notes = []
    for group, columns in PA100K.slices():
        if group.is_choice:
            wrong = labels[:, columns].sum(axis=1) != 1  # (n,)
            known[wrong, columns] = False
            if wrong.any():
                images = count_of(int(wrong.sum()), f"{split} image")
                notes.append(f"annotation.mat has no single {group.name} for {images}: unknown there")
    return known, notes
