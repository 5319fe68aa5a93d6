"""What decoders and GPUs do to an extraction: one line, no row lost or moved, and the next run goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch

from vpar_cache.backbones.encoder import Encoder
from vpar_cache.cache import format as fmt
from vpar_cache.cache.features import open_features
from vpar_cache.datasets import loading
from vpar_cache.errors import DataError, UserError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract

Make = Callable[..., ExtractConfig]


def bytes_of(index: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (index, *fmt.shard_folder(index).glob("shard-*.h5"))}


def leftovers(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob(".*") if p.suffix in (".partial", ".lock")]


@pytest.mark.parametrize("error", [MemoryError("no memory"), ZeroDivisionError("bug")])
def test_a_decoder_that_dies_names_its_image(
    error: Exception, extract_config: Make, demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, done = loading.decode_frame, []

    def failing(*arguments: Any) -> Any:
        done.append(1)
        if len(done) == 15:
            raise error
        return decode(*arguments)

    config = extract_config(tmp_path / "tiny.h5", workers=1, batch_size=2)
    with monkeypatch.context() as patch:
        patch.setattr(loading, "decode_frame", failing)
        wanted = rf"{demo_root}\S+\.jpg: decoding it failed \({type(error).__name__}: {error}\)"
        with pytest.raises(DataError, match=wanted):
            extract(config)
    assert extract(config).shards_kept >= 1


@pytest.mark.parametrize("frames", [2, None])
def test_a_gpu_that_runs_out_of_memory_costs_no_row_and_no_order(
    frames: int | None, extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = open_features(extract(extract_config(tmp_path / "wanted.h5", frames=frames)).index)
    tokens, sizes = Encoder._tokens, []

    def small(self: Encoder, images: Any) -> Any:
        sizes.append(len(images))
        if len(images) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return tokens(self, images)

    monkeypatch.setattr(Encoder, "_tokens", small)
    config = extract_config(tmp_path / "tiny.h5", frames=frames, keep_frames=frames is not None)
    found = open_features(extract(config).index)
    assert max(sizes) > 2, "it never ran out"
    assert found.tracklet_ids == wanted.tracklet_ids
    rows = np.arange(18)
    for name, array in wanted.arrays.items():
        one, other = (each.gather(rows).astype(float) for each in (array, found.arrays[name]))
        np.testing.assert_allclose(one, other, atol=2e-3)


def test_a_gpu_without_memory_for_one_tracklet_says_so_and_keeps_what_was_finished(
    extract_config: Make, tiny_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens, calls = Encoder._tokens, []

    def full(self: Encoder, images: Any) -> Any:
        calls.append(len(images))
        if sum(calls) > 20:  # two shards of 5 tracklets are done: another process takes the memory
            raise torch.OutOfMemoryError("CUDA out of memory")
        return tokens(self, images)

    config = extract_config(tmp_path / "tiny.h5")
    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "_tokens", full)
        with pytest.raises(UserError, match=r"^one tracklet of 2 frames does not fit in the memory of cpu; use"):
            extract(config)
    assert leftovers(tmp_path) == []
    assert extract(config).shards_kept == 2
    assert bytes_of(config.out) == bytes_of(tiny_cache)


def test_a_gpu_too_small_for_the_encoder_is_said(tiny_backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(open_clip.transformer.VisionTransformer, "to", full)
    with pytest.raises(UserError, match="does not fit in the free memory of cpu"):
        Encoder(
            tiny_backbone, "random:0", device=torch.device("cpu"), precision="fp32", normalize="own", offline=True
        )
