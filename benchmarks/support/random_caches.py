"""Sealed caches of random features in the real shape, for the benchmarks of stage 2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from support.program import FRAMES
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.base.hashing import fingerprint
from vpar_cache.cache import format as fmt
from vpar_cache.cache.headers import ShardHeader, read_shard_header
from vpar_cache.cache.rows import RowArray
from vpar_cache.cache.writer import IndexContents, ShardContents, write_index, write_shard

TOKENS, DIM = 197, 512
ROWS_PER_SHARD = 256
"""What `vpar extract` puts into a shard of 197 x 512 tokens."""


@dataclass(frozen=True)
class Content:
    """What is in a cache of random features. The default: rows of the real shape."""

    side: int = 14
    """Of the grid of patches; a class token comes before them."""
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
    random = np.random.default_rng(0)
    ids = [f"{i // 1000:04d}C1T{i % 1000:04d}" for i in range(tracklets)]
    shards = list(_write_shards(index, ids, rows_per_shard, content, random))
    config = content.config()
    people = content.people or tracklets
    values = random.integers(0, 2, (tracklets, len(MARS.groups)))
    num_train = tracklets * 4 // 5 if content.num_test is None else tracklets - content.num_test
    names = [group.name for group in MARS.groups]
    write_index(
        index,
        IndexContents(
            shards=shards,
            tracklet_ids=ids,
            splits=["train"] * num_train + ["test"] * (tracklets - num_train),
            person_ids=[i * people // tracklets for i in range(tracklets)],
            camera_ids=[1] * tracklets,
            num_frames=[FRAMES] * tracklets,
            labels=np.stack(
                [MARS.encode(dict(zip(names, map(int, row), strict=True))) for row in values]
            ),  # (N, A)
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


def _write_shards(
    index: Path, ids: list[str], rows_per_shard: int, content: Content, random: np.random.Generator
) -> Iterator[ShardHeader]:
    for start in range(0, len(ids), rows_per_shard):
        names = ids[start : start + rows_per_shard]
        shapes = {
            fmt.VISUAL: (len(names), content.num_tokens, DIM),
            fmt.FRAME_EMBEDDINGS: (len(names), FRAMES, DIM),
        }
        contents = ShardContents(
            arrays={n: random.standard_normal(s, np.float32).astype(np.float16) for n, s in shapes.items()},
            tracklet_ids=names,
            source_digests=[f"{i:064x}" for i in range(start, start + len(names))],
            skipped=[],
            visual_config=content.config(),
            visual_fingerprint=fingerprint(content.config()),
            weights="random:0",
            environments=[],
        )
        yield read_shard_header(write_shard(fmt.shard_folder(index), contents))
