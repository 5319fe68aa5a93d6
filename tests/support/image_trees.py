"""Small image datasets in their published layouts: real JPEGs, label files that scipy writes."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from PIL import Image

from vpar_cache.attributes.market_table import COLORS, FIELDS
from vpar_cache.attributes.pa100k_table import ATTRIBUTES
from vpar_cache.datasets.images.market_labels import color_fields

MARKET_FIELDS = (*FIELDS.values(), *(field for group in COLORS for field in color_fields(group).values()))
UPAR_COLORS = "Black Blue Brown Green Grey Orange Pink Purple Red White Yellow"
UPAR_COLUMNS = (
    "Age-Young", "Age-Adult", "Age-Old", "Gender-Female", "Hair-Length-Short", "Hair-Length-Long",
    "Hair-Length-Bald", "UpperBody-Length-Short", *(f"UpperBody-Color-{color}" for color in UPAR_COLORS.split()),
    "LowerBody-Length-Short", *(f"LowerBody-Color-{color}" for color in UPAR_COLORS.split()),
    "LowerBody-Type-Trousers&Shorts", "LowerBody-Type-Skirt&Dress", "Accessory-Backpack", "Accessory-Bag",
    "Accessory-Glasses-Normal", "Accessory-Glasses-Sun", "Accessory-Hat", "UpperBody-Color-Mixture",
    "LowerBody-Color-Mixture",
)  # fmt: skip
"""40 columns with the names and the number of UPAR's; their order is not what a test is about."""


def draw(path: Path, seed: int) -> None:
    """Write a small JPEG of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, quality=90)


def market_struct(
    identities: Sequence[str], values: Mapping[str, Sequence[int]] | None = None, backwards: bool = False
) -> dict[str, Any]:
    """Return a struct of one split: all fields 1, except those in `values`; the fields in either order."""
    fields: dict[str, Any] = {name: np.ones((1, len(identities)), np.uint8) for name in MARKET_FIELDS}
    for name, column in (values or {}).items():
        fields[name] = np.array([column])
    if backwards:
        fields = dict(reversed(fields.items()))
    cells = np.empty((1, len(identities)), dtype=object)
    cells[0, :] = identities
    return {**fields, "image_index": cells}


def write_market_labels(root: Path, train: Mapping[str, Any], test: Mapping[str, Any]) -> None:
    scipy.io.savemat(
        root / "market_attribute.mat", {"market_attribute": {"test": test, "train": train}}, do_compression=True
    )


def write_market(root: Path, people: int = 3, images: int = 2) -> Path:
    """Write `people` train and test identities, each with `images` in two cameras, a distractor and junk."""
    train = [f"{2 * number:04d}" for number in range(1, people + 1)]
    test = [f"{2 * number + 1:04d}" for number in range(1, people + 1)]
    seed = 0
    for folder, identities in (("bounding_box_train", train), ("bounding_box_test", test)):
        for identity in identities:
            for camera in (1, 2):
                for box in range(1, images + 1):
                    draw(root / folder / f"{identity}_c{camera}s1_{box:06d}_{box:02d}.jpg", seed := seed + 1)
    for identity in test:
        draw(root / "query" / f"{identity}_c1s1_000451_00.jpg", seed := seed + 1)
    draw(root / "bounding_box_test" / "0000_c1s1_000151_01.jpg", 1000)
    draw(root / "bounding_box_test" / "-1_c1s1_000401_03.jpg", 1001)
    (root / "bounding_box_test" / "Thumbs.db").touch()
    half = [1 + number % 2 for number in range(people)]
    black, red = ([2 if number % 3 == value else 1 for number in range(people)] for value in (0, 1))
    values = {"hat": half, "gender": half, "upblack": black, "upred": red, "downblue": [2] * people}
    write_market_labels(
        root,
        market_struct(train, {**values, "age": [1 + number % 4 for number in range(people)]}),
        market_struct(test, {**values, "age": [2] * people}, backwards=True),
    )
    return root


def cells(texts: Sequence[str], nested: bool = False) -> Any:
    """Return an (n, 1) cell array of texts, each in a cell of its own if `nested`."""
    found = np.empty((len(texts), 1), dtype=object)
    for number, text in enumerate(texts):
        if nested:
            inner = np.empty((1, 1), dtype=object)
            inner[0, 0] = text
            found[number, 0] = inner
        else:
            found[number, 0] = text
    return found


def pa100k_labels(count: int) -> Any:
    """Return (count, 26) of 0 and 1 with one age and one view each."""
    labels = np.random.default_rng(count).integers(0, 2, (count, len(ATTRIBUTES))).astype(np.uint8)
    for start in (1, 4):
        labels[:, start : start + 3] = np.eye(3, dtype=np.uint8)[np.arange(count) % 3]
    return labels


def write_pa100k(
    root: Path,
    counts: Mapping[str, int] | None = None,
    folder: str = "release_data/release_data",
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """Write the images and annotation.mat. `changes` replaces some of its variables; None leaves one out."""
    counts = counts or {"train": 9, "val": 3, "test": 6}
    variables: dict[str, Any] = {"attributes": cells(ATTRIBUTES)}
    number = 0
    for split, count in counts.items():
        names = [f"{number + place:06d}.jpg" for place in range(1, count + 1)]
        for name in names:
            draw(root / folder / name, number := number + 1)
        variables |= {f"{split}_images_name": cells(names), f"{split}_label": pa100k_labels(count)}
    variables |= changes or {}
    kept = {name: value for name, value in variables.items() if value is not None}
    scipy.io.savemat(root / "annotation.mat", kept)
    return root


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_upar(root: Path, num_train: int = 8, num_test: int = 4) -> Path:
    """Write UPAR's two files, whose images lie in the folders of three datasets."""
    folders = ("Market1501/bounding_box_train", "PA100k/release_data/release_data", "PETA/images")
    random = np.random.default_rng(0)
    number = 0
    for name, count in (("train.csv", num_train), ("val_task1/val.csv", num_test)):
        rows = []
        for _ in range(count):
            path = f"{folders[number % 3]}/{number:05d}.jpg"
            draw(root / path, number := number + 1)
            rows.append([path, *random.integers(0, 2, len(UPAR_COLUMNS)).tolist()])
        write_table(root / name, ["# Image", *UPAR_COLUMNS], rows)
    return root
