"""Writers share the list of shards; the failure of one stops the others and keeps what is finished."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vpar_cache.backbones import encoder as encoder_module
from vpar_cache.backbones import open_clip_vit
from vpar_cache.backbones.encoder import Encoder
from vpar_cache.cache import format as fmt
from vpar_cache.datasets.mars import load_mars
from vpar_cache.datasets.tracklet import Dataset
from vpar_cache.errors import CacheError, DataError
from vpar_cache.extraction import lazy_encoder
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.executors import local as shard_run
from vpar_cache.extraction.executors.local import ShardRun
from vpar_cache.extraction.lazy_encoder import LazyEncoder, make_encoder

Make = Callable[..., ExtractConfig]


@pytest.fixture(scope="module")
def dataset(demo_root: Path) -> Dataset:
    return load_mars(demo_root)


@pytest.fixture(scope="module")
def encoder(extract_config: Make) -> Encoder:
    return make_encoder(extract_config(Path("a.h5")), "cpu")


def run_of(
    config: ExtractConfig, dataset: Dataset, encoder: Encoder, say: Callable[[str], None] = lambda message: None
) -> ShardRun:
    return ShardRun(config, dataset, LazyEncoder(lambda: encoder), say)


def published(config: ExtractConfig) -> list[str]:
    return sorted(path.name for path in fmt.shard_folder(config.out).glob("shard-*.h5"))


def test_headers_come_in_shard_order_whoever_wrote_them(
    extract_config: Make, dataset: Dataset, encoder: Encoder, tmp_path: Path
) -> None:
    config = extract_config(tmp_path / "a.h5", shard_size=1, batch_size=2, devices=("cpu", "cpu", "cpu"))
    run = run_of(config, dataset, encoder)
    headers = run.run()
    assert [header.tracklet_ids for header in headers] == [(t.tracklet_id,) for t in dataset.tracklets]
    assert run.kept == 0
    again = run_of(config, dataset, encoder)
    assert [header.seal for header in again.run()] == [header.seal for header in headers]
    assert again.kept == 18


def test_two_writers_share_the_shards(
    extract_config: Make, dataset: Dataset, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = extract_config(tmp_path / "a.h5", shard_size=1, batch_size=2, devices=("cpu", "cpu"))
    write, writers = shard_run.write_shard, []

    def spy(path: Path, contents: Any) -> None:
        writers.append(threading.current_thread().name)
        time.sleep(0.02)
        write(path, contents)

    monkeypatch.setattr(shard_run, "write_shard", spy)
    run_of(config, dataset, encoder).run()
    assert len(writers) == 18, "every shard once"
    assert len(set(writers)) == 2


@pytest.mark.parametrize("failing", [0, 1])
def test_a_writer_that_fails_stops_the_other_and_its_error_is_shown(
    extract_config: Make,
    dataset: Dataset,
    encoder: Encoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failing: int,
) -> None:
    config = extract_config(tmp_path / "a.h5", shard_size=1, batch_size=2, devices=("cpu", "cpu"))
    write, both = shard_run.write_shard, threading.Barrier(2, timeout=20)
    first: dict[str, bool] = {}

    def failing_write(path: Path, contents: Any) -> None:
        name = threading.current_thread().name
        if first.setdefault(name, True):
            first[name] = False
            both.wait()  # both writers are at work
        if name.endswith(f"_{failing}"):
            raise ZeroDivisionError("a bug of ours")
        time.sleep(0.05)
        write(path, contents)

    monkeypatch.setattr(shard_run, "write_shard", failing_write)
    with pytest.raises(
        CacheError, match=r"the writer on cpu failed \(ZeroDivisionError: a bug of ours\); finished"
    ):
        run_of(config, dataset, encoder).run()
    assert 0 < len(published(config)) < 9, "the other ended after the shard in hand"
    monkeypatch.setattr(shard_run, "write_shard", write)
    kept = len(published(config))
    again = run_of(config, dataset, encoder)
    again.run()
    assert again.kept == kept


def test_an_error_with_its_own_line_stays_what_it_is(
    extract_config: Make, dataset: Dataset, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise DataError("not finite; use --precision fp32")

    monkeypatch.setattr(shard_run, "compute_shard", refuse)
    for devices in (("cpu",), ("cpu", "cpu")):
        with pytest.raises(DataError, match=r"^not finite; use --precision fp32$"):
            run_of(extract_config(tmp_path / "a.h5", devices=devices), dataset, encoder).run()


def test_what_was_read_is_remembered_even_when_a_run_is_stopped(
    extract_config: Make, dataset: Dataset, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = extract_config(tmp_path / "a.h5")
    write = shard_run.write_shard

    def stop_at_the_third(path: Path, contents: Any) -> None:
        if path.name == "shard-00002.h5":
            raise KeyboardInterrupt
        write(path, contents)

    with monkeypatch.context() as patch:
        patch.setattr(shard_run, "write_shard", stop_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            run_of(config, dataset, encoder).run()
    read: list[str] = []
    hash_tracklet = shard_run.hash_tracklet
    monkeypatch.setattr(shard_run, "hash_tracklet", lambda source: (read.append("x"), hash_tracklet(source))[1])
    run = run_of(config, dataset, encoder)
    run.run()
    assert (run.kept, read) == (2, [])


def test_a_source_that_changes_while_it_is_encoded_is_seen_by_the_next_run(
    extract_config: Make, dataset: Dataset, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signature = shard_run.file_signature
    monkeypatch.setattr(shard_run, "file_signature", lambda task: "before " + signature(task))
    config = extract_config(tmp_path / "a.h5")
    run_of(config, dataset, encoder).run()
    monkeypatch.setattr(shard_run, "file_signature", lambda task: "after " + signature(task))
    read: list[str] = []
    hash_tracklet = shard_run.hash_tracklet
    monkeypatch.setattr(shard_run, "hash_tracklet", lambda source: (read.append("x"), hash_tracklet(source))[1])
    run_of(config, dataset, encoder).run()
    assert len(read) == 18


def test_another_fingerprint_is_refused_by_a_shard_alone(
    extract_config: Make, dataset: Dataset, encoder: Encoder, tmp_path: Path
) -> None:
    config = extract_config(tmp_path / "a.h5")
    run = run_of(config, dataset, encoder)
    run.refuse_other_fingerprint()  # nothing is there
    run.run()
    run.refuse_other_fingerprint()
    other = run_of(extract_config(tmp_path / "a.h5", frames=3), dataset, encoder)
    with pytest.raises(CacheError, match=r"other settings \(frames: 2 -> 3\); choose another --out, or delete it"):
        other.refuse_other_fingerprint()
    for path in fmt.shard_folder(config.out).glob("shard-*.h5"):
        path.write_bytes(b"damaged: says nothing of its settings")
    other.refuse_other_fingerprint()


def test_a_stale_shard_among_good_ones_is_redone(
    extract_config: Make, dataset: Dataset, encoder: Encoder, tmp_path: Path
) -> None:
    """A shard of other settings that was copied into the folder."""
    config, other = extract_config(tmp_path / "a.h5"), extract_config(tmp_path / "b.h5", normalize="half")
    wanted = run_of(config, dataset, encoder).run()
    run_of(other, dataset, make_encoder(other, "cpu")).run()
    stale = fmt.shard_folder(other.out) / "shard-00001.h5"
    stale.rename(fmt.shard_folder(config.out) / stale.name)
    run = run_of(config, dataset, encoder)
    assert [header.seal for header in run.run()] == [header.seal for header in wanted]
    assert run.kept == 3


def test_the_time_of_encoding_is_recorded_per_tracklet(
    extract_config: Make, dataset: Dataset, encoder: Encoder, tmp_path: Path
) -> None:
    from vpar_cache.cache.timing import load_encode_seconds

    config = extract_config(tmp_path / "a.h5")
    started = time.monotonic()
    run_of(config, dataset, encoder).run()
    whole = time.monotonic() - started
    seconds = load_encode_seconds(config.out)
    assert seconds is not None
    assert 0 < seconds <= whole / 18
    run_of(config, dataset, encoder).run()
    assert load_encode_seconds(config.out) == seconds, "a run that encodes nothing measures nothing"


def test_shards_that_no_task_has_are_removed_and_nothing_else(
    extract_config: Make, dataset: Dataset, encoder: Encoder, tmp_path: Path
) -> None:
    config = extract_config(tmp_path / "a.h5", shard_size=9)
    folder = fmt.shard_folder(config.out)
    folder.mkdir()
    for name in ("shard-00000.h5", "shard-00001.h5", "shard-00002.h5", "shard-12345.h5", "mine.h5", ".seen"):
        (folder / name).write_bytes(b"")
    run_of(config, dataset, encoder).remove_unlisted()
    assert sorted(path.name for path in folder.iterdir()) == [
        ".seen", "mine.h5", "shard-00000.h5", "shard-00001.h5"
    ]  # fmt: skip


# --- an encoder for each device ---


@pytest.fixture
def two_devices(monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Two names, so that each has an encoder of its own."""
    monkeypatch.setattr(lazy_encoder, "resolve_device", lambda name: torch.device("cpu"))
    return ("cuda:0", "cuda:1")


