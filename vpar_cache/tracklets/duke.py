"""DukeMTMC-VideoReID in its authors' layout, joined to the attribute annotations.

    ROOT/train|query|gallery/PPPP/TTTT/*.jpg    frames such as 0001_C6_F0099_X30823.jpg
    ROOT/duke_attributes.csv                    labels by person, camera and tracklet

PPPP is the person and TTTT the tracklet; the camera stands in the frame names. Gallery and query together are
the test split; a tracklet that lies in both counts once.

Duke University withdrew the images because the people in them had not consented. This tool does not download
them: it reads a copy that you already hold and may use.

Sources: Wu et al., "Exploit the Unknown Gradually: One-Shot Video-Based Person Re-Identification by Stepwise
Learning", CVPR 2018; Chen, Li and Wang, "Temporal-Contextual Attention for Video-Based Pedestrian Attribute
Recognition", 2019.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from vpar_cache.errors import DataError, UserError
from vpar_cache.schema import DUKE
from vpar_cache.tracklets.tracklet import (
    Dataset,
    LeftOut,
    Split,
    build_dataset,
    file_names,
    first_few,
    require,
)
from vpar_cache.tracklets.tracks import Track, TrackKey, join_labels, read_track_labels

# Gallery before query, so that of a tracklet in both the gallery's frames are used.
_FOLDERS: tuple[tuple[str, Split], ...] = (("train", "train"), ("gallery", "test"), ("query", "test"))

# Frames of the first release have no underscores.
_FRAME = re.compile(r"(?P<person>[0-9]{4})_?C(?P<camera>[0-9])_?F(?P<frame>[0-9]{1,9})_?X[0-9]{1,9}\.jpg")
_NUMBER = re.compile(r"[0-9]{1,9}")

_GET_IMAGES = (
    "Duke withdrew the images and this tool does not download them: "
    "give a copy of DukeMTMC-VideoReID that you hold, with train, query and gallery inside"
)
_GET_LABELS = (
    "get duke_attributes.csv from the authors of the attribute annotations (Chen, Li and Wang 2019) "
    "and put it into the root"
)


def load_duke(root: Path) -> Dataset:
    """DukeMTMC-VideoReID at `root`, which the tool never downloads: Duke withdrew the images.

    Raises UserError for a root that is no folder, DataError for a missing or damaged file and for a split
    without tracklets.
    """
    require(root, "folder", _GET_IMAGES, UserError)
    labels_path = root / "duke_attributes.csv"
    require(labels_path, "file", _GET_LABELS)
    tracks: dict[TrackKey, Track] = {}
    left_out: dict[str, LeftOut] = {}
    for name, split in _FOLDERS:
        require(root / name, "folder", _GET_IMAGES)
        ...
