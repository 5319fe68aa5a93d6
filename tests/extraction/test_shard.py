"""A shard's rows are what encoding its tracklets by hand gives, whatever the batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vpar_cache.backbones.encoder import Encoder
from vpar_cache.cache import format as fmt
from vpar_cache.datasets.draws import Draw, Source
from vpar_cache.datasets.frames import apply_jitter, decode_frame
from vpar_cache.datasets.loading import LoadedTracklet, load_tracklet
from vpar_cache.datasets.mars import load_mars
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.plan import ShardTask, digest_shard, plan_shards
from vpar_cache.extraction.shard import compute_shard, row_shapes

HEADER = {"visual_config": {}, "visual_fingerprint": "0" * 64, "weights": "random:0", "environment": {}}


@pytest.fixture(scope="module")
def encoder(tiny_backbone: str) -> Encoder:
    return Encoder(
        tiny_backbone, "random:0", device=torch.device("cpu"), precision="fp32", normalize="own", offline=True
    )


@pytest.fixture(scope="module")
def task(demo_root: Path, extract_config: Callable[..., ExtractConfig]) -> ShardTask:
    """Nine tracklets of both splits, with two views."""
    tracklets = load_mars(demo_root).tracklets[7:16]
    assert {tracklet.split for tracklet in tracklets} == {"train", "test"}
    return plan_shards(tracklets, extract_config(Path("a.h5"), views=2, shard_size=9), 1)[0]


def loaded(task: ShardTask, encoder: Encoder, bad: tuple[int, ...] = ()) -> list[LoadedTracklet]:
    items = [load_tracklet(source, encoder.image_size, "pad") for source in task.sources]
    return [
        LoadedTracklet(item.source, item.digest, None, "x.jpg: broken") if number in bad else item
        for number, item in enumerate(items)
    ]


def by_hand(source: Source, draw: Draw, encoder: Encoder) -> Any:
    """The features of one draw of one tracklet, alone in its batch."""
    frames = []
    for name in draw.frames:
        frame = decode_frame((source.tracklet.folder / name).read_bytes(), encoder.image_size, "pad")
        frames.append(frame if draw.jitter is None else apply_jitter(frame, draw.jitter))
    return encoder.encode_frames(np.stack(frames)[None], keep_frames=True)


def assert_close(one: Any, other: Any) -> None:
    """Cosine 0.9999 at least, for every vector."""
    a, b = (np.asarray(x, np.float64) for x in (one, other))
    assert a.shape == b.shape
    cosines = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    assert cosines.min() >= 0.9999


@pytest.mark.parametrize("batch_size", [1, 4, 5, 1000])
def test_every_row_is_the_encoding_of_its_draw(
    task: ShardTask, encoder: Encoder, extract_config: Callable[..., ExtractConfig], batch_size: int
) -> None:
    config = extract_config(Path("a.h5"), views=2, keep_frames=True, batch_size=batch_size)
    done: list[int] = []
    contents = compute_shard(task, iter(loaded(task, encoder)), encoder, config, HEADER, done.append)
    assert contents.tracklet_ids == [source.tracklet.tracklet_id for source in task.sources]
    assert sum(done) == len(task.sources)
    train = [source for source in task.sources if source.tracklet.split == "train"]
    assert contents.arrays[fmt.AUGMENTED].shape[0] == len(train)
    for row, source in enumerate(task.sources):
        plain = by_hand(source, source.draws[0], encoder)
        assert_close(contents.arrays[fmt.VISUAL][row], plain.tokens[0])
        assert_close(contents.arrays[fmt.FRAME_EMBEDDINGS][row], plain.frame_embeddings[0])
        assert_close(contents.arrays[fmt.FRAME_TOKENS][row], plain.frame_tokens[0])
    for row, source in enumerate(train):
        for view, draw in enumerate(source.draws[1:]):
            assert_close(contents.arrays[fmt.AUGMENTED][row, view], by_hand(source, draw, encoder).tokens[0])


def test_a_bad_tracklet_is_left_out_and_the_others_keep_their_rows(
    task: ShardTask, encoder: Encoder, extract_config: Callable[..., ExtractConfig]
) -> None:
    config = extract_config(Path("a.h5"), views=2, batch_size=4)
    items = loaded(task, encoder)
    whole = compute_shard(task, iter(items), encoder, config, HEADER, lambda count: None)
    bad = (1, 4, 8)
    left = compute_shard(task, iter(loaded(task, encoder, bad)), encoder, config, HEADER, lambda count: None)
    good = [row for row in range(9) if row not in bad]
    assert left.tracklet_ids == [whole.tracklet_ids[row] for row in good]
    assert_close(left.arrays[fmt.VISUAL], whole.arrays[fmt.VISUAL][good])
    train = [row for row in good if task.sources[row].tracklet.split == "train"]
    assert_close(left.arrays[fmt.AUGMENTED], whole.arrays[fmt.AUGMENTED][train])
    assert [(skip[0], skip[2]) for skip in left.skipped] == [
        (whole.tracklet_ids[row], "x.jpg: broken") for row in bad
    ]
    assert left.source_digest == whole.source_digest == digest_shard([item.digest for item in items])


def test_a_shard_of_bad_tracklets_alone_is_empty_and_keeps_its_shapes(
    task: ShardTask, encoder: Encoder, extract_config: Callable[..., ExtractConfig]
) -> None:
    config = extract_config(Path("a.h5"), views=2, keep_frames=True)
    items = loaded(task, encoder, tuple(range(9)))
    contents = compute_shard(task, iter(items), encoder, config, HEADER, lambda count: None)
    assert contents.tracklet_ids == []
    assert len(contents.skipped) == 9
    shapes = row_shapes(config, encoder)
    assert {name: array.shape for name, array in contents.arrays.items()} == {
        name: (0, *shape) for name, shape in shapes.items()
    }


def test_a_batch_never_crosses_a_shard(
    task: ShardTask, encoder: Encoder, extract_config: Callable[..., ExtractConfig]
) -> None:
    config = extract_config(Path("a.h5"), views=2, batch_size=1000)
    short = ShardTask(0, task.sources[:4])
    stream = iter(loaded(task, encoder))
    alone = compute_shard(short, iter(loaded(short, encoder)), encoder, config, HEADER, lambda count: None)
    first = compute_shard(short, stream, encoder, config, HEADER, lambda count: None)
    np.testing.assert_array_equal(first.arrays[fmt.VISUAL], alone.arrays[fmt.VISUAL])
    assert next(stream).source == task.sources[4], "nothing of the next shard was taken"


def test_arrays_follow_the_settings(encoder: Encoder, extract_config: Callable[..., ExtractConfig]) -> None:
    assert row_shapes(extract_config(Path("a.h5")), encoder) == {
        "visual": (5, 32),
        "frame_embeddings": (2, 32),
    }
    assert row_shapes(extract_config(Path("a.h5"), views=3, keep_frames=True, frames=4), encoder) == {
        "visual": (5, 32),
        "frame_embeddings": (4, 32),
        "augmented": (3, 5, 32),
        "frame_tokens": (4, 5, 32),
    }
