"""What disks, permissions and workers do to an extraction: one line, and nothing that was finished is lost."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch

from tests.support.comparing import bytes_of, leftovers
from tests.support.encoders import make_encoder
from tests.support.limits import file_size_limit
from vpar_cache.backbones.encoder import Encoder
from vpar_cache.cache import format as fmt
from vpar_cache.cache.features import open_features
from vpar_cache.cache.verify import verify_cache
from vpar_cache.datasets import loading
from vpar_cache.datasets.mars import load_mars
from vpar_cache.errors import CacheError, DataError, UserError
from vpar_cache.extraction import extract as extraction
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract

Make = Callable[..., ExtractConfig]
GO_ON = "then run the same command again: finished work is kept"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 KiB: two shards of the tiny cache."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a tmpfs; the tests with a limit on file sizes run instead")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


# --- writing ---


def test_a_full_disk_keeps_what_was_finished_and_the_run_goes_on_when_there_is_space(
    small_disk: Path, extract_config: Make, tiny_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = extract_config(small_disk / "tiny.h5")
    # Other programs may fill the disk after it was found large enough.
    monkeypatch.setattr(extraction, "check_space", lambda *_: None)
    with pytest.raises(
        CacheError, match=rf"^{small_disk}\S+\.h5: No space left .*\(error 28\); free some .*{GO_ON}$"
    ):
        extract(config)
    kept = sorted(fmt.shard_folder(config.out).glob("*.h5"))
    assert 1 <= len(kept) < 4
    assert leftovers(small_disk) == []
    remount(small_disk, "size=10m")
    assert extract(config).shards_kept == len(kept)
    assert bytes_of(config.out) == bytes_of(tiny_cache)


@pytest.mark.parametrize("num_bytes", [0, 7000])
def test_a_write_that_fails_anywhere_in_a_file_is_one_line(
    num_bytes: int, extract_config: Make, tiny_cache: Path, tmp_path: Path
) -> None:
    """With its hints unwritable too, which hides no other error."""
    config = extract_config(tmp_path / "tiny.h5")
    with (
        file_size_limit(num_bytes),
        pytest.raises(CacheError, match=rf"File too large \(error 27\); .*{GO_ON}$") as failed,
    ):
        extract(config)
    assert str(failed.value).isprintable()
    assert str(tmp_path) in str(failed.value)
    assert leftovers(tmp_path) == []
    assert extract(config).encoded == 18
    assert bytes_of(config.out) == bytes_of(tiny_cache)


def test_an_index_that_cannot_be_written_costs_no_shard(
    extract_config: Make, tiny_cache: Path, tmp_path: Path
) -> None:
    config = extract_config(tmp_path / "tiny.h5")
    largest = max(p.stat().st_size for p in fmt.shard_folder(tiny_cache).glob("*.h5"))
    assert tiny_cache.stat().st_size > largest
    with file_size_limit(largest), pytest.raises(CacheError, match=r"tiny\.h5: File too large"):
        extract(config)
    assert not config.out.exists()
    assert extract(config).shards_kept == 4


def test_a_read_only_place_is_named_and_its_cache_can_still_be_read(
    small_disk: Path, extract_config: Make, tiny_cache: Path
) -> None:
    remount(small_disk, "size=10m")
    index = Path(shutil.copytree(tiny_cache.parent, small_disk / "cache")) / tiny_cache.name
    remount(small_disk, "ro")
    for out in (index, small_disk / "new" / "cache.h5"):
        with pytest.raises(CacheError, match=rf"^{small_disk}\S+: Read-only .*; make the folder writable"):
            extract(extract_config(out))
    assert open_features(index).visual.shape[0] == 18
    assert verify_cache(index).problems == ()


def test_a_file_and_a_folder_in_each_others_places_are_named(extract_config: Make, tmp_path: Path) -> None:
    (tmp_path / "tiny").write_text("a file")
    with pytest.raises(UserError, match=rf"{tmp_path / 'tiny'} is in the place of the folder of shards"):
        extract(extract_config(tmp_path / "tiny.h5"))
    shard = tmp_path / "other" / "shard-0123456789abcdef.h5"
    shard.mkdir(parents=True)
    with pytest.raises(CacheError, match=rf"^{shard} is not a regular file"):
        extract(extract_config(tmp_path / "other.h5"))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails_at_the_last_moment_publishes_nothing(
    call: str, extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    config = extract_config(tmp_path / "tiny.h5")
    with monkeypatch.context() as patch:
        patch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[call], fail)
        with pytest.raises(CacheError, match=r"shard-[0-9a-f]{16}\.h5: Input/output error \(error 5\)"):
            extract(config)
    assert list(fmt.shard_folder(config.out).iterdir()) == []
    assert extract(config).encoded == 18


# --- reading ---


def a_drawn_frame(root: Path) -> Path:
    tracklet = load_mars(root).tracklets[3]
    return tracklet.folder / tracklet.frames[1]


def test_an_unreadable_frame_is_left_out_only_when_allowed_and_comes_back_by_itself(
    extract_config: Make,
    demo_root: Path,
    tiny_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frame, read = a_drawn_frame(demo_root), loading.read_plain

    def failing(path: Path, limit: int) -> bytes:
        if path == frame:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return read(path, limit)

    config = extract_config(tmp_path / "tiny.h5")
    with monkeypatch.context() as patch:
        patch.setattr(loading, "read_plain", failing)
        with pytest.raises(DataError, match=rf"1 tracklet .*{frame.name}: Permission denied.*--max-bad 1"):
            extract(config)
        allowed = extract(extract_config(config.out, max_bad=1))
        assert (allowed.num_train, allowed.shards_kept) == (11, 4)
    # Readable again, and no size or time of the file has changed.
    again = extract(config)
    assert (again.encoded, again.copied) == (1, 17)
    assert open_features(config.out).tracklet_ids == open_features(tiny_cache).tracklet_ids


# --- decoders and GPUs ---


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


def test_a_batch_that_did_not_fit_is_not_tried_again(
    extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens, failed = Encoder._tokens, []

    def small(self: Encoder, images: Any) -> Any:
        if len(images) > 4:
            failed.append(len(images))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return tokens(self, images)

    monkeypatch.setattr(Encoder, "_tokens", small)
    extract(extract_config(tmp_path / "tiny.h5", frames=2, batch_size=8))
    assert failed == [8], "of 18 tracklets of 2 frames in batches of 8 frames, the first alone failed"


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
        with pytest.raises(UserError, match=r"--frames.*2 frames does not fit in the memory of cpu"):
            extract(config)
    assert leftovers(tmp_path) == []
    assert extract(config).shards_kept == 2
    assert bytes_of(config.out) == bytes_of(tiny_cache)


def test_a_gpu_too_small_for_the_encoder_is_said(tiny_backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(open_clip.transformer.VisionTransformer, "to", full)
    with pytest.raises(UserError, match="does not fit in the free memory of cpu"):
        make_encoder(tiny_backbone)


def test_missing_frames_beyond_max_bad_stop_an_extraction_before_the_encoder_is_built(
    demo_root: Path, tmp_path: Path, extract_config: Callable[..., ExtractConfig]
) -> None:
    root = Path(shutil.copytree(demo_root, tmp_path / "root"))
    a_drawn_frame(root).unlink()
    config = extract_config(tmp_path / "c.h5", root=root, weights="absent.pt")  # building it would fail first
    with pytest.raises(DataError, match=r"1 tracklet.*--max-bad 0 .*1 of 4 frames are missing"):
        extract(config)
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["skipped.csv"]


def test_frames_that_are_links_are_encoded_as_copies_are(
    demo_root: Path, tmp_path: Path, extract_config: Callable[..., ExtractConfig], tiny_cache: Path
) -> None:
    root = Path(shutil.copytree(demo_root, tmp_path / "root"))
    frame = a_drawn_frame(root)
    store = tmp_path / "store"
    store.mkdir()
    frame.rename(store / frame.name)
    frame.symlink_to(store / frame.name)
    with pytest.raises(DataError, match=r"are links.*--follow-links"):
        extract(extract_config(tmp_path / "c.h5", root=root))
    index = extract(extract_config(tmp_path / "c.h5", root=root, follow_links=store)).index
    linked, plain = open_features(index), open_features(tiny_cache)
    np.testing.assert_array_equal(linked.visual.gather(range(18)), plain.visual.gather(range(18)))
