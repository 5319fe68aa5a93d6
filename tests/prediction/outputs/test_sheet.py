"""The sheet of people."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.prediction.outputs.test_gallery import ANSWERING, PEOPLE, person
from vpar_cache.prediction.outputs.sheet import MOST_PEOPLE, draw_sheet
from vpar_cache.prediction.rows import Segment


@pytest.mark.slow
def test_it_grows_with_the_people_until_its_limit(tmp_path: Path) -> None:
    assert draw_sheet(PEOPLE, ANSWERING, "random weights", tmp_path / "a.png") == 4
    assert draw_sheet([person(n, {}) for n in range(60)], ANSWERING, "", tmp_path / "b.png") == MOST_PEOPLE
    sizes = []
    for name in ("a.png", "b.png"):
        with Image.open(tmp_path / name) as image:
            sizes.append(image.size)
    few, many = sizes
    assert few[0] == many[0]
    assert few[1] < many[1]


def test_a_track_of_many_segments_does_not_fill_the_sheet(tmp_path: Path) -> None:
    heights = []
    for number in (9, 300):
        segments = tuple(Segment("motion", "running", 0.7, n, n, float(n), float(n)) for n in range(number))
        draw_sheet([person(1, {}, segments=segments)], ANSWERING, "", tmp_path / "a.png")
        with Image.open(tmp_path / "a.png") as image:
            heights.append(image.height)
    assert heights[0] == heights[1]
