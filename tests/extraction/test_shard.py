"""A shard's rows are what encoding its tracklets by hand gives, whatever the batches and pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.comparing import least_cosine
from vpar_cache.backbones.encoder import Encoder
from vpar_cache.cache import format as fmt
from vpar_cache.cache.writer import ShardContents
from vpar_cache.datasets.decoding import apply_jitter, decode_frame
from vpar_cache.datasets.frame_choice import Draw, Source
from vpar_cache.datasets.loading import LoadedPiece, cut, hash_tracklet, load_piece
from vpar_cache.datasets.mars import load_mars
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.encoder_identity import identity_of
from vpar_cache.extraction.plan import Plan, ShardTask, make_plan, plan_shards, row_shapes
from vpar_cache.extraction.shard import compute_shard

Make = Callable[..., ExtractConfig]


def task_of(config: ExtractConfig, root: Path) -> ShardTask:
    """Nine tracklets of both splits."""
    tracklets = load_mars(root).tracklets[7:16]
    assert {tracklet.split for tracklet in tracklets} == {"train", "test"}
    (sources,) = plan_shards(tracklets, replace(config, shard_size=9), 1)
    return ShardTask(0, sources, (None,) * len(sources))


def loaded(task: ShardTask, bad: tuple[int, ...] = (), length: int | None = None) -> Iterator[LoadedPiece]:
    pieces = list(chain.from_iterable(cut(source, length) for source in task.sources))
    for piece in pieces:
        item = load_piece(piece, 32, "pad")
        broken = task.sources.index(piece.source) in bad
        yield LoadedPiece(piece, item.hashes, {}, "x.jpg: broken") if broken else item


def shard(
    task: ShardTask, encoder: Encoder, config: ExtractConfig, bad: tuple[int, ...] = (), length: int | None = None
) -> ShardContents:
    return compute_shard(
        task, loaded(task, bad, length), encoder, config, plan_of(config, encoder), lambda count: None
    )


def plan_of(config: ExtractConfig, encoder: Encoder) -> Plan:
    return make_plan([], config, identity_of(encoder))


def by_hand(source: Source, draw: Draw, encoder: Encoder) -> Any:
    """The features of one draw of one tracklet, alone in its batch."""
    frames = []
    for name in draw.frames:
        frame = decode_frame((source.tracklet.folder / name).read_bytes(), encoder.image_size, "pad")
        frames.append(frame if draw.jitter is None else apply_jitter(frame, draw.jitter))
    return encoder.encode_frames(np.stack(frames)[None], keep_frames=True)


@pytest.mark.parametrize(
    ("frames", "batch_size", "length"),
    [(2, 1, None), (2, 5, None), (2, 1000, None), (None, 1, 1), (None, 3, 2), (None, 1000, 16)],
)
def test_every_row_is_the_encoding_of_its_draw(
    frames: int | None,
    batch_size: int,
    length: int | None,
    encoder: Encoder,
    extract_config: Make,
    demo_root: Path,
) -> None:
    config = extract_config(
        Path("a.h5"), views=2, frames=frames, keep_frames=frames is not None, batch_size=batch_size
    )
    task = task_of(config, demo_root)
    contents = shard(task, encoder, config, length=length)
    assert contents.tracklet_ids == [source.tracklet.tracklet_id for source in task.sources]
    assert contents.source_digests == [hash_tracklet(source) for source in task.sources]
    for row, source in enumerate(task.sources):
        plain = by_hand(source, source.draws[0], encoder)
        assert least_cosine(contents.arrays[fmt.VISUAL][row], plain.tokens[0]) >= 0.9999
        if frames is not None:
            wanted = plain.frame_embeddings[0]
            assert least_cosine(contents.arrays[fmt.FRAME_EMBEDDINGS][row], wanted) >= 0.9999
            assert least_cosine(contents.arrays[fmt.FRAME_TOKENS][row], plain.frame_tokens[0]) >= 0.9999
    train = [source for source in task.sources if source.tracklet.split == "train"]
    assert contents.arrays[fmt.AUGMENTED].shape[0] == len(train)
    for row, source in enumerate(train):
        for view, draw in enumerate(source.draws[1:]):
            wanted = by_hand(source, draw, encoder).tokens[0]
            assert least_cosine(contents.arrays[fmt.AUGMENTED][row, view], wanted) >= 0.9999


@pytest.mark.parametrize("frames", [2, None])
def test_a_bad_tracklet_is_left_out_and_the_others_keep_their_rows(
    frames: int | None, encoder: Encoder, extract_config: Make, demo_root: Path
) -> None:
    config = extract_config(Path("a.h5"), views=2, batch_size=4, frames=frames)
    task = task_of(config, demo_root)
    whole = shard(task, encoder, config)
    bad = (1, 4, 8)
    left = shard(task, encoder, config, bad)
    good = [row for row in range(9) if row not in bad]
    assert left.tracklet_ids == [whole.tracklet_ids[row] for row in good]
    assert least_cosine(left.arrays[fmt.VISUAL], whole.arrays[fmt.VISUAL][good]) >= 0.9999
    train = [row for row in good if task.sources[row].tracklet.split == "train"]
    assert least_cosine(left.arrays[fmt.AUGMENTED], whole.arrays[fmt.AUGMENTED][train]) >= 0.9999
    assert left.source_digests == [whole.source_digests[row] for row in good]
    assert [(skip[0], skip[2], skip[3]) for skip in left.skipped] == [
        (whole.tracklet_ids[row], "x.jpg: broken", whole.source_digests[row]) for row in bad
    ]


def test_a_shard_of_bad_tracklets_alone_is_empty_and_keeps_its_shapes(
    encoder: Encoder, extract_config: Make, demo_root: Path
) -> None:
    config = extract_config(Path("a.h5"), views=2, keep_frames=True)
    contents = shard(task_of(config, demo_root), encoder, config, tuple(range(9)))
    assert (contents.tracklet_ids, len(contents.skipped)) == ([], 9)
    shapes = row_shapes(config, 5, 32)
    assert {name: array.shape for name, array in contents.arrays.items()} == {
        name: (0, *shape) for name, shape in shapes.items()
    }


def test_a_batch_never_crosses_a_shard(encoder: Encoder, extract_config: Make, demo_root: Path) -> None:
    config = extract_config(Path("a.h5"), views=2, batch_size=1000)
    task = task_of(config, demo_root)
    short, stream = ShardTask(0, task.sources[:4], (None,) * 4), loaded(task)
    first = compute_shard(short, stream, encoder, config, plan_of(config, encoder), lambda count: None)
    alone = shard(short, encoder, config)
    np.testing.assert_array_equal(first.arrays[fmt.VISUAL], alone.arrays[fmt.VISUAL])
    assert next(stream).piece.source == task.sources[4], "nothing of the next shard was taken"
