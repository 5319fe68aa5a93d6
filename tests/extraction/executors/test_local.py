"""Writers share the list of shards; the failure of one stops the others and keeps what is finished."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.comparing import bytes_of, leftovers, published
from vpar_cache.backbones import encoder as encoder_module
from vpar_cache.backbones import open_clip_vit
from vpar_cache.backbones.encoder import Encoder
from vpar_cache.cache.headers import read_shard_header
from vpar_cache.cache.index import read_index
from vpar_cache.datasets.mars import load_mars
from vpar_cache.errors import CacheError, DataError
from vpar_cache.extraction import encoder_identity, shard, stored_rows
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.executors import local, writing
from vpar_cache.extraction.extract import extract

Make = Callable[..., ExtractConfig]


def test_two_writers_share_the_shards_and_write_them_in_their_places(
    extract_config: Make, demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, writers = shard.write_shard, []

    def spy(folder: Path, contents: Any) -> Path:
        writers.append(threading.current_thread().name)
        time.sleep(0.02)
        return write(folder, contents)

    monkeypatch.setattr(shard, "write_shard", spy)
    config = extract_config(tmp_path / "a.h5", shard_size=1, batch_size=2, devices=("cpu", "cpu"))
    assert extract(config).shards_written == len(writers) == 18
    assert len(set(writers)) == 2
    shards = [read_shard_header(listed.path) for listed in read_index(config.out).shards]
    assert [header.tracklet_ids[0] for header in shards] == [t.tracklet_id for t in load_mars(demo_root).tracklets]


def test_an_error_with_its_own_line_stays_what_it_is(
    extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise DataError("not finite; use --precision fp32")

    monkeypatch.setattr(writing, "compute_shard", refuse)
    for devices in (("cpu",), ("cpu", "cpu")):
        with pytest.raises(DataError, match=r"^not finite; use --precision fp32$"):
            extract(extract_config(tmp_path / "a.h5", devices=devices))


def test_a_writer_that_fails_stops_the_others_and_is_what_the_error_says(
    extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = extract_config(tmp_path / "tiny.h5", devices=("cpu", "cpu"), shard_size=9, batch_size=2)
    encode, begun = Encoder.encode_frames, []

    def failing(self: Encoder, *arguments: Any) -> Any:
        begun.append(True)
        if len(begun) == 5:
            raise RuntimeError("CUDA error: an illegal memory access was encountered\nand more")
        time.sleep(0.2)
        return encode(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "encode_frames", failing)
        with pytest.raises(CacheError, match=r"the writer on cpu failed \(RuntimeError: CUDA error") as stopped:
            extract(config)
    assert "run the same command again" in str(stopped.value)
    assert len(begun) < 9, "the other went on"
    assert (published(config.out), leftovers(tmp_path)) == ([], []), "half a shard was published"
    assert extract(config).shards_written == 2


def test_a_source_that_changes_while_it_is_encoded_is_seen_by_the_next_run(
    extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, read = extract_config(tmp_path / "a.h5"), []
    with monkeypatch.context() as patch:
        patch.setattr(writing, "file_signature", lambda source: "before reading")
        extract(config)
    hash_tracklet = stored_rows.hash_tracklet
    monkeypatch.setattr(stored_rows, "hash_tracklet", lambda source: (read.append("x"), hash_tracklet(source))[1])
    assert extract(config).copied == 18
    assert len(read) == 18


# --- an encoder for each device ---


@pytest.fixture
def two_devices(monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Two names, so that each has an encoder of its own."""
    for module in (encoder_identity, local):
        monkeypatch.setattr(module, "resolve_device", lambda name: torch.device("cpu"))
    monkeypatch.setattr(local, "explain_device", lambda name: f"device: {name}")
    return ("cuda:0", "cuda:1")


def test_all_writers_compute_what_the_fingerprint_says(
    two_devices: tuple[str, str], extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where `auto` would resolve to something else on the second device, as with GPUs of two generations."""
    made: list[str] = []
    resolve = encoder_module.resolve_precision

    def by_turns(precision: str, device: torch.device) -> str:
        made.append(resolve(("fp32", "bf16")[len(made) % 2] if precision == "auto" else precision, device))
        return made[-1]

    with monkeypatch.context() as patch:
        patch.setattr(encoder_module, "resolve_precision", by_turns)
        two = extract(extract_config(tmp_path / "2" / "a.h5", precision="auto", devices=two_devices)).index
    assert made == ["fp32", "fp32"]
    one = extract(extract_config(tmp_path / "1" / "a.h5")).index
    assert bytes_of(two) == bytes_of(one)


def test_the_encoder_is_built_once_however_many_devices(
    extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights are drawn and files read in one thread, before the writers begin."""
    built: list[str] = []
    build = open_clip_vit._build

    def counted(backbone: str) -> Any:
        built.append(threading.current_thread().name)
        return build(backbone)

    monkeypatch.setattr(open_clip_vit, "_build", counted)
    state, disabled = torch.random.get_rng_state(), logging.root.manager.disable
    devices = ("cpu", "cpu", "cpu")
    three = extract(extract_config(tmp_path / "3" / "a.h5", devices=devices, shard_size=2, weights="random:5"))
    assert built == [threading.main_thread().name]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert logging.root.manager.disable == disabled
    one = extract(extract_config(tmp_path / "1" / "a.h5", shard_size=2, weights="random:5"))
    assert bytes_of(three.index) == bytes_of(one.index)
