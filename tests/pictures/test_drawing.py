"""Pictures of predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vpar_cache.attributes.mars_table import MARS
from vpar_cache.pictures.drawing import Case, decide, draw_cases


def labels(**values: int) -> np.ndarray:
    return MARS.encode({group.name: values.get(group.name.replace(" ", "_"), 0) for group in MARS.groups})


def thresholds(**values: float) -> np.ndarray:
    """(43,): 0.45 but for the groups that are named."""
    names = MARS.output_groups()
    return np.array([values.get(name.replace(" ", "_"), 0.45) for name in names], np.float32)


def test_a_decision_is_the_value_that_the_label_means() -> None:
    decided = dict(decide(labels(hat=1, pose=4, top_color=8).astype(np.float32), MARS, thresholds()))
    assert decided["hat"] == "a hat"
    assert decided["backpack"] == "no backpack"
    assert decided["pose"] == "back"
    assert decided["top color"] == "complex"


def test_a_binary_decision_needs_more_than_its_own_threshold() -> None:
    probabilities = np.full(43, 0.45, np.float32)
    probabilities[4] = 0.46
    decided = dict(decide(probabilities, MARS, thresholds(backpack=0.2)))
    assert decided["hat"] == "a hat"
    assert decided["hair"] == "short hair"
    assert decided["backpack"] == "a backpack"


@pytest.mark.parametrize("count", [1, 3])
def test_a_picture_shows_wrong_predictions_in_another_colour(count: int, tmp_path: Path) -> None:
    frames = [np.full((64, 32, 3), 90, np.uint8), np.full((60, 30, 3), 90, np.uint8)]

    def red(truth: np.ndarray) -> int:
        case = Case("0001C1T0001", frames, labels(hat=1).astype(np.float32), truth)
        path = draw_cases([case] * count, MARS, thresholds(), "title", tmp_path / "p.png")
        pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
        return int(((pixels[..., 0] - pixels[..., 1]) > 60).sum())

    assert red(labels(hat=1)) == 0
    assert red(labels(hat=0)) > 20
