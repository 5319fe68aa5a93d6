"""A cache is described from its index alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.small_caches import ENVIRONMENT, SmallCache, write_small_cache
from vpar_cache.cache import format as fmt
from vpar_cache.cache.info import describe_cache
from vpar_cache.cache.seal import check_seal
from vpar_cache.cache.writer import write_index
from vpar_cache.errors import CacheError, UserError


def test_an_extracted_cache_is_described(tiny_cache: Path, tiny_backbone: str) -> None:
    info = describe_cache(tiny_cache)
    assert info["dataset"] == "mars"
    assert info["tracklets"] == {"train": 12, "test": 6}
    assert info["people"] == {"train": 6, "test": 3}
    assert (info["person_ids"], info["people_in_train_and_test"]) == ("real", 0)
    assert info["unknown_labels"] == {}
    assert (info["outputs"], info["groups"]) == (43, 14)
    assert info["arrays"] == {"visual": [18, 5, 32], "frame_embeddings": [18, 2, 32]}
    assert info["backbone"] == f"open_clip:{tiny_backbone}"
    assert (info["grid"], info["prefix_tokens"]) == ([2, 2], 1)
    assert (info["text_encoder"], info["text"]) == (f"open_clip:{tiny_backbone}", [43, 32])
    assert (info["weights"], info["random_weights"]) == ("random:0", True)
    assert (info["precision"], info["frames"], info["sampling"]) == ("fp32", 2, "uniform")
    assert (info["resize"], info["normalize"]) == ("pad", "own")
    assert info["first_prompt"] == "the pedestrian has an attribute short sleeves"
    assert info["shards"] == 4
    files = [tiny_cache, *fmt.shard_folder(tiny_cache).glob("shard-*.h5")]
    assert info["bytes"] == sum(path.stat().st_size for path in files)
    assert info["seal"] == check_seal(tiny_cache)
    assert set(info["computed_with"][0]) == {"torch", "open_clip", "processor", "pillow", "libjpeg", "libwebp"}


@pytest.mark.parametrize(
    ("weights", "wanted"),
    [
        ("openai", "known"),
        ("random:0", "known"),
        ("mine.safetensors", "assumed"),
        ("l.pt (laion400m_e32)", "known"),
    ],
)
def test_the_activation_of_clip_is_told_and_whether_it_is_assumed(
    partly: SmallCache, tmp_path: Path, weights: str, wanted: str
) -> None:
    visual = {**partly.contents.visual_config, "activation": "quick_gelu"}
    write_index(tmp_path / "mars.h5", replace(partly.contents, weights=weights, visual_config=visual))
    info = describe_cache(tmp_path / "mars.h5")
    assert (info["activation"], info["activation_is"]) == ("quick_gelu", wanted)
    assert "activation" not in describe_cache(partly.index)


def test_unknown_labels_and_validation_tracklets_are_counted(partly: SmallCache, tmp_path: Path) -> None:
    info = describe_cache(partly.index)
    assert info["tracklets"] == info["people"] == {"train": 5, "validation": 1, "test": 4}
    assert info["unknown_labels"] == {"hat": 1, "pose": 2}
    write_index(tmp_path / "mars.h5", replace(partly.contents, people_known=False))
    info = describe_cache(tmp_path / "mars.h5")
    assert info["person_ids"].startswith("invented")
    assert (info["people"], info["people_in_train_and_test"]) == (None, None)


def test_a_description_is_plain_json(tiny_cache: Path) -> None:
    info = describe_cache(tiny_cache)
    assert json.loads(json.dumps(info)) == info


def test_no_shard_is_needed(tmp_path: Path) -> None:
    cache = write_small_cache(tmp_path / "mars.h5")
    whole = describe_cache(cache.index)
    shutil.rmtree(fmt.shard_folder(cache.index))
    assert describe_cache(cache.index) == whole
    assert whole["arrays"]["augmented"] == [5, 3, 5, 8]
    assert whole["computed_with"] == [ENVIRONMENT]


def test_a_damaged_or_missing_index_is_named(tmp_path: Path) -> None:
    cache = write_small_cache(tmp_path / "mars.h5")
    cache.index.write_bytes(cache.index.read_bytes()[:-9])
    with pytest.raises(CacheError, match=r"mars\.h5 is damaged"):
        describe_cache(cache.index)
    with pytest.raises(UserError, match="does not exist"):
        describe_cache(tmp_path / "absent.h5")
