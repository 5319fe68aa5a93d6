"""Sealed caches of random features in the real shape, for the benchmarks of stage 2."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.mars_table import MARS
from vpar_cache.base.hashing import fingerprint
from vpar_cache.cache import format as fmt
from vpar_cache.cache.hdf5 import Texts
from vpar_cache.cache.headers import read_shard_header
from vpar_cache.cache.rows import RowArray
from vpar_cache.cache.writer import IndexContents, ShardContents, write_index, write_shard

TOKENS, DIM = 197, 512
FRAMES = 6
"""Frames per tracklet, the default of `vpar extract`."""
ROWS_PER_SHARD = 256
"""What `vpar extract` puts into a shard of 197 x 512 tokens."""


@dataclass(frozen=True)
class Content:
    """What is in a cache of random features. The default: rows of the real shape."""

    side: int = 14
    """Of the grid of patches; a class token comes before them."""
    dim: int = DIM
    """Width of a token."""
    num_test: int | None = None
    """The last so many tracklets are the test split. Default: one in five."""
    people: int | None = None
    """Default: as many as tracklets."""

    @property
    def num_tokens(self) -> int:
        return 1 + self.side**2

    def config(self) -> dict[str, Any]:
        grid = [self.side, self.side]
        return {"backbone": "random content", "frames": FRAMES, "grid": grid, "prefix_tokens": 1}


_DEFAULT = Content()


def write_cache(
    index: Path, tracklets: int, rows_per_shard: int = ROWS_PER_SHARD, content: Content = _DEFAULT
) -> Path:
    """Write shards of random features and their index; return the path of the index."""
    paths = list(write_shards(index, tracklets, rows_per_shard, content))
    return write_index_over(index, paths, tracklets, content)


def write_shards(
    index: Path, tracklets: int, rows_per_shard: int = ROWS_PER_SHARD, content: Content = _DEFAULT
) -> Iterator[Path]:
    """Write the shards one after the other; yield their paths in the order of their rows."""
    random = np.random.default_rng(0)
    for start in range(0, tracklets, rows_per_shard):
        rows = range(start, min(start + rows_per_shard, tracklets))
        shapes = {
            fmt.VISUAL: (len(rows), content.num_tokens, content.dim),
            fmt.FRAME_EMBEDDINGS: (len(rows), FRAMES, content.dim),
        }
        contents = ShardContents(
            arrays={n: random.standard_normal(s, np.float32).astype(np.float16) for n, s in shapes.items()},
            tracklet_ids=[_name(row) for row in rows],
            source_digests=[f"{row:064x}" for row in rows],
            skipped=[],
            visual_config=content.config(),
            visual_fingerprint=fingerprint(content.config()),
            weights="random:0",
            environments=[],
        )
        yield write_shard(fmt.shard_folder(index), contents)


def _name(row: int) -> str:
    return f"{row // 1000:05d}C1T{row % 1000:04d}"


def write_index_over(index: Path, shards: Iterable[Path], tracklets: int, content: Content = _DEFAULT) -> Path:
    """Write the index over the shards of `write_shards`, with random labels; return its path."""
    random = np.random.default_rng(0)
    config = content.config()
    people = content.people or tracklets
    headers = [read_shard_header(path) for path in shards]
    labels = np.zeros((tracklets, MARS.num_outputs), np.uint8)  # (N, A)
    for group, columns in MARS.slices():
        values = random.integers(0, 2, tracklets, np.uint8)  # (N,)
        labels[:, columns.start] = values
        if group.is_choice:
            labels[:, columns.start + 1] = 1 - values
    num_train = tracklets * 4 // 5 if content.num_test is None else tracklets - content.num_test
    write_index(
        index,
        IndexContents(
            shards=headers,
            tracklet_ids=Texts(np.concatenate([np.array(h.tracklet_ids, "S") for h in headers])),  # (N,)
            splits=["train"] * num_train + ["test"] * (tracklets - num_train),
            person_ids=(np.arange(tracklets) * people // tracklets).astype(np.int32),  # (N,)
            camera_ids=np.full(tracklets, 1, np.int32),  # (N,)
            num_frames=np.full(tracklets, FRAMES, np.int32),  # (N,)
            labels=labels,
            people_known=True,
            known=np.ones((tracklets, MARS.num_outputs), np.bool_),
            quality=np.zeros((tracklets, len(MARS.quality)), np.uint8),
            text_embeddings=random.standard_normal((MARS.num_outputs, DIM)).astype(np.float32),
            negative_embeddings=np.zeros((MARS.num_outputs, DIM), np.float32),
            prompts=[output.phrase for output in MARS.outputs],
            negative_prompts=[""] * MARS.num_outputs,
            schema=MARS,
            dataset="random",
            visual_config=config,
            visual_fingerprint=fingerprint(config),
            text_config=config,
            text_fingerprint=fingerprint(config),
            weights="random:0",
        ),
    )
    return index


def read_batches(rows: RowArray, order: NDArray[np.int64], batch_size: int) -> None:
    """Read all rows in this order and look at none."""
    for _ in rows.batches(order, batch_size):
        pass
