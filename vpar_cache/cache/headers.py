"""What a published shard says of itself: read when an extraction resumes, and when the index is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vpar_cache.base.hashing import canonical_json
from vpar_cache.cache import format as fmt
from vpar_cache.cache.hdf5 import CheckedFile, open_hdf5
from vpar_cache.cache.rows import Extent
from vpar_cache.cache.seal import check_seal

Skipped = tuple[str, str, str, str]
"""A tracklet whose frames could not be read: tracklet_id, split, reason, source digest."""


@dataclass(frozen=True)
class ShardHeader:
    """A published shard: all but its big arrays. Plain data."""

    file: str
    bytes: int
    visual_fingerprint: str
    visual_config: dict[str, Any]
    weights: str
    environments: tuple[str, ...]
    """Canonical JSON each: library versions and processor."""
    seal: str
    tracklet_ids: Sequence[str]
    source_digests: Sequence[str]
    """Of each row: what it was made of."""
    skipped: tuple[Skipped, ...]
    shapes: dict[str, tuple[int, ...]]
    """Of the big arrays, by name. /augmented has rows for the first tracklets alone, those of the train split."""
    offsets: dict[str, int]
    """Where they start, in bytes."""

    @property
    def right_name(self) -> str:
        """The file name that follows from the contents."""
        skipped = [digest for _, _, _, digest in self.skipped]
        return fmt.shard_name(self.visual_fingerprint, self.source_digests, skipped)

    def extent(self, folder: Path, name: str) -> Extent:
        """Return where the rows of a big array lie."""
        return Extent(folder / self.file, self.offsets[name], self.shapes[name][0])


def read_shard_header(path: Path) -> ShardHeader:
    """Check the seal, then read the header. Raises DamagedError for a damaged, foreign or renamed file."""
    seal = check_seal(path)
    with open_hdf5(path) as file:
        arrays = {name: file.stored(name) for name in fmt.BIG_ARRAYS if name in file}
        ids = file.texts("tracklet_id")
        shapes = {name: tuple(int(n) for n in dataset.shape) for name, (dataset, _) in arrays.items()}
        for name, (dataset, _) in arrays.items():
            rows = shapes[name][0] if shapes[name] else -1
            right = 0 <= rows <= len(ids) if name == fmt.AUGMENTED else rows == len(ids)
            if dataset.dtype != np.dtype("<f2") or not right:
                raise file.error(f"{name} is {dataset.dtype} {shapes[name]} for {len(ids)} tracklets")
        header = ShardHeader(
            file=path.name,
            bytes=path.stat().st_size,
            visual_fingerprint=file.fingerprint("visual_fingerprint"),
            visual_config=file.json("visual_config", dict),
            weights=file.attribute("weights", str),
            environments=tuple(map(canonical_json, file.json("environment", list))),
            seal=seal,
            tracklet_ids=ids,
            source_digests=file.digests("source_digest", len(ids)),
            skipped=_read_skipped(file),
            shapes=shapes,
            offsets={name: offset for name, (_, offset) in arrays.items()},
        )
        if header.right_name != header.file:
            raise file.error(f"it holds the rows of {header.right_name}")
        return header


def _read_skipped(file: CheckedFile) -> tuple[Skipped, ...]:
    skipped = []
    for entry in file.json("skipped", list):
        texts = [text for text in entry if isinstance(text, str)] if isinstance(entry, list) else []
        if len(texts) != 4 or len(entry) != 4 or not fmt.DIGEST.fullmatch(texts[3]):
            raise file.error(f"skipped has {str(entry)[:80]!r}; expected tracklet, split, reason, digest")
        skipped.append((texts[0], texts[1], texts[2], texts[3]))
    return tuple(skipped)
