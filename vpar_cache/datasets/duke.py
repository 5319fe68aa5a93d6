"""DukeMTMC-VideoReID in its authors' layout, joined to the attribute annotations.

    ROOT/train|query|gallery/PPPP/TTTT/*.jpg    frames such as 0001_C6_F0099_X30823.jpg
    ROOT/duke_attributes.csv                    labels by person, camera and tracklet

PPPP is the person and TTTT the tracklet; the frame names hold the camera. Gallery and query together are
the test split; a tracklet that lies in both counts once.

Duke University withdrew the images because the people in them had not consented. This tool does not download
them: it reads a copy that you already hold and may use.

Sources: Wu et al., "Exploit the Unknown Gradually: One-Shot Video-Based Person Re-Identification by Stepwise
Learning", CVPR 2018; Chen, Li and Wang, "Temporal-Contextual Attention for Video-Based Pedestrian Attribute
Recognition", 2019.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from vpar_cache.attributes.duke_table import DUKE
from vpar_cache.datasets.frames_on_disk import find_frames, note_other_files, other_files
from vpar_cache.datasets.join import Track, join_labels, read_track_labels
from vpar_cache.datasets.tracklet import (
    Dataset,
    LeftOut,
    Split,
    build_dataset,
    first_few,
    list_names,
    require,
)
from vpar_cache.errors import UserError, counted

# Gallery before query, so that of a tracklet in both the gallery's frames are used.
_FOLDERS: tuple[tuple[str, Split], ...] = (("train", "train"), ("gallery", "test"), ("query", "test"))

# Frames of the first release have no underscores.
_FRAME = re.compile(r"(?P<person>[0-9]{4})_?C(?P<camera>[0-9])_?F(?P<frame>[0-9]{1,9})_?X[0-9]{1,9}\.jpg")
_ENDING = ".jpg"
_NUMBER = re.compile(r"[0-9]{1,9}")

_GET_IMAGES = (
    "Duke withdrew the images and this tool does not download them: "
    "give a copy of DukeMTMC-VideoReID that you hold, with train, query and gallery inside"
)
_GET_LABELS = (
    "get duke_attributes.csv from the authors of the attribute annotations (Chen, Li and Wang 2019) "
    "and put it into the root"
)


def load_duke(root: Path, follow_links: Path | None = None) -> Dataset:
    """Return DukeMTMC-VideoReID at `root`, which the tool never downloads: Duke withdrew the images.

    Frames that are links are taken where they lead into `follow_links`, a real path.
    Raises UserError for a root that is not a folder, DataError for a missing or damaged file and for a split
    without tracklets.
    """
    require(root, "folder", _GET_IMAGES, UserError)
    labels_path = root / "duke_attributes.csv"
    require(labels_path, "file", _GET_LABELS)
    for name, _ in _FOLDERS:
        require(root / name, "folder", _GET_IMAGES)
    folders, notes = _tracklet_folders(root)
    tracks: list[Track] = []
    left_out: list[LeftOut] = []
    other: list[str] = []
    for folder, split in folders:
        names = list_names(folder, "file") | list_names(folder, "link")
        frames = [name for name in names if name.lower().endswith(_ENDING) and not name.startswith(".")]
        other += [str((folder / name).relative_to(root)) for name in other_files(names, frames)]
        track = _read_track(folder, split, sorted(frames))
        if isinstance(track, Track):
            tracks.append(track)
        else:
            left_out.append(LeftOut(folder.relative_to(root).as_posix(), split, track))
    tracklets, join_notes = join_labels(tracks, read_track_labels(labels_path, DUKE))
    tracklets, without_frames = find_frames(tracklets, follow_links)
    notes += note_other_files(other, (_ENDING,))
    return build_dataset("duke", DUKE, tracklets, [*left_out, *without_frames], notes + join_notes)


def _tracklet_folders(root: Path) -> tuple[list[tuple[Path, Split]], list[str]]:
    """Return each tracklet's folder once, with its split, and a note on folders that are not named by a number."""
    found: dict[tuple[Split, str, str], Path] = {}
    other: list[str] = []

    def numbers(folder: Path) -> list[str]:
        names = sorted(list_names(folder, "folder"))
        other.extend(repr(f"{folder.name}/{name}") for name in names if not _NUMBER.fullmatch(name))
        return [name for name in names if _NUMBER.fullmatch(name)]

    for name, split in _FOLDERS:
        for person in numbers(root / name):
            for tracklet in numbers(root / name / person):
                found.setdefault((split, person, tracklet), root / name / person / tracklet)
    are = counted(len(other), "folder is", "folders are")
    notes = [f"{are} not named by a number ({first_few(other)}): not used"] if other else []
    return [(folder, split) for (split, _, _), folder in found.items()], notes


def _read_track(folder: Path, split: Split, names: Sequence[str]) -> Track | str:
    """Return the track in a folder PPPP/TTTT with these frames, or why it cannot be used."""
    person, tracklet = int(folder.parent.name), int(folder.name)
    frames: list[tuple[int, str]] = []
    cameras: set[int] = set()
    for name in names:
        match = _FRAME.fullmatch(name)
        if not match or int(match["person"]) != person:
            return f"{name!r} is not a frame name of person {person} such as 0001_C6_F0099_X30823.jpg"
        frames.append((int(match["frame"]), name))
        cameras.add(int(match["camera"]))
    if not frames:
        return f"the folder holds no {_ENDING} frame"
    if len(cameras) > 1:
        return f"the frames are of cameras {sorted(cameras)}, but a tracklet is of one"
    return Track((person, cameras.pop(), tracklet), split, folder, tuple(name for _, name in sorted(frames)))
