"""MARS in its authors' layout, joined to the attribute annotations.

    ROOT/bbox_train/PPPP/*.jpg, ROOT/bbox_test/PPPP/*.jpg    frames such as 0001C1T0001F001.jpg
    ROOT/info/train_name.txt, test_name.txt                  one frame name per line
    ROOT/info/tracks_train_info.mat, tracks_test_info.mat    rows of (start, end, person, camera)
    ROOT/mars_attributes.csv                                 labels by person, camera and tracklet

Start and end count from 1 and are both part of the tracklet. Person -1 is junk, 0 a distractor.
Sources: Zheng et al., "MARS: A Video Benchmark for Large-Scale Person Re-Identification", ECCV 2016; Chen,
Li and Wang, "Temporal-Contextual Attention for Video-Based Pedestrian Attribute Recognition", 2019.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.mars_table import MARS
from vpar_cache.base.files import read_bounded
from vpar_cache.base.matlab_file import read_matrices
from vpar_cache.datasets.frames_on_disk import find_frames
from vpar_cache.datasets.join import Track, join_labels, read_track_labels
from vpar_cache.datasets.tracklet import (
    NEEDED_SPLITS,
    Dataset,
    Split,
    Tracklet,
    build_dataset,
    require,
)
from vpar_cache.errors import DataError, UserError, count_of

MAX_LIST_BYTES = 64_000_000
"""Of a name list. The longest real one has 14 MB."""

_FRAME = re.compile(r"(?:[0-9]{4}|00-1)C[0-9]T[0-9]{4}F[0-9]{3,6}\.jpg")
_TRACK_LENGTH = len("0001C1T0001")
_JUNK, _DISTRACTOR = -1, 0

_GET_IMAGES = "unpack bbox_train.zip and bbox_test.zip of the MARS project page (Zheng et al. 2016) into the root"
_GET_INFO = "copy the folder 'info' of the authors' MARS-evaluation repository on GitHub into the root"
_GET_LABELS = (
    "get mars_attributes.csv from the authors of the attribute annotations (Chen, Li and Wang 2019) "
    "and put it into the root"
)


def load_mars(root: Path, follow_links: Path | None = None) -> Dataset:
    """Return MARS at `root`. Tracklets with missing frames are left out; junk and distractors are only counted.

    Frames that are links are taken where they lead into `follow_links`, a real path.
    Raises UserError for a root that is not a folder, DataError for a missing, damaged or contradictory file and
    for a split without tracklets.
    """
    require(root, "folder", "give the MARS folder as --root", UserError)
    for split in NEEDED_SPLITS:
        require(root / f"bbox_{split}", "folder", _GET_IMAGES)
    labelled, notes = read_lists(root)
    present, left_out = find_frames(labelled, follow_links)
    return build_dataset("mars", MARS, present, left_out, notes)


def read_lists(root: Path) -> tuple[list[Tracklet], list[str]]:
    """Return labelled tracklets and notes from name lists, track tables and labels; needs no image."""
    labels_path = root / "mars_attributes.csv"
    require(labels_path, "file", _GET_LABELS)
    tracks = [track for split in NEEDED_SPLITS for track in _read_tracks(root, split)]
    labels = read_track_labels(labels_path, MARS)
    tracklets, notes = join_labels((track for track in tracks if track.key[0] > _DISTRACTOR), labels)
    people = Counter(track.key[0] for track in tracks)
    if people[_DISTRACTOR] or people[_JUNK]:
        notes.append(
            f"{people[_DISTRACTOR]} distractor and {count_of(people[_JUNK], 'junk tracklet')}: no label, not used"
        )
    return tracklets, notes


def _read_tracks(root: Path, split: Split) -> list[Track]:
    info = root / "info"
    names_path, table_path = info / f"{split}_name.txt", info / f"tracks_{split}_info.mat"
    for path in (names_path, table_path):
        require(path, "file", _GET_INFO)
    names = _read_names(names_path)
    images = root / f"bbox_{split}"
    table = _read_table(table_path, split, len(names))
    return [_track(row, names, images, split, f"{table_path} row {i}") for i, row in enumerate(table.tolist(), 1)]


def _read_names(path: Path) -> list[str]:
    """Return frame names by line. Each must be a MARS name, so that none can lead out of the dataset."""
    # Bytes that are not text fail the pattern below, which names their line.
    names = read_bounded(path, MAX_LIST_BYTES).decode("ascii", errors="replace").rstrip().splitlines()
    if not names:
        raise DataError(f"{path} is empty; {_GET_INFO}")
    for line, name in enumerate(names, start=1):
        if not _FRAME.fullmatch(name):
            raise DataError(
                f"{path} line {line}: {name[:60]!r} is not a frame name such as 0001C1T0001F001.jpg; {_GET_INFO}"
            )
    return names


def _read_table(path: Path, split: Split, num_names: int) -> NDArray[np.int64]:
    """Return (N, 4) of start, end, person, camera; a name is in at most one tracklet."""
    matrices = read_matrices(path)
    wanted = (f"track_{split}_info", f"tracks_{split}_info")
    found = [matrices[name] for name in wanted if name in matrices]
    if not found:
        held = ", ".join(sorted(name[:60] for name in matrices)[:10]) or "no matrix of numbers"
        raise DataError(f"{path} holds {held}, but must hold {wanted[0]}; {_GET_INFO}")
    table = found[0]
    if table.shape[1] != 4:
        raise DataError(
            f"{path}: {wanted[0]} is {table.shape[0]} x {table.shape[1]}, but must be N x 4; {_GET_INFO}"
        )
    start, end = table[:, 0], table[:, 1]
    whole = (table == np.rint(table)).all(axis=1) & (np.abs(table) < 2**31).all(axis=1)  # false for NaN too
    wrong = np.flatnonzero(~(whole & (start >= 1) & (start <= end) & (end <= num_names)))
    if len(wrong):
        shown = ", ".join(f"{value:.15g}" for value in table[wrong[0]])
        raise DataError(
            f"{path} row {wrong[0] + 1} is {shown}, but must be start, end, person, camera, all whole, with "
            f"1 <= start <= end <= {num_names}, the length of {split}_name.txt; {_GET_INFO}"
        )
    rows = table[np.argsort(start, kind="stable")]
    shared = np.flatnonzero(rows[1:, 0] <= rows[:-1, 1])
    if len(shared):
        name = f"line {rows[shared[0] + 1, 0]:.15g} of {split}_name.txt"
        raise DataError(f"{path}: {name} is in two tracklets; {_GET_INFO}")
    return table.astype(np.int64)


def _track(row: list[int], names: list[str], images: Path, split: Split, where: str) -> Track:
    """Return the track of a table row; its frames must be of the row's person and camera and of one tracklet."""
    start, end, person, camera = row
    frames = names[start - 1 : end]
    prefix = frames[0][:_TRACK_LENGTH]
    folder, named_camera, tracklet = prefix[:4], int(prefix[5]), int(prefix[7:])
    named_person = _JUNK if folder == "00-1" else int(folder)
    if (named_person, named_camera) != (person, camera):
        raise DataError(
            f"{where} says person {person}, camera {camera}, but its first frame is {frames[0]}; {_GET_INFO}"
        )
    stray = next((name for name in frames if not name.startswith(prefix)), None)
    if stray:
        raise DataError(f"{where}: frame {stray} is not of tracklet {prefix}; {_GET_INFO}")
    if len(set(frames)) < len(frames):
        raise DataError(f"{where}: a frame of {prefix} is listed twice; {_GET_INFO}")
    ordered = sorted(frames, key=lambda name: (len(name), name))  # in time: F1000 comes after F999
    return Track((person, camera, tracklet), split, images / folder, tuple(ordered))
