"""Extraction: same settings, same bytes; only what changed is redone; rows stay with their labels."""

from __future__ import annotations

import csv
import dataclasses
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.support.comparing import bytes_of, least_cosine, rows_of
from tests.support.small_caches import flip
from vpar_cache.backbones.encoder import Encoder
from vpar_cache.cache import format as fmt
from vpar_cache.cache.features import open_features
from vpar_cache.cache.seal import write_seal
from vpar_cache.cache.verify import verify_cache
from vpar_cache.datasets.decoding import decode_frame
from vpar_cache.datasets.mars import load_mars
from vpar_cache.datasets.tracklet import Tracklet
from vpar_cache.errors import DataError, UserError
from vpar_cache.extraction import stored_rows
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.executors import writing
from vpar_cache.extraction.extract import ExtractResult, extract

Make = Callable[..., ExtractConfig]


def tokens_of(index: Path) -> dict[str, NDArray[np.float16]]:
    """The mean tokens by tracklet."""
    return dict(zip(open_features(index).tracklet_ids, rows_of(index), strict=True))


def counts(result: ExtractResult) -> tuple[int, int]:
    """(encoded, copied) tracklets."""
    return result.encoded, result.copied


@pytest.fixture
def root(demo_root: Path, tmp_path: Path) -> Path:
    """A copy of the dataset, to change."""
    return Path(shutil.copytree(demo_root, tmp_path / "root"))


def drawn_file(tracklet: Tracklet) -> Path:
    """One of the two frames that are drawn of a tracklet of four."""
    return tracklet.folder / tracklet.frames[1]


# --- what is in the rows ---


def test_every_row_holds_the_features_and_the_labels_of_its_tracklet(
    tiny_cache: Path, demo_root: Path, encoder: Encoder
) -> None:
    features = open_features(tiny_cache)
    tracklets = {tracklet.tracklet_id: tracklet for tracklet in load_mars(demo_root).tracklets}
    assert set(features.tracklet_ids) == set(tracklets)
    tokens = features.visual.gather(np.arange(18))
    embeddings = features.arrays["frame_embeddings"].gather(np.arange(18))
    for row, tracklet_id in enumerate(features.tracklet_ids):
        tracklet = tracklets[tracklet_id]
        np.testing.assert_array_equal(features.labels[row], tracklet.labels)
        np.testing.assert_array_equal(features.quality[row], tracklet.quality)
        assert features.splits[row] == tracklet.split
        assert features.person_ids[row] == tracklet.person_id
        assert features.camera_ids[row] == tracklet.camera_id
        assert features.num_frames[row] == len(tracklet.frames)
        frames = np.stack(
            [decode_frame((tracklet.folder / tracklet.frames[i]).read_bytes(), 32, "pad") for i in (1, 3)]
        )
        alone = encoder.encode_frames(frames[None])
        assert least_cosine(tokens[row], alone.tokens[0]) >= 0.9999
        assert least_cosine(embeddings[row], alone.frame_embeddings[0]) >= 0.9999
    assert least_cosine(tokens[:9], tokens[9:]) < 0.9999, "or the check above shows nothing"


def test_the_text_is_that_of_the_prompts(tiny_cache: Path, encoder: Encoder) -> None:
    features = open_features(tiny_cache)
    assert features.prompts[0] == "the pedestrian has an attribute short sleeves"
    assert least_cosine(features.text, encoder.encode_text(features.prompts)) >= 0.99999


def test_views_and_frames_are_stored_when_asked_for(extract_config: Make, tmp_path: Path) -> None:
    index = extract(extract_config(tmp_path / "a.h5", views=2, keep_frames=True)).index
    assert rows_of(index, "augmented").shape == (12, 2, 5, 32)
    tokens = rows_of(index, "frame_tokens").astype(np.float32)
    assert tokens.shape == (18, 2, 5, 32)
    np.testing.assert_allclose(tokens.mean(axis=1), rows_of(index), atol=2e-3)
    # Two matrix products of other shapes: at most one step of float16 apart, by the number of threads.
    embeddings = rows_of(index, "frame_embeddings").astype(np.float32)  # (N, T, D)
    np.testing.assert_allclose(tokens[:, :, 0], embeddings, rtol=2**-10, atol=2**-20)


