"""What disks, permissions and workers do to an extraction: one line, and nothing that was finished is lost."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from vpar_cache.cache import format as fmt
from vpar_cache.cache.features import open_features
from vpar_cache.cache.verify import verify_cache
from vpar_cache.datasets import loading
from vpar_cache.datasets.mars import load_mars
from vpar_cache.errors import CacheError, DataError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.extraction.plan import SourceMemory
from vpar_cache.models.inputs import ModelInputs
from vpar_cache.runs.folder import new_run_folder, refuse_finished, write_history, write_json, write_model
from vpar_cli.main import run

Make = Callable[..., ExtractConfig]
GO_ON = "then run the same command again: what was finished is kept"


def bytes_of(index: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (index, *fmt.shard_folder(index).glob("shard-*.h5"))}


def leftovers(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob(".*") if p.suffix in (".partial", ".lock")]


@contextmanager
def file_size_limit(num_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond this: what a full disk does, without one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


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
    small_disk: Path, extract_config: Make, tiny_cache: Path
) -> None:
    config = extract_config(small_disk / "tiny.h5")
    with pytest.raises(CacheError, match=rf"^{small_disk}\S+\.h5: No space left on device; free some .*{GO_ON}$"):
        extract(config)
    kept = sorted(fmt.shard_folder(config.out).glob("*.h5"))
    assert 1 <= len(kept) < 4
    assert leftovers(small_disk) == []
    remount(small_disk, "size=10m")
    assert extract(config).shards_kept == len(kept)
    assert bytes_of(config.out) == bytes_of(tiny_cache)


@pytest.mark.parametrize("num_bytes", [0, 1000, 4096, 7000])
def test_a_write_that_fails_anywhere_in_a_file_is_one_line(
    num_bytes: int, extract_config: Make, tiny_cache: Path, tmp_path: Path
) -> None:
    smallest = min(p.stat().st_size for p in fmt.shard_folder(tiny_cache).glob("*.h5"))
    assert num_bytes < smallest
    config = extract_config(tmp_path / "tiny.h5")
    with file_size_limit(num_bytes), pytest.raises(CacheError, match=rf"File too large; .*{GO_ON}$") as failed:
        extract(config)
    assert str(failed.value).isprintable()
    assert str(tmp_path) in str(failed.value)
    assert leftovers(tmp_path) == []
    assert extract(config).shards_computed == 4
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


def test_a_memory_of_sources_that_cannot_be_written_hides_no_other_error(tmp_path: Path) -> None:
    memory = SourceMemory(tmp_path / ".seen")
    with file_size_limit(0):
        memory.save()  # it is saved while another error, or an interrupt, passes
    assert list(tmp_path.iterdir()) == []


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


def test_a_file_where_the_folder_should_be_is_named(extract_config: Make, tmp_path: Path) -> None:
    (tmp_path / "tiny").write_text("a file")
    with pytest.raises(CacheError, match=rf"^{tmp_path / 'tiny'}: File exists; write to another"):
        extract(extract_config(tmp_path / "tiny.h5"))
    with pytest.raises(CacheError, match=rf"^{tmp_path / 'tiny'}\S*: (Not a directory|File exists)"):
        extract(extract_config(tmp_path / "tiny" / "tiny.h5"))


def test_a_folder_where_a_shard_should_be_is_named(extract_config: Make, tmp_path: Path) -> None:
    shard = tmp_path / "tiny" / "shard-00001.h5"
    shard.mkdir(parents=True)
    with pytest.raises(CacheError, match=rf"^{shard}: Is a directory; move that folder away"):
        extract(extract_config(tmp_path / "tiny.h5"))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails_at_the_last_moment_publishes_nothing(
    call: str, extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    config = extract_config(tmp_path / "tiny.h5")
    with monkeypatch.context() as patch:
        patch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[call], fail)
        with pytest.raises(CacheError, match=r"shard-00000\.h5: Input/output error; check the disk"):
            extract(config)
    assert list(fmt.shard_folder(config.out).iterdir()) == []
    assert extract(config).shards_computed == 4


def test_the_program_says_it_in_one_line_and_exits_2(
    extract_config: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = extract_config(tmp_path / "tiny.h5")
    options = ("dataset", "root", "out", "backbone", "weights", "precision", "frames")
    arguments = [f"--{name}={getattr(settings, name)}" for name in options]
    monkeypatch.setattr(sys, "argv", ["vpar", "extract", "--device=cpu", *arguments])
    before = signal.getsignal(signal.SIGTERM)
    with file_size_limit(4096), pytest.raises(SystemExit, match="2"):
        run()
    signal.signal(signal.SIGTERM, before)
    output = capsys.readouterr()
    assert output.out == ""
    assert "Traceback" not in output.err
    assert output.err.splitlines()[-1].startswith(f"error: {tmp_path}")
    assert output.err.splitlines()[-1].endswith(GO_ON)


def test_a_run_folder_that_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "first"
    writers: list[Callable[[Path], None]] = [
        lambda partial: write_json(partial / "run.json", {"text": "x" * 10_000}),
        lambda partial: write_model(
            partial / "model.safetensors",
            {"weight": torch.zeros(10_000)},
            ModelInputs(
                torch.ones(1), (slice(0, 1),), (5, 4), torch.ones(1, 4), torch.ones(1, 4), (2, 2), 1, None
            ),
            {},
        ),
        lambda partial: write_history(partial / "history.parquet", HISTORY),
    ]
    for write in writers:
        message = rf"{folder}\S*: File too large; .*{GO_ON}$"
        with file_size_limit(4096), pytest.raises(CacheError, match=message), new_run_folder(folder) as partial:
            write(partial)
        assert list(folder.parent.iterdir()) == []


HISTORY = [
    {
        "epoch": epoch,
        "train_loss": epoch * 0.7,
        "validation_loss": epoch * 0.3,
        "validation_f1": epoch * 0.1,
        "seconds": epoch * 1.1,
    }
    for epoch in range(1000)
]


def test_a_file_where_the_run_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "first").write_text("a file")
    with pytest.raises(CacheError, match=rf"^{tmp_path / 'first'}: Not a directory; write to another folder"):
        refuse_finished(tmp_path / "first", overwrite=False)


# --- reading ---


def a_drawn_frame(root: Path) -> Path:
    tracklet = load_mars(root).tracklets[3]
    return tracklet.folder / tracklet.frames[1]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_an_unreadable_frame_is_left_out_only_when_allowed_and_comes_back_by_itself(
    number: int,
    extract_config: Make,
    demo_root: Path,
    tiny_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frame, read = a_drawn_frame(demo_root), loading.read_plain

    def failing(path: Path, limit: int) -> bytes:
        if path == frame:
            raise OSError(number, os.strerror(number), str(path))
        return read(path, limit)

    config = extract_config(tmp_path / "tiny.h5")
    with monkeypatch.context() as patch:
        patch.setattr(loading, "read_plain", failing)
        with pytest.raises(DataError, match=rf"1 tracklets .*{frame.name}: {os.strerror(number)}.*--max-bad 1"):
            extract(config)
        allowed = extract(extract_config(config.out, max_bad=1))
        assert (allowed.num_train, allowed.shards_kept) == (11, 4)
    # Readable again, and no size or time of the file has changed.
    assert extract(config).shards_computed == 1
    assert bytes_of(config.out) == bytes_of(tiny_cache)


def test_a_folder_in_place_of_a_frame_is_named(extract_config: Make, demo_root: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(demo_root, tmp_path / "root"))
    frame = a_drawn_frame(root)
    frame.unlink()
    frame.mkdir()
    with pytest.raises(DataError, match=frame.name):
        extract(extract_config(tmp_path / "tiny.h5", root=root))
