"""--keep-features: a cache that holds what was predicted, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.support.videos import Person, write_boxes, write_video
from vpar_cache.attributes.built_in import load_schema
from vpar_cache.cache import format as fmt
from vpar_cache.cache.features import open_features
from vpar_cache.cache.info import describe_cache
from vpar_cache.cache.verify import verify_cache
from vpar_cache.errors import DataError, Stopped, UserError
from vpar_cache.prediction.config import PredictConfig
from vpar_cache.prediction.predict import predict
from vpar_cache.prediction.predictor import EncoderOptions, Predictor
from vpar_cache.prediction.zero_shot import zero_shot
from vpar_cache.runs.load import load_run
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train


def keep(run: Path, kept: Path, *inputs: Path, **settings: object) -> None:
    config = PredictConfig(inputs=inputs, keep_features=kept, device="cpu", **settings)  # type: ignore[arg-type]
    predict(Predictor(load_run(run), EncoderOptions("cpu"), lambda line: None), config, say=lambda line: None)


def test_the_kept_rows_are_those_of_an_extraction(
    tiny_run: Path, tiny_cache: Path, people: Path, tmp_path: Path
) -> None:
    out = tmp_path / "kept.h5"
    keep(tiny_run, out, people, one_person=True)
    verify_cache(out)
    kept, extracted = open_features(out), open_features(tiny_cache)
    assert {Path(name).name for name in kept.tracklet_ids} == set(extracted.tracklet_ids)
    place = {name: row for row, name in enumerate(extracted.tracklet_ids)}
    rows = [place[Path(name).name] for name in kept.tracklet_ids]
    everything = list(range(len(kept)))
    for name in (fmt.VISUAL, fmt.FRAME_EMBEDDINGS):
        ours, theirs = kept.arrays[name].gather(everything), extracted.arrays[name].gather(rows)  # (N, ...) each
        np.testing.assert_allclose(ours, theirs, atol=2e-3, rtol=2e-3)


def test_nothing_is_said_of_labels_split_and_people(tiny_run: Path, people: Path, tmp_path: Path) -> None:
    keep(tiny_run, tmp_path / "kept.h5", people, one_person=True, hide=("gender",))
    features = open_features(tmp_path / "kept.h5")
    assert features.count_splits() == {"none": 18}
    assert not features.known.any()
    assert not features.people_known
    assert "gender" not in [group.name for group in features.schema.groups], "hidden groups are not written"
    assert describe_cache(tmp_path / "kept.h5")["people"] is None
    with pytest.raises(UserError, match="none"):
        features.split("none")


@pytest.mark.parametrize("cut", [1, 3000])
def test_shards_are_written_as_they_fill(
    tiny_run: Path, people: Path, tmp_path: Path, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tiny_run, tmp_path / "whole.h5", people, one_person=True)
    monkeypatch.setattr(fmt, "SHARD_BYTES", cut)
    keep(tiny_run, tmp_path / "cut.h5", people, one_person=True)
    whole, parts = open_features(tmp_path / "whole.h5"), open_features(tmp_path / "cut.h5")
    assert len(whole.shards) == 1
    assert len(parts.shards) > 1
    assert list(parts.tracklet_ids) == list(whole.tracklet_ids)
    rows = list(range(18))
    np.testing.assert_array_equal(parts.visual.gather(rows), whole.visual.gather(rows))


def test_tracks_of_a_video_are_kept_under_their_ids(tiny_run: Path, tmp_path: Path) -> None:
    drawn = [Person(1, 1, 40, 20), Person(2, 5, 30, 120)]
    video = write_video(tmp_path / "street.mp4", drawn, frames=40)
    boxes = write_boxes(tmp_path / "boxes.txt", drawn)
    keep(tiny_run, tmp_path / "kept.h5", video, boxes=(boxes,), out=tmp_path / "p.parquet")
    features = open_features(tmp_path / "kept.h5")
    table = pq.read_table(tmp_path / "p.parquet")
    assert list(features.tracklet_ids) == table["tracklet_id"].to_pylist()
    assert features.visual_config["sampling"] == "best"
    again = Predictor(load_run(tiny_run)).predict(features)
    np.testing.assert_allclose(again["probabilities"].to_pylist(), table["probabilities"].to_pylist(), atol=1e-6)


def test_zero_shot_features_are_kept_too(tiny_backbone: str, people: Path, tmp_path: Path) -> None:
    options = EncoderOptions("cpu", "random:0", "fp32")
    predictor = zero_shot(load_schema("mars"), options, backbone=tiny_backbone)
    config = PredictConfig(inputs=(people,), one_person=True, keep_features=tmp_path / "kept.h5", device="cpu")
    predict(predictor, config, say=lambda line: None)
    verify_cache(tmp_path / "kept.h5")
    assert open_features(tmp_path / "kept.h5").random_weights


def test_a_stopped_call_leaves_the_cache_that_was_there(
    tiny_run: Path, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "kept.h5"
    folders = sorted(people.iterdir())
    keep(tiny_run, out, *folders[:3], one_person=True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.h5")}
    monkeypatch.setattr(fmt, "SHARD_BYTES", 1)
    config = PredictConfig(inputs=tuple(folders), one_person=True, keep_features=out, device="cpu", overwrite=True)
    asked = iter(range(1000))
    predictor = Predictor(load_run(tiny_run), EncoderOptions("cpu", batch_size=1), lambda line: None)
    with pytest.raises(Stopped):
        predict(predictor, config, say=lambda line: None, stop=lambda: next(asked) > 9)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.h5")} == before
    keep(tiny_run, out, *folders, one_person=True, overwrite=True)
    assert len(open_features(out)) == 18
    assert len(list((tmp_path / "kept").glob("*.h5"))) == 18, "the shards of the older index are gone"


def test_an_extracted_cache_is_never_replaced(tiny_run: Path, extracted: Path, people: Path) -> None:
    before = extracted.read_bytes()
    with pytest.raises(UserError, match=r"--keep-features: got .*mars"):
        keep(tiny_run, extracted, people, overwrite=True)
    assert extracted.read_bytes() == before


def test_training_asks_for_labels(tiny_run: Path, people: Path, tmp_path: Path) -> None:
    keep(tiny_run, tmp_path / "kept.h5", people, one_person=True)
    with pytest.raises(DataError, match=r"kept\.h5.*no train tracklet.*--labels"):
        train(TrainConfig(features=tmp_path / "kept.h5", runs=tmp_path, model="linear", device="cpu"))
