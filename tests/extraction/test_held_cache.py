"""What stands at --out is replaced only where vpar wrote it, and never made smaller without --overwrite."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from tests.support.comparing import bytes_of
from tests.support.small_caches import edit_sealed
from vpar_cache.cache import format as fmt
from vpar_cache.cache.features import open_features
from vpar_cache.cache.seal import write_seal
from vpar_cache.datasets.mars import load_mars
from vpar_cache.errors import CacheError, UserError
from vpar_cache.extraction import extract as extraction
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.executors import local
from vpar_cache.extraction.extract import extract

Make = Callable[..., ExtractConfig]


def contents_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- what is not ours ---


def own_hdf5(index: Path) -> None:
    with h5py.File(index, "w") as file:
        file["measurements"] = np.arange(9)


def write(name: str, content: bytes = b"years of work") -> Callable[[Path], None]:
    """A file of somebody, at a path that starts at the index without its suffix."""

    def make(index: Path) -> None:
        path = Path(f"{index.with_suffix('')}{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return make


def linked_shard(index: Path) -> None:
    index.with_suffix("").mkdir()
    (index.with_suffix("") / "shard-0123456789abcdef.h5").symlink_to("/etc/hosts")


FOREIGN: dict[str, Callable[[Path], object]] = {
    "an HDF5 file": own_hdf5,
    "any file": write(".h5"),
    "a folder": lambda index: index.mkdir(),
    "a pipe": os.mkfifo,
    "a file in the folder's place": write(""),
    "a shard of no cache": write("/shard-0123456789abcdef.h5"),
    "a shard of another name": write("/shard-own.h5"),
    "a folder of other things": write("/notes.txt"),
    "a table": write("/skipped.csv", b"name,marks\n"),
    "another hints.json": write("/hints.json", b"[1, 2]"),
    "a linked shard": linked_shard,
}  # fmt: skip


@pytest.mark.usefixtures("no_encoder")
@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN.keys())
def test_what_vpar_did_not_write_is_refused_before_any_work(
    make: Callable[[Path], object], extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "place" / "own.h5"
    out.parent.mkdir()
    make(out)
    before, names = contents_below(tmp_path), sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(extraction, "list_tracklets", lambda *_: pytest.fail("the dataset was read"))
    with pytest.raises((UserError, CacheError), match=str(out.with_suffix(""))) as refused:
        extract(extract_config(out, overwrite=True))
    assert not {"delete", "remove"} & set(str(refused.value).split())
    assert (contents_below(tmp_path), sorted(tmp_path.rglob("*"))) == (before, names)


def test_a_foreign_shard_in_a_cache_is_refused_and_a_listed_one_is_repaired(
    extracted: Path, extract_config: Make
) -> None:
    folder, before = fmt.shard_folder(extracted), bytes_of(extracted)
    (folder / "shard-00001.h5").write_bytes(b"years of work")
    with pytest.raises(UserError, match=r"shard-00001\.h5 has no vpar seal"):
        extract(extract_config(extracted))
    (folder / "shard-00001.h5").unlink()
    sorted(folder.glob("shard-*.h5"))[1].write_bytes(b"a shard that the index lists, without its seal")
    extract(extract_config(extracted))
    assert bytes_of(extracted) == before


def test_the_folder_of_a_cache_may_hold_notes(extracted: Path, extract_config: Make) -> None:
    (fmt.shard_folder(extracted) / "notes.txt").write_text("mine")
    assert extract(extract_config(extracted, shard_size=7)).encoded == 0
    assert (fmt.shard_folder(extracted) / "notes.txt").read_text() == "mine"


def test_a_cache_of_another_format_is_refused_and_stays(extracted: Path, extract_config: Make) -> None:
    with extracted.open("r+b") as file:
        file.write(b"vpar-seal 1")
    before = extracted.read_bytes()
    with pytest.raises(CacheError, match=r"got cache format 1; expected format 2"):
        extract(extract_config(extracted, overwrite=True))
    assert extracted.read_bytes() == before


# --- never smaller by accident ---


@pytest.mark.usefixtures("no_encoder")
@pytest.mark.parametrize("how", ["limit", "other root", "labels"])
def test_a_run_that_would_drop_tracklets_stops_and_says_how_many(
    how: str, extracted: Path, extract_config: Make, demo_root: Path, tmp_path: Path
) -> None:
    before = bytes_of(extracted)
    settings: dict[str, Any] = {"limit": 7}
    if how != "limit":
        root = Path(shutil.copytree(demo_root, tmp_path / "root"))
        table = root / "mars_attributes.csv"
        lines = table.read_text().splitlines(keepends=True)
        table.write_text("".join([lines[0], *lines[9:]] if how == "other root" else [*lines[:9], *lines[11:]]))
        settings = {"root": root}
    config = extract_config(extracted, **settings)
    with pytest.raises(UserError, match=r"holds 18 tracklets, and \d+ of them .*--overwrite") as refused:
        extract(config)
    first = min(set(open_features(extracted).tracklet_ids) - {t.tracklet_id for t in tracklets_of(config)})
    assert f"({first}" in str(refused.value)
    assert bytes_of(extracted) == before


def tracklets_of(config: ExtractConfig) -> Any:
    from vpar_cache.extraction.tracklet_list import list_tracklets

    return list_tracklets(config, None, lambda line: None).tracklets


def test_with_overwrite_tracklets_are_dropped(extracted: Path, extract_config: Make) -> None:
    result = extract(extract_config(extracted, limit=7, overwrite=True))
    assert (result.encoded, result.copied) == (0, 7)
    assert len(open_features(extracted)) == 7


def test_rows_of_a_killed_run_count_as_held(extracted: Path, extract_config: Make) -> None:
    extracted.unlink()
    with pytest.raises(UserError, match=r"holds 18 tracklets, and 11 of them"):
        extract(extract_config(extracted, limit=7))
    assert len(list(fmt.shard_folder(extracted).glob("shard-*.h5"))) == 4


def test_rows_whose_frames_cannot_be_read_any_more_are_not_dropped(
    extracted: Path, extract_config: Make, demo_root: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(demo_root, tmp_path / "root"))
    tracklet = load_mars(root).tracklets[3]
    (tracklet.folder / tracklet.frames[1]).write_bytes(b"")
    index = extracted.read_bytes()
    with pytest.raises(UserError, match=rf"1 of them cannot be read any more \({tracklet.tracklet_id}\)"):
        extract(extract_config(extracted, root=root, max_bad=1))
    assert extracted.read_bytes() == index
    assert len(open_features(extracted)) == 18
    assert extract(extract_config(extracted, root=root, max_bad=1, overwrite=True)).copied == 17


# --- links ---


def test_out_on_a_link_is_the_cache_that_it_leads_to(
    extracted: Path, extract_config: Make, tmp_path: Path
) -> None:
    before = bytes_of(extracted)
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "mine.h5"
    link.symlink_to(extracted)
    result = extract(extract_config(link))
    assert (result.index, result.encoded) == (extracted, 0)
    assert bytes_of(extracted) == before
    assert link.is_symlink()
    assert [path.name for path in link.parent.iterdir()] == ["mine.h5"]
    assert open_features(link).tracklet_ids == open_features(extracted).tracklet_ids


# --- settings, precision, order of checks ---


@pytest.mark.usefixtures("no_encoder")
@pytest.mark.parametrize(
    "changes",
    [{"frames": 3}, {"views": 1}, {"normalize": "half"}, {"backbone": "ViT-B-32"}, {"precision": "bf16"},
     {"weights": "random:1"}, {"weights": None}],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused_before_an_encoder_is_built(
    changes: dict[str, Any], extracted: Path, extract_config: Make
) -> None:
    (fmt.shard_folder(extracted) / "hints.json").unlink()
    with pytest.raises(CacheError, match=r"other settings \(.*--overwrite"):
        extract(extract_config(extracted, **changes))


def test_other_settings_replace_a_cache_only_with_overwrite(extracted: Path, extract_config: Make) -> None:
    result = extract(extract_config(extracted, frames=3, overwrite=True))
    assert (result.encoded, result.copied) == (18, 0)
    assert open_features(extracted).visual_config["frames"] == 3
    assert len(bytes_of(extracted)) == 5, "the shards of the other settings are gone"


@pytest.mark.parametrize("native", [True, False])
def test_auto_adopts_the_precision_of_the_cache(
    native: bool, extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun on one kind of processor, gone on with on another."""
    config = extract_config(tmp_path / "a.h5", precision="auto")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})
    assert extract(dataclasses.replace(config, limit=9)).precision == ("bf16" if native else "fp32")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": not native})
    result = extract(config)
    assert (result.precision, result.encoded, result.copied) == ("bf16" if native else "fp32", 9, 9)
    monkeypatch.setattr(local, "build_encoder", lambda *_: pytest.fail("an encoder was built"))
    assert extract(config).encoded == 0


