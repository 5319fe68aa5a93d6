"""Market-1501 with the labels of its identities.

    ROOT/bounding_box_train/*.jpg                  images such as 0002_c1s1_000451_03.jpg
    ROOT/bounding_box_test/*.jpg, ROOT/query/*.jpg
    ROOT/market_attribute.mat                      labels by identity

A name holds identity, camera, sequence, frame and box. Identity -1 is junk, 0000 a distractor: they have no label
and are only counted. The test split is the gallery (bounding_box_test) and the query images of the 750 test
identities; an image that lies in both counts once. All images of an identity have its labels.

Sources: Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015; Lin et al. 2019, see
market_labels.py.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vpar_cache.attributes.market_table import MARKET
from vpar_cache.datasets.frames_on_disk import find_frames, note_other_files, other_files
from vpar_cache.datasets.images.market_labels import GET_LABELS, IdentityLabels, read_market_labels
from vpar_cache.datasets.tracklet import (
    Dataset,
    LeftOut,
    Split,
    Tracklet,
    build_dataset,
    first_few,
    list_names,
    require,
)
from vpar_cache.errors import UserError, count_of, counted, printable

_FOLDERS: tuple[tuple[str, Split, str], ...] = (
    ("bounding_box_train", "train", ""),
    ("bounding_box_test", "test", ""),  # before query, so that of an image in both the gallery's is used
    ("query", "test", "-query"),
)
"""Folder, split, and the end of the ids of its tracklets of several images."""
_IMAGE = re.compile(r"(?P<person>-1|[0-9]{4})_c(?P<camera>[0-9])s[0-9]_[0-9]{1,9}_[0-9]{1,4}\.jpg")
_ENDING = ".jpg"
_JUNK, _DISTRACTOR = -1, 0
_GET_IMAGES = "unpack Market-1501 of the dataset's authors (Zheng et al. 2015) and give its folder as --root"


@dataclass(frozen=True)
class _Image:
    name: str
    folder: Path
    split: Split
    person: int
    camera: int
    id_end: str


def load_market(root: Path, follow_links: Path | None = None, group: str | None = None) -> Dataset:
    """Return Market-1501 at `root`: each image a tracklet of one frame.

    `group` camera: the images of one identity, camera and folder are a tracklet, in the order of their names.
    Images that are links are taken where they lead into `follow_links`, a real path. Raises UserError for a root
    that is not a folder, DataError for a missing or damaged file and for a split without images.
    """
    require(root, "folder", _GET_IMAGES, UserError)
    labels_path = root / "market_attribute.mat"
    require(labels_path, "file", GET_LABELS)
    for name, _, _ in _FOLDERS:
        require(root / name, "folder", _GET_IMAGES)
    labels, label_notes = read_market_labels(labels_path)
    images, left_out, notes = _list_images(root)
    people = Counter(image.person for image in images)
    labelled = [image for image in images if image.person in labels[image.split]]
    notes += _notes_on_people(people, images, labels)
    whole = {"camera": _by_camera, None: _one_by_one}[group](labelled)
    tracklets = [_tracklet(tracklet_id, members, labels) for tracklet_id, members in whole]
    found, without_images = find_frames(tracklets, follow_links)
    schema = MARKET if group is None else replace(MARKET, unit="tracklet")
    return build_dataset("market", schema, found, [*left_out, *without_images], label_notes + notes)


def _list_images(root: Path) -> tuple[list[_Image], list[LeftOut], list[str]]:
    """Return all images of people and distractors once, and what is not named as one."""
    images: dict[tuple[Split, str], _Image] = {}
    left_out: list[LeftOut] = []
    other: list[str] = []
    twice: list[str] = []
    for folder, split, id_end in _FOLDERS:
        names = list_names(root / folder, "file") | list_names(root / folder, "link")
        jpegs = sorted(name for name in names if name.lower().endswith(_ENDING) and not name.startswith("."))
        other += [f"{folder}/{name}" for name in other_files(names, jpegs)]
        for name in jpegs:
            match = _IMAGE.fullmatch(name)
            if not match:
                rule = "its name is not of the form 0002_c1s1_000451_03.jpg"
                left_out.append(LeftOut(printable(f"{folder}/{name}"), split, rule))
                continue
            if (split, name) in images:
                twice.append(name)
                continue
            person, camera = int(match["person"]), int(match["camera"])
            images[split, name] = _Image(name, root / folder, split, person, camera, id_end)
    notes = note_other_files(other, (_ENDING,))
    if twice:
        are = counted(len(twice), "image is", "images are")
        notes.append(f"{are} in bounding_box_test and in query ({first_few(twice)}): counted once")
    return list(images.values()), left_out, notes


def _notes_on_people(
    people: Counter[int], images: Iterable[_Image], labels: dict[Split, dict[int, IdentityLabels]]
) -> list[str]:
    """Return notes on images without labels and on labels without images."""
    notes = []
    if people[_DISTRACTOR] or people[_JUNK]:
        distractors = count_of(people[_DISTRACTOR], "distractor image")
        notes.append(f"{distractors} and {count_of(people[_JUNK], 'junk image')}: no label, not used")
    shown: dict[Split, set[int]] = {split: set() for split in labels}
    unlabelled = []
    for image in images:
        shown[image.split].add(image.person)
        if image.person not in labels[image.split] and image.person > _DISTRACTOR:
            unlabelled.append(image.name)
    if unlabelled:
        have = counted(len(unlabelled), "image is", "images are")
        notes.append(f"{have} of identities without labels ({first_few(unlabelled)}): not used")
    for split, known in labels.items():
        if absent := sorted(known.keys() - shown[split]):
            have = counted(len(absent), f"{split} identity has", f"{split} identities have")
            notes.append(f"{have} labels but no image ({first_few([f'{person:04d}' for person in absent])})")
    return notes


def _one_by_one(images: Sequence[_Image]) -> list[tuple[str, list[_Image]]]:
    return [(Path(image.name).stem, [image]) for image in images]


def _by_camera(images: Sequence[_Image]) -> list[tuple[str, list[_Image]]]:
    """Return the images of each identity, camera and folder, with the id of the tracklet: 0002C1."""
    found: dict[str, list[_Image]] = defaultdict(list)
    for image in images:
        found[f"{image.person:04d}C{image.camera}{image.id_end}"].append(image)
    return list(found.items())


def _tracklet(
    tracklet_id: str, images: Sequence[_Image], labels: dict[Split, dict[int, IdentityLabels]]
) -> Tracklet:
    first = images[0]
    of_person = labels[first.split][first.person]
    return Tracklet(
        tracklet_id=tracklet_id,
        split=first.split,
        person_id=first.person,
        camera_id=first.camera,
        folder=first.folder,
        frames=tuple(sorted(image.name for image in images)),
        labels=of_person.labels,
        quality=np.zeros(0, np.uint8),  # (0,)
        known=of_person.known,
    )
