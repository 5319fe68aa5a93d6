"""A dataset in the official layout of MARS and of its size, without its pictures: for benchmarks of stage 1.

Counts of tracklets and people are those of MARS, lengths are spread as widely. The 1.19 million frames are hard
links to a few tiny JPEGs, so that they take the room of names alone.
"""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from vpar_cache.attributes.schema import MARS

SHORTEST, LONGEST, MEAN_FRAMES = 2, 920, 58.2
_SPREAD = 0.8
"""Deviation of the logarithm of lengths."""
_LINKS_PER_FILE = 30_000
"""ext4 allows 65,000."""
_CAMERAS = 6


@dataclass(frozen=True)
class Size:
    """Tracklets and people, as the authors count them."""

    train: int = 8_298
    train_people: int = 625
    test: int = 8_062
    test_people: int = 626
    distractors: int = 3_248
    junk: int = 870

    def scaled(self, scale: float) -> Size:
        return Size(*(max(4, round(count * scale)) for count in vars(self).values()))


@dataclass(frozen=True)
class _Track:
    person: int
    camera: int
    number: int
    frames: int

    @property
    def folder(self) -> str:
        return "00-1" if self.person == -1 else f"{self.person:04d}"

    def names(self) -> Iterator[str]:
        prefix = f"{self.folder}C{self.camera}T{self.number:04d}"
        return (f"{prefix}F{frame:03d}.jpg" for frame in range(1, self.frames + 1))


def write_mars_tree(root: Path, size: Size, picture: tuple[int, int] = (8, 16)) -> int:
    """Write the dataset into the new folder `root`; returns the number of frames. `picture`: width and height."""
    random = np.random.default_rng(0)
    train = _tracks(random, [1 + i % size.train_people for i in range(size.train)])
    people = [size.train_people + 1 + i % size.test_people for i in range(size.test)]
    test = _tracks(random, [-1] * size.junk + [0] * size.distractors + people)
    (root / "info").mkdir(parents=True)
    links = _links(root / "pictures", random, picture)
    for split, tracks in (("train", train), ("test", test)):
        _write_split(root, split, tracks, links)
    _write_labels(root / "mars_attributes.csv", [track for track in train + test if track.person > 0], random)
    return sum(track.frames for track in train + test)


def _tracks(random: np.random.Generator, people: Sequence[int]) -> list[_Track]:
    lengths = random.lognormal(np.log(MEAN_FRAMES) - _SPREAD**2 / 2, _SPREAD, len(people))
    frames = np.clip(np.rint(lengths), SHORTEST, LONGEST).astype(int).tolist()
    numbers: Counter[int] = Counter()
    tracks = []
    for person, count in zip(sorted(people), frames, strict=True):
        numbers[person] += 1
        tracks.append(_Track(person, 1 + numbers[person] % _CAMERAS, numbers[person], count))
    return tracks


def _links(folder: Path, random: np.random.Generator, size: tuple[int, int]) -> Iterator[Path]:
    """Endlessly, what to link the next frame to."""
    folder.mkdir()
    number = 0
    while True:
        picture = folder / f"{number}.jpg"
        noise = Image.fromarray(random.integers(0, 256, (16, 8, 3), np.uint8))
        noise.resize(size, Image.Resampling.BICUBIC).save(picture, quality=50)
        for _ in range(_LINKS_PER_FILE):
            yield picture
        number += 1


def _write_split(root: Path, split: str, tracks: Sequence[_Track], links: Iterator[Path]) -> None:
    rows, end = [], 0
    with (root / "info" / f"{split}_name.txt").open("w", encoding="ascii", newline="\n") as names:
        for track in tracks:
            folder = root / f"bbox_{split}" / track.folder
            folder.mkdir(parents=True, exist_ok=True)
            for name in track.names():
                os.link(next(links), folder / name)
                names.write(f"{name}\n")
            rows.append((end + 1, end := end + track.frames, track.person, track.camera))
    table = np.array(rows, dtype=float)
    savemat(root / "info" / f"tracks_{split}_info.mat", {f"track_{split}_info": table})


def _write_labels(path: Path, tracks: Sequence[_Track], random: np.random.Generator) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [group.name for group in MARS.groups]
    writer.writerow(["person_id", "camera_id", "tracklets_id", *MARS.quality, *names])
    for track in tracks:
        flags = random.integers(0, 2, len(MARS.quality)).tolist()
        values = [int(random.integers(group.num_values)) for group in MARS.groups]
        writer.writerow([track.person, track.camera, track.number, *flags, *values])
    path.write_text(text.getvalue(), "ascii")