@pytest.mark.usefixtures("no_encoder")
def test_prompts_are_checked_before_an_encoder_is_built(extract_config: Make, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="prompts 'none'"):
        extract(extract_config(tmp_path / "a.h5", prompts="none"))


def test_building_an_encoder_is_said_with_its_seconds(extract_config: Make, tmp_path: Path) -> None:
    said: list[str] = []
    extract(extract_config(tmp_path / "a.h5"), say=said.append)
    (built,) = (line for line in said if line.startswith("encoder built"))
    assert " s: weights random:0, fp32" in built
    again: list[str] = []
    extract(extract_config(tmp_path / "a.h5"), say=again.append)
    assert "encoder" not in str(again)


# --- what cannot be read is not damaged ---


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.EIO, errno.ENOLCK, errno.ESTALE])
@pytest.mark.parametrize("file", ["index", "shard"])
def test_a_file_that_cannot_be_read_now_ends_the_run_and_is_not_computed_again(
    number: int, file: str, extracted: Path, extract_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bytes_of(extracted)
    failing = extracted if file == "index" else sorted(fmt.shard_folder(extracted).glob("shard-*.h5"))[1]
    open_file = h5py.File

    def fail(path: Path, *arguments: Any, **options: Any) -> h5py.File:
        if path == failing:
            raise OSError(number, f"Unable to synchronously open file (errno = {number})")
        return open_file(path, *arguments, **options)

    monkeypatch.setattr(h5py, "File", fail)
    with pytest.raises(CacheError, match=rf"{failing}: it cannot be read: {os.strerror(number)} .*may be intact"):
        extract(extract_config(extracted))
    assert bytes_of(extracted) == before


def test_a_file_that_another_program_has_locked_is_read(extracted: Path, extract_config: Make) -> None:
    """HDF5 locks what it opens, and where another host holds the lock the file could not be opened."""
    shard = sorted(fmt.shard_folder(extracted).glob("shard-*.h5"))[0]
    with extracted.open("rb") as index, shard.open("rb") as first:
        for file in (index, first):
            fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(OSError):
            h5py.File(extracted, "r", locking=True)
        assert extract(extract_config(extracted)).copied == 18


def test_a_sealed_file_of_wrong_contents_is_damage(extracted: Path, extract_config: Make) -> None:
    before = bytes_of(extracted)
    shard = sorted(fmt.shard_folder(extracted).glob("shard-*.h5"))[1]
    edit_sealed(shard, lambda file: file.__delitem__("visual"))
    extracted.write_bytes(bytes(fmt.USER_BLOCK_BYTES) + b"not HDF5")
    write_seal(extracted)
    extract(extract_config(extracted))
    assert bytes_of(extracted) == before


def test_leftovers_of_killed_runs_are_ours(extract_config: Make, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / ".shard-0123456789abcdef.h5.17-0123abcd.partial").write_bytes(b"half")
    (folder / "hints.json").write_bytes(b"")
    assert extract(extract_config(tmp_path / "a.h5")).encoded == 18
    assert not list(folder.glob(".*"))
