"""More frames or views than a tracklet has pictures take no more pictures, in memory and in the encoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.comparing import least_cosine, rows_of
from vpar_cache.backbones.encoder import Encoder
from vpar_cache.cache.features import open_features
from vpar_cache.datasets.frame_choice import choose_frames
from vpar_cache.datasets.mars import load_mars
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.executors import local
from vpar_cache.extraction.extract import extract

Make = Callable[..., ExtractConfig]
HAVE = 4
"""Frames of every tracklet here."""


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shape of everything that is encoded."""
    encode, shapes = Encoder.encode_frames, []

    def spy(self: Encoder, frames: Any, *rest: Any) -> Any:
        shapes.append(frames.shape)
        return encode(self, frames, *rest)

    monkeypatch.setattr(Encoder, "encode_frames", spy)
    return shapes


@pytest.mark.parametrize("sampling", ["uniform", "random"])
def test_each_picture_of_a_short_tracklet_is_encoded_once_and_counts_as_often_as_it_was_drawn(
    sampling: str, extract_config: Make, tmp_path: Path, batches: list[tuple[int, ...]], demo_root: Path
) -> None:
    """Against the mean, by hand, of the frames that were drawn."""
    frames = extract_config(tmp_path / "f.h5", frames=HAVE, keep_frames=True)
    one = open_features(extract(frames).index)
    tokens = one.arrays["frame_tokens"].gather(np.arange(18)).astype(np.float64)  # (18, 4, N, D): every picture
    embeddings = one.arrays["frame_embeddings"].gather(np.arange(18))
    batches.clear()
    config = extract_config(tmp_path / "a.h5", frames=50, keep_frames=True, sampling=sampling, seed=3)
    many = open_features(extract(config).index)
    assert max(shape[1] for shape in batches) <= HAVE
    assert sum(shape[0] * shape[1] for shape in batches) <= 18 * HAVE
    for row, tracklet_id in enumerate(many.tracklet_ids):
        drawn = list(choose_frames(HAVE, 50, sampling, 3, tracklet_id))
        assert least_cosine(many.visual.gather([row])[0], tokens[row, drawn].mean(axis=0)) >= 0.99999
        kept = many.arrays["frame_tokens"].gather([row])[0]
        np.testing.assert_allclose(kept, tokens[row, drawn], atol=2e-3)
        found = many.arrays["frame_embeddings"].gather([row])[0]
        np.testing.assert_allclose(found, embeddings[row, drawn], atol=2e-3)
    assert len(load_mars(demo_root).tracklets[0].frames) == HAVE


def test_each_picture_is_decoded_once_however_many_frames_and_views_are_drawn(
    extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, decoded = local.load_piece, []

    def spy(piece: Any, size: int, resize: str) -> Any:
        piece = load(piece, size, resize)
        decoded.append(len(piece.frames))
        return piece

    monkeypatch.setattr(local, "load_piece", spy)
    extract(extract_config(tmp_path / "a.h5", frames=1000, views=5))
    assert sum(decoded) <= 18 * HAVE


def test_views_hold_the_pictures_of_a_few_tracklets(
    extract_config: Make, tmp_path: Path, batches: list[tuple[int, ...]]
) -> None:
    index = extract(extract_config(tmp_path / "a.h5", frames=1, views=100, batch_size=8)).index
    assert rows_of(index, "augmented").shape == (12, 100, 5, 32)
    assert max(shape[0] * shape[1] for shape in batches) <= 8
