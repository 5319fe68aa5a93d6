"""The end of the demo: what is drawn, predicted and counted."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vpar_cache.attributes.mars_table import MARS
from vpar_cache.cache.features import open_features
from vpar_cache.datasets.demo.video import encode_video, write_video
from vpar_cache.workflows.demo_video import FRAMES, PEOPLE, DemoFiles, predict_drawn_video

av = pytest.importorskip("av")


def test_the_video_has_the_frames_that_were_drawn(tmp_path: Path) -> None:
    drawn = write_video(tmp_path / "drawn", people=4, frames=12)
    with av.open(str(encode_video(drawn, tmp_path / "v.mp4"))) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]  # each (H, W, 3)
        assert container.streams.video[0].average_rate == 10
    pictures = [np.asarray(Image.open(path)) for path in sorted((drawn / "img1").iterdir())]
    assert len(frames) == len(pictures) == 12
    for frame, picture in zip(frames, pictures, strict=True):
        assert np.abs(frame.astype(int) - picture).mean() < 6


@pytest.mark.parametrize("with_video", [True, False])
@pytest.mark.slow
def test_right_answers_are_those_that_the_drawing_shows(
    tiny_run: Path, tiny_cache: Path, tmp_path: Path, with_video: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not with_video:
        monkeypatch.setitem(sys.modules, "av", None)
    found = predict_drawn_video(tiny_run, tiny_cache, tmp_path, device="cpu", say=lambda line: None)
    files = DemoFiles.below(tmp_path)
    people = pq.read_table(files.table).to_pylist()
    assert len(people) == found.people == PEOPLE
    assert files.page.is_file()
    assert files.annotated.is_file() == with_video
    assert len(list((tmp_path / "video/img1").iterdir())) == FRAMES
    features = open_features(tiny_cache)
    train = features.labels[features.splits == "train"]  # (n_train, A)
    with (tmp_path / "video/truth.csv").open() as file:
        truth = {int(row["track_id"]): row for row in csv.DictReader(file)}
    right = constant = 0
    for group, columns in MARS.slices():
        drawn = [int(truth[person["track_id"]][group.name]) for person in people]
        names = group.value_names() if group.is_choice else ("no", "yes")
        said = [person[group.name.replace(" ", "_")] for person in people]
        right += sum(names[value] == word for value, word in zip(drawn, said, strict=True))
        seen = train[:, columns].argmax(axis=1) if group.is_choice else train[:, columns.start]  # (n_train,)
        most = min(Counter(seen.tolist()).items(), key=lambda item: (-item[1], item[0]))[0]
        constant += sum(value == most for value in drawn)
    assert (found.right, found.constant, found.groups) == (right, constant, len(MARS.groups))
    assert f"{right} of {PEOPLE * len(MARS.groups)} attributes" in str(found)