def test_frames_and_prompts_are_encoded_without_tf32_on_a_gpu(
    extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()
    for name in ("encode_frames", "encode_text"):
        whole = getattr(Encoder, name)

        def look(*args: Any, name: str = name, whole: Any = whole) -> Any:
            seen.add((name, torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()))
            return whole(*args)

        monkeypatch.setattr(Encoder, name, look)
    extract(extract_config(tmp_path / "a.h5"))
    assert seen == {("encode_frames", False, "highest"), ("encode_text", False, "highest")}
    assert torch.backends.cudnn.allow_tf32


# --- the same bytes ---


@pytest.mark.usefixtures("no_encoding")
def test_a_rerun_computes_nothing_and_leaves_every_byte(extracted: Path, extract_config: Make) -> None:
    before, hints = bytes_of(extracted), fmt.shard_folder(extracted) / "hints.json"
    stored = hints.read_bytes()
    result = extract(extract_config(extracted))
    assert counts(result) == (0, 18)
    assert (result.shards_kept, result.shards_written) == (4, 0)
    assert bytes_of(extracted) == before
    assert hints.read_bytes() == stored
    assert (result.num_train, result.num_test, result.skipped) == (12, 6, ())
    assert result.random_weights


def test_the_same_settings_give_the_same_bytes_another_time(
    tiny_cache: Path, extract_config: Make, tmp_path: Path
) -> None:
    time.sleep(1.1)  # HDF5 keeps times in seconds
    again = extract(extract_config(tmp_path / "elsewhere" / "tiny.h5", workers=1)).index
    assert bytes_of(again) == bytes_of(tiny_cache)


def test_one_worker_equals_four_and_one_writer_equals_two(extract_config: Make, tmp_path: Path) -> None:
    results = [
        bytes_of(extract(extract_config(tmp_path / name / "a.h5", batch_size=4, **changes)).index)
        for name, changes in {
            "one": {"workers": 1},
            "four": {"workers": 4},
            "two writers": {"devices": ("cpu", "cpu"), "shard_size": 5},
        }.items()
    ]
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("size", [1, 7])
def test_the_batch_size_changes_no_more_than_rounding(
    tiny_cache: Path, extract_config: Make, tmp_path: Path, size: int
) -> None:
    reference = open_features(tiny_cache)
    other = open_features(extract(extract_config(tmp_path / "a.h5", batch_size=size)).index)
    assert other.tracklet_ids == reference.tracklet_ids
    assert set(other.arrays) == set(reference.arrays)
    rows = np.arange(18)
    for name, array in reference.arrays.items():
        assert least_cosine(array.gather(rows), other.arrays[name].gather(rows)) >= 0.9999, name


# --- interrupted ---


def test_what_killed_runs_left_is_removed(extracted: Path, extract_config: Make) -> None:
    folder = fmt.shard_folder(extracted)
    leftovers = [
        folder / ".shard-0123456789abcdef.h5.4711-0123abcd.partial",
        folder / ".hints.json.4711-0123abcd.partial",
        folder / ".skipped.csv.4711-0123abcd.partial",
        extracted.with_name(f".{extracted.name}.4711-0123abcd.partial"),
        folder / "shard-0123456789abcdef.h5",
    ]
    for path in leftovers:
        path.write_bytes(b"vpar-seal 2 of a shard that no index lists")
    bystanders = [folder / "notes.txt", extracted.with_name("other.h5"), folder / ".thesis.partial"]
    for path in bystanders:
        path.write_bytes(b"not ours")
    extract(extract_config(extracted))
    assert [path for path in leftovers if path.exists()] == []
    assert [path for path in bystanders if not path.exists()] == []


# --- only what changed is redone ---


def test_one_changed_jpeg_encodes_one_tracklet(extracted: Path, root: Path, extract_config: Make) -> None:
    before, rows = bytes_of(extracted), tokens_of(extracted)
    tracklets = load_mars(root).tracklets
    shutil.copy(drawn_file(tracklets[0]), drawn_file(tracklets[7]))
    result = extract(extract_config(extracted, root=root))
    assert counts(result) == (1, 17)
    assert (result.shards_kept, result.shards_written) == (3, 1)
    after, new = bytes_of(extracted), tokens_of(extracted)
    assert len(set(before.items()) & set(after.items())) == 3
    assert len(after) == 5
    assert [name for name in rows if not np.array_equal(rows[name], new[name])] == [tracklets[7].tracklet_id]
    assert verify_cache(extracted).problems == ()


def test_a_frame_that_is_not_drawn_redoes_nothing(extracted: Path, root: Path, extract_config: Make) -> None:
    tracklets = load_mars(root).tracklets
    (tracklets[7].folder / tracklets[7].frames[0]).write_bytes(b"never read")
    assert counts(extract(extract_config(extracted, root=root))) == (0, 18)


def test_a_replaced_jpeg_of_the_same_size_and_time_is_noticed(
    extracted: Path, root: Path, extract_config: Make
) -> None:
    extract(extract_config(extracted, root=root))
    path = drawn_file(load_mars(root).tracklets[16])
    stat, data = path.stat(), bytearray(path.read_bytes())
    data[-40] ^= 1
    other = path.with_name("other")
    other.write_bytes(data)
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(path)
    assert counts(extract(extract_config(extracted, root=root))) == (1, 17)
    assert counts(extract(extract_config(extracted, root=root))) == (0, 18)


def test_recheck_finds_a_change_that_sizes_and_times_hide(
    extracted: Path, root: Path, extract_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that keeps no times."""
    for module in (stored_rows, writing):
        monkeypatch.setattr(module, "file_signature", lambda source: "the same")
    extract(extract_config(extracted, root=root))
    path = drawn_file(load_mars(root).tracklets[16])
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    assert counts(extract(extract_config(extracted, root=root))) == (0, 18)
    assert counts(extract(extract_config(extracted, root=root, recheck=True))) == (1, 17)
    assert counts(extract(extract_config(extracted, root=root, recheck=True))) == (0, 18)


def test_sources_are_not_read_again_unless_they_changed(
    extracted: Path, root: Path, extract_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(extract_config(extracted, root=root))
    read: list[str] = []
    hash_tracklet = stored_rows.hash_tracklet

    def spy(source: Any) -> str:
        read.append(source.tracklet.tracklet_id)
        return hash_tracklet(source)

    monkeypatch.setattr(stored_rows, "hash_tracklet", spy)
    extract(extract_config(extracted, root=root))
    assert read == []
    tracklets = load_mars(root).tracklets
    os.utime(drawn_file(tracklets[0]))
    extract(extract_config(extracted, root=root))
    assert read == [tracklets[0].tracklet_id]


@pytest.mark.usefixtures("no_encoding")
def test_new_prompts_change_the_index_alone(extracted: Path, extract_config: Make) -> None:
    before, old = bytes_of(extracted), open_features(extracted)
    result = extract(extract_config(extracted, prompts="words"))
    after, new = bytes_of(extracted), open_features(extracted)
    assert counts(result) == (0, 18)
    assert [name for name in after if after[name] != before[name]] == ["tiny.h5"]
    assert new.prompts[0] == "top length short"
    assert new.text_fingerprint != old.text_fingerprint
    assert new.visual_fingerprint == old.visual_fingerprint
    assert least_cosine(new.text, old.text) < 0.9999
    extract(extract_config(extracted))
    assert bytes_of(extracted) == before


@pytest.mark.usefixtures("no_encoding")
def test_new_labels_change_the_index_alone(extracted: Path, root: Path, extract_config: Make) -> None:
    before, old = bytes_of(extracted), open_features(extracted)
    table = root / "mars_attributes.csv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[4]["hat"] = str(1 - int(rows[4]["hat"]))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    extract(extract_config(extracted, root=root))
    after, new = bytes_of(extracted), open_features(extracted)
    assert [name for name in after if after[name] != before[name]] == ["tiny.h5"]
    hat = [output.name for output in new.schema.outputs].index("hat")
    changed = np.argwhere(new.labels != old.labels)
    key = f"{int(rows[4]['person_id']):04d}C{rows[4]['camera_id']}T{int(rows[4]['tracklets_id']):04d}"
    assert changed.tolist() == [[new.tracklet_ids.index(key), hat]]


@pytest.mark.parametrize("damage", ["flipped", "truncated", "removed", "swapped", "no HDF5"])
def test_a_damaged_shard_is_redone_to_the_same_bytes(extracted: Path, extract_config: Make, damage: str) -> None:
    before = bytes_of(extracted)
    other, path = (shard.path for shard in open_features(extracted).shards[1:3])
    data = path.read_bytes()
    if damage == "removed":
        path.unlink()
    elif damage == "flipped":
        flip(path, 5000)
    elif damage == "truncated":
        path.write_bytes(data[:5000])
    elif damage == "swapped":
        path.write_bytes(other.read_bytes())
        other.write_bytes(data)
    else:
        path.write_bytes(bytes(fmt.USER_BLOCK_BYTES) + b"not HDF5")
        write_seal(path)
    messages: list[str] = []
    redone = 10 if damage == "swapped" else 5
    assert counts(extract(extract_config(extracted), say=messages.append)) == (redone, 18 - redone)
    assert bytes_of(extracted) == before
    said = any(path.name in message and message.endswith("computing it again") for message in messages)
    assert said or damage == "removed"


@pytest.mark.usefixtures("no_encoding")
@pytest.mark.parametrize("damage", ["removed", "empty", "cut", "flipped"])
def test_a_damaged_index_is_written_again(extracted: Path, extract_config: Make, damage: str) -> None:
    before = bytes_of(extracted)
    if damage == "removed":
        extracted.unlink()
    elif damage == "flipped":
        flip(extracted, 5000)
    else:
        extracted.write_bytes(before[extracted.name][: 0 if damage == "empty" else 5000])
    assert counts(extract(extract_config(extracted))) == (0, 18)
    assert bytes_of(extracted) == before


def test_a_tracklet_that_moves_to_train_gets_its_views(tmp_path: Path, root: Path, extract_config: Make) -> None:
    """With one frame a tracklet, plain draw and views need the same file."""
    rows = []
    for number, path in enumerate(sorted(root.rglob("*.jpg"))[:6]):
        (tmp_path / "own" / str(number)).mkdir(parents=True)
        shutil.copy(path, tmp_path / "own" / str(number) / "a.jpg")
        rows.append([str(number), "train" if number < 3 else "test", "1"])
    schema = tmp_path / "schema.toml"
    schema.write_text('name = "own"\n[[group]]\nname = "hat"\n')

    def extract_again() -> ExtractResult:
        lines = [["tracklet", "split", "hat"], *rows]
        (tmp_path / "own" / "labels.csv").write_text("".join(f"{','.join(line)}\n" for line in lines))
        config = extract_config(
            tmp_path / "a.h5", dataset="folder", root=tmp_path / "own", schema=str(schema), views=1, shard_size=2
        )
        return extract(config)

    assert counts(extract_again()) == (6, 0)
    rows[3][1] = "train"
    assert counts(extract_again()) == (1, 5)
    assert open_features(tmp_path / "a.h5").arrays["augmented"].shape[0] == 4


# --- what cannot be used ---


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (None, "damaged image"),
    ],
)
def test_a_bad_jpeg_is_an_error_that_keeps_the_shards_or_is_left_out_when_allowed(
    tiny_cache: Path, root: Path, extract_config: Make, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    tracklets = load_mars(root).tracklets
    bad = tracklets[6]
    path = drawn_file(bad)
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    index = tmp_path / "tiny.h5"
    with pytest.raises(DataError, match=rf"1 tracklet cannot be used, more than --max-bad 0 \({bad.tracklet_id}"):
        extract(extract_config(index, root=root))
    assert not index.exists()
    assert len(list(fmt.shard_folder(index).glob("shard-*.h5"))) == 4

    result = extract(extract_config(index, root=root, max_bad=1))
    assert counts(result) == (0, 17), "the finished shards were kept"
    assert [(skip.tracklet_id, skip.split) for skip in result.skipped] == [(bad.tracklet_id, bad.split)]
    with (fmt.shard_folder(index) / "skipped.csv").open(newline="") as file:
        (line,) = csv.DictReader(file)
    assert line["tracklet_id"] == bad.tracklet_id
    assert line["reason"].startswith(f"{path.name}: {reason}")

    features, whole = open_features(index), tokens_of(tiny_cache)
    kept = [tracklet for tracklet in tracklets if tracklet is not bad]
    assert features.tracklet_ids == tuple(tracklet.tracklet_id for tracklet in kept)
    for row, tracklet in enumerate(kept):
        np.testing.assert_array_equal(features.labels[row], tracklet.labels)
    for tracklet_id, tokens in tokens_of(index).items():
        assert least_cosine(tokens, whole[tracklet_id]) >= 0.9999


def test_a_fixed_jpeg_comes_back(tiny_cache: Path, root: Path, extract_config: Make, tmp_path: Path) -> None:
    path = drawn_file(load_mars(root).tracklets[6])
    good = path.read_bytes()
    path.write_bytes(b"")
    extract(extract_config(tmp_path / "tiny.h5", root=root, max_bad=1))
    path.write_bytes(good)
    result = extract(extract_config(tmp_path / "tiny.h5", root=root))
    assert (counts(result), result.skipped) == ((1, 17), ())
    assert not (tmp_path / "tiny" / "skipped.csv").exists()
    for tracklet_id, tokens in tokens_of(tmp_path / "tiny.h5").items():
        assert least_cosine(tokens, tokens_of(tiny_cache)[tracklet_id]) >= 0.9999


def test_of_many_bad_tracklets_the_first_five_and_the_total_are_shown(
    root: Path, extract_config: Make, tmp_path: Path
) -> None:
    tracklets = load_mars(root).tracklets
    for tracklet in tracklets[2:9]:
        drawn_file(tracklet).write_bytes(b"")
    with pytest.raises(DataError) as caught:
        extract(extract_config(tmp_path / "a.h5", root=root, max_bad=6))
    message = str(caught.value)
    assert message.startswith("7 tracklets cannot be used, more than --max-bad 6 (")
    assert "--max-bad 7" in message
    assert str(tmp_path / "a" / "skipped.csv") in message
    shown = [tracklet.tracklet_id in message for tracklet in tracklets[2:9]]
    assert shown == [True] * 5 + [False] * 2
    with (tmp_path / "a" / "skipped.csv").open(newline="") as file:
        assert [row["tracklet_id"] for row in csv.DictReader(file)] == [t.tracklet_id for t in tracklets[2:9]]
    assert extract(extract_config(tmp_path / "a.h5", root=root, max_bad=7)).num_train == 5


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_left_empty_is_an_error_whatever_is_allowed(
    root: Path, extract_config: Make, tmp_path: Path, split: str
) -> None:
    for tracklet in load_mars(root).tracklets:
        if tracklet.split == split:
            drawn_file(tracklet).write_bytes(b"")
    with pytest.raises(DataError, match=f"no usable {split} tracklet"):
        extract(extract_config(tmp_path / "a.h5", root=root, max_bad=99))
    assert not (tmp_path / "a.h5").exists()


@pytest.mark.parametrize("limit", [2, 17])
def test_a_limit_takes_tracklets_of_both_splits_evenly(
    tiny_cache: Path, extract_config: Make, tmp_path: Path, limit: int
) -> None:
    result = extract(extract_config(tmp_path / "a.h5", limit=limit))
    assert result.num_train + result.num_test == limit
    assert abs(result.num_train - limit * 12 / 18) < 1
    whole = tokens_of(tiny_cache)
    assert all(least_cosine(rows, whole[name]) >= 0.9999 for name, rows in tokens_of(result.index).items())


# --- refused before any work ---


@pytest.mark.usefixtures("no_encoding")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"devices": ("cpu", "gpu")}, "--device: got 'gpu'"),
        ({"devices": ("cpu", "cuda:77")}, "--device cuda:77 is missing"),
        ({"root": Path("absent")}, "absent"),
        ({"backbone": "ViT-Q"}, "--backbone.*'ViT-Q'"),
        ({"prompts": "none"}, "prompts 'none' are unknown"),
    ],
)
def test_what_does_not_fit_is_named_before_a_frame_is_encoded(
    extract_config: Make, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        extract(extract_config(tmp_path / "a.h5", **changes))


@pytest.mark.usefixtures("no_encoding")
def test_a_prompt_that_does_not_fit_is_named_before_a_frame_is_encoded(
    extract_config: Make, tmp_path: Path
) -> None:
    (tmp_path / "long.toml").write_text(f'template = "{"very " * 80}{{}}"\n')
    with pytest.raises(DataError, match=r"--prompts.*84 tokens.*77"):
        extract(extract_config(tmp_path / "a.h5", prompts=str(tmp_path / "long.toml")))


def test_a_dataset_of_the_caller_stands_in_for_a_name_and_a_root(
    tiny_cache: Path, demo_root: Path, extract_config: Make, tmp_path: Path
) -> None:
    config = extract_config(tmp_path / "tiny.h5", dataset=None, root=None)
    extract(config, dataset=load_mars(demo_root))
    assert bytes_of(config.out) == bytes_of(tiny_cache)
    for settings, dataset in ((config, None), (extract_config(config.out), load_mars(demo_root))):
        with pytest.raises(UserError, match="dataset: got "):
            extract(settings, dataset=dataset)


def test_the_demo_is_drawn_where_it_is_not_there(
    extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vpar_cache.datasets import loaders
    from vpar_cache.datasets.demo.dataset import DemoSize

    monkeypatch.setattr(loaders, "DemoSize", lambda: DemoSize(2, 2, 1, 2))
    config = extract_config(tmp_path / "demo.h5", dataset="demo", root=tmp_path / "drawn")
    result = extract(config)
    assert (result.dataset, result.num_train, result.num_test) == ("demo", 2, 2)
    assert open_features(result.index).dataset == "demo"
    assert counts(extract(dataclasses.replace(config, workers=1)))[0] == 0
