"""How much is to be written is said before the work, and what does not fit on the disk is not begun."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.comparing import bytes_of
from vpar_cache.cache import format as fmt
from vpar_cache.errors import CacheError
from vpar_cache.extraction import space
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.extraction.space import format_bytes

Make = Callable[..., ExtractConfig]


def test_the_size_and_the_free_space_are_said_before_the_work(extract_config: Make, tmp_path: Path) -> None:
    said: list[str] = []
    index = extract(extract_config(tmp_path / "a.h5", views=40, keep_frames=True), say=said.append).index
    (line,) = (line for line in said if "to write" in line)
    assert line.endswith(" free")
    number, unit = line.split("about ")[1].split()[:2]
    estimate = float(number) * {"kB": 10**3, "MB": 10**6}[unit]
    written = sum(len(data) for data in bytes_of(index).values())
    assert 0.8 * written < estimate < 1.5 * written


def test_a_run_that_cannot_fit_on_the_disk_stops_before_a_frame_is_encoded(
    extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_encoding: None
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: usage._replace(free=5000))
    with pytest.raises(CacheError, match=r"needs about .*B more, and 5\.0 kB are free"):
        extract(extract_config(tmp_path / "a.h5"))
    assert not (tmp_path / "a.h5").exists()


@pytest.mark.usefixtures("no_encoder")
def test_of_a_cache_that_is_there_space_is_checked_before_an_encoder_is_built(
    extracted: Path, extract_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    sorted(fmt.shard_folder(extracted).glob("shard-*.h5"))[0].unlink()
    usage = shutil.disk_usage(extracted.parent)
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: usage._replace(free=0))
    with pytest.raises(CacheError, match=r"needs about .* 0 bytes are free"):
        extract(extract_config(extracted))


def test_bytes_have_the_largest_unit_that_they_reach() -> None:
    counts = (999, 1000, 52_400_000, 3_400_000_000, 2 * 10**12)
    assert [format_bytes(count) for count in counts] == ["999 bytes", "1.0 kB", "52.4 MB", "3.4 GB", "2.0 TB"]