def test_all_writers_compute_what_the_fingerprint_says(
    two_devices: tuple[str, str],
    extract_config: Make,
    dataset: Dataset,
    encoder: Encoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where `auto` would come to something else on the second device, as with GPUs of two generations."""
    made: list[str] = []
    resolve = encoder_module.resolve_precision

    def by_turns(precision: str, device: torch.device) -> str:
        made.append(resolve(("fp32", "bf16")[len(made) % 2] if precision == "auto" else precision, device))
        return made[-1]

    monkeypatch.setattr(encoder_module, "resolve_precision", by_turns)
    config = extract_config(tmp_path / "two.h5", precision="auto", devices=two_devices)
    found = run_of(config, dataset, make_encoder(config, "cuda:0")).run()
    assert made == ["fp32", "fp32"]
    wanted = run_of(extract_config(tmp_path / "one.h5"), dataset, encoder).run()
    assert [header.seal for header in found] == [header.seal for header in wanted]


def test_weights_that_change_between_two_writers_are_refused(
    two_devices: tuple[str, str],
    extract_config: Make,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Any] = []
    build = open_clip_vit._build

    def another_each_time(backbone: str) -> Any:
        made.append(build(backbone))
        with torch.no_grad():
            made[-1].visual.ln_post.bias.fill_(len(made))
        return made[-1]

    monkeypatch.setattr(open_clip_vit, "_build", another_each_time)
    config = extract_config(tmp_path / "two.h5", devices=two_devices)
    with pytest.raises(CacheError, match=r"weights random:0 have changed while they were read for cuda:1; run"):
        run_of(config, dataset, make_encoder(config, "cuda:0")).run()
    assert len(made) == 2
