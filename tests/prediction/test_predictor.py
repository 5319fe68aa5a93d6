"""A run predicts from pictures what it predicts from the features of the same pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vpar_cache.cache.features import open_features
from vpar_cache.errors import DataError, UserError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.prediction.answers import meaning
from vpar_cache.prediction.predictor import load_run
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train

HALF = 2e-3
"""float16 keeps 11 bits: what two sums in another order may differ by, behind the model."""


def probabilities(table: Any) -> dict[str, np.ndarray]:
    """(A,) by the last part of the tracklet id."""
    return {
        row["tracklet_id"].rpartition("/")[2]: np.array(row["probabilities"]) for row in table.to_pylist()
    }  # of one person each


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("linear", {}),
        ("linear", {"frames": None}),
        ("linear", {"frames": 6}),
        ("vtf", {"sampling": "random", "seed": 3, "frames": 3, "resize": "stretch", "normalize": "half"}),
        ("cnn-rnn", {"keep_frames": True, "frames": 6}),
    ],
    ids=["plain", "all frames", "more frames than there are", "drawn at random", "tokens of frames"],
)
def test_the_folders_of_a_dataset_give_what_its_cache_gives(
    model: str,
    settings: dict[str, Any],
    people: Path,
    extract_config: Callable[..., ExtractConfig],
    tmp_path: Path,
) -> None:
    index = extract(extract_config(tmp_path / "a.h5", **settings)).index
    folder = train(
        TrainConfig(features=index, runs=tmp_path, model=model, epochs=1, device="cpu", dim=32, heads=2)
    ).folder
    run = load_run(folder, device="cpu")
    from_cache = probabilities(run.predict(open_features(index)))
    from_pictures = probabilities(run.predict(people, one_person=True))
    assert from_cache.keys() == from_pictures.keys()
    for tracklet, expected in from_cache.items():
        np.testing.assert_allclose(from_pictures[tracklet], expected, atol=HALF)


def test_pictures_of_a_person_are_taken_in_natural_order(tiny_run: Path, tmp_path: Path) -> None:
    run, picture = load_run(tiny_run, device="cpu"), np.random.default_rng(0)
    for folder in ("padded", "plain"):
        (tmp_path / folder / "person").mkdir(parents=True)
    for number in range(1, 13):
        pixels = picture.integers(0, 256, (16, 8, 3), dtype=np.uint8)  # (H, W, 3)
        Image.fromarray(pixels).save(tmp_path / "padded/person" / f"{number:02}.png")
        Image.fromarray(pixels).save(tmp_path / "plain/person" / f"{number}.png")
    padded, plain = (probabilities(run.predict(tmp_path / name, one_person=True)) for name in ("padded", "plain"))
    np.testing.assert_array_equal(plain["person"], padded["person"])


def test_frames_as_an_array_are_one_person(tiny_run: Path, people: Path) -> None:
    run = load_run(tiny_run, device="cpu")
    folder = sorted(people.iterdir())[0]
    frames = np.stack([np.asarray(Image.open(file)) for file in sorted(folder.iterdir())])  # (T, H, W, 3)
    (one,) = run.predict(frames)["probabilities"].to_pylist()
    # All frames are given, and T of them are counted evenly.
    (other,) = run.predict(frames[[1, 3]])["probabilities"].to_pylist()
    assert len(one) == len(other) == run.schema.num_outputs


def test_frames_of_one_person_may_have_different_sizes(tiny_run: Path, people: Path) -> None:
    run = load_run(tiny_run, device="cpu")
    folder = sorted(people.iterdir())[0]
    frames = [np.asarray(Image.open(file)) for file in sorted(folder.iterdir())]  # (H, W, 3) each
    assert run.predict(frames).equals(run.predict(np.stack(frames)))
    frames[0] = np.pad(frames[0], ((0, 0), (8, 8), (0, 0)))
    assert run.predict(frames).num_rows == 1


def test_a_run_shows_what_it_is(tiny_run: Path) -> None:
    shown = repr(load_run(tiny_run, device="cpu"))
    assert "random weights" in shown
    assert "hat" in shown


def test_each_picture_is_a_row_with_the_columns_of_the_groups(tiny_run: Path, people: Path) -> None:
    run = load_run(tiny_run, device="cpu")
    pictures = sorted(people.rglob("*.jpg"))[:5]
    table = run.predict(pictures)
    assert table.num_rows == 5
    assert table["tracklet_id"].to_pylist() == [str(path) for path in pictures]
    assert {"top_color", "top_color_probability", "backpack", "frames_used", "note"} <= set(table.column_names)
    stored = json.loads(table.schema.metadata[b"vpar.schema"])
    assert [group["name"] for group in stored["groups"]] == [group.name for group in run.schema.groups]
    for row in table.to_pylist():
        found = np.array(row["probabilities"])
        assert (row["backpack"] == "yes") == (found[3] > run.threshold[3])
        assert row["note"].startswith("random weights")


def test_a_choice_is_the_most_probable_value_or_unknown(tiny_run: Path, people: Path) -> None:
    run = load_run(tiny_run, device="cpu")
    for row in run.predict(people).to_pylist():
        for group, columns in run.schema.slices():
            found, name = np.array(row["probabilities"])[columns], group.name.replace(" ", "_")
            best = int(found.argmax())
            assert row[f"{name}_probability"] == pytest.approx(found[best], abs=1e-6)
            above = found[best] > run.threshold[columns][best]
            if group.is_choice:
                assert row[name] == (group.value_names()[best] if above else "unknown")
            else:
                assert row[name] == ("yes" if above else "no")


def test_hidden_groups_are_nowhere(tiny_run: Path, people: Path) -> None:
    run = load_run(tiny_run, device="cpu")
    table = run.predict(people, hide=["gender", "age"])
    assert not [name for name in table.column_names if name.startswith(("gender", "age"))]
    assert "gender" not in json.dumps(json.loads(table.schema.metadata[b"vpar.schema"]))
    assert len(table["probabilities"][0]) == run.schema.num_outputs - 5
    whole = run.predict(people)
    for group in ("pose", "hat", "bottom_color"):
        assert table[group] == whole[group]
    with pytest.raises(UserError, match=r"--hide: got 'gendre'.*gender"):
        run.predict(people, hide=["gendre"])


def test_other_weights_than_those_of_the_run_are_refused_with_both_digests(tiny_run: Path, people: Path) -> None:
    expected = load_run(tiny_run).run.encoder["weights_digest"]
    with pytest.raises(UserError, match=rf"--weights: got random:7 with digest [0-9a-f]+; .*{expected}"):
        load_run(tiny_run, device="cpu", weights="random:7").predict(people)


def test_a_picture_that_cannot_be_read_is_named(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"bad\.jpg: not an image"):
        load_run(tiny_run, device="cpu").predict(tmp_path)


def test_people_read_what_a_value_means(tiny_run: Path) -> None:
    groups = {group.name: group for group in load_run(tiny_run).schema.groups}
    assert [meaning(groups["gender"], value) for value in ("yes", "no")] == ["female", "male"]
    assert [meaning(groups["backpack"], value) for value in ("yes", "no")] == ["yes", "no"]
    assert meaning(groups["top color"], "red") == "red"
