"""Pictures of predictions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageFont

from vpar_cache.attributes.mars_table import MARS
from vpar_cache.attributes.schema import Group, Output, Schema
from vpar_cache.pictures.drawing import AttentionMap, Case, Decision, decide, draw_attention, draw_cases


def labels(**values: int) -> np.ndarray:
    return MARS.encode({group.name: values.get(group.name.replace(" ", "_"), 0) for group in MARS.groups})


def thresholds(**values: float) -> np.ndarray:
    """(43,): 0.45 but for the groups that are named."""
    names = MARS.output_groups()
    return np.array([values.get(name.replace(" ", "_"), 0.45) for name in names], np.float32)


def values_of(decisions: list[Decision]) -> dict[str, str]:
    return {decision.group: decision.value for decision in decisions}


def test_a_decision_is_the_value_that_the_label_means() -> None:
    decided = values_of(decide(labels(hat=1, pose=4, top_color=8).astype(np.float32), MARS, thresholds()))
    assert decided["hat"] == "a hat"
    assert decided["backpack"] == "no backpack"
    assert decided["pose"] == "back"
    assert decided["top color"] == "complex"


def test_a_binary_decision_needs_more_than_its_own_threshold() -> None:
    probabilities = np.full(43, 0.45, np.float32)
    probabilities[4] = 0.46
    decided = values_of(decide(probabilities, MARS, thresholds(backpack=0.2)))
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


def test_the_probability_is_of_the_value_that_is_said() -> None:
    probabilities = np.full(43, 0.3, np.float32)
    probabilities[4] = 0.8  # hat
    said = {decision.group: decision.probability for decision in decide(probabilities, MARS, thresholds())}
    assert (round(said["hat"], 3), round(said["backpack"], 3), round(said["pose"], 3)) == (0.8, 0.7, 0.3)


LONG = " ".join(["$\\frac$ a very long value of an attribute that goes on"] * 4)
LONG_NAMES = Schema("long", (Group("$x_1$ name", (Output("o", LONG),), ("a",), f"no {LONG}"),))


def svg_texts(path: Path) -> list[tuple[float, float, str]]:
    """Left edge and baseline of each text, and the text: matplotlib writes them as comments and elements."""
    root = ElementTree.parse(path).getroot()
    texts = [e for e in root.iter() if e.tag.endswith("}text")]
    places = [re.findall(r"translate\(([\d.-]+) ([\d.-]+)\)", e.get("transform", "")) for e in texts]
    at = [place[0] if place else (e.get("x"), e.get("y")) for e, place in zip(texts, places, strict=True)]
    return [(float(x), float(y), e.text or "") for (x, y), e in zip(at, texts, strict=True)]


@pytest.fixture
def svg_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(matplotlib.rcParams, "svg.fonttype", "none")


@pytest.mark.usefixtures("svg_text")
def test_long_names_and_dollars_stay_whole_and_on_the_sheet(tmp_path: Path) -> None:
    frames = [np.full((64, 32, 3), 90, np.uint8)]
    case = Case("id " * 60 + "$end$", frames, np.array([0.9], np.float32), np.array([0], np.uint8))
    path = draw_cases([case], LONG_NAMES, np.array([0.45], np.float32), "title " * 60 + "$x$", tmp_path / "p.svg")
    shown = svg_texts(path)
    words = " ".join(" ".join(text.split()) for _, _, text in shown)
    for part in (f"✗ $x_1$ name: {LONG} 90 %", f"(truth: no {LONG})", "$x$", "$end$"):
        assert part in words
    box = ElementTree.parse(path).getroot().get("viewBox", "").split()
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans-Bold.ttf"), 100)
    sizes = {True: 9.0}
    for x, y, text in shown:
        assert x >= 0
        assert 0 <= y <= float(box[3])
        assert x + font.getlength(text) * sizes.get("title" in text, 7.0) / 100 <= float(box[2])


@pytest.mark.usefixtures("svg_text")
def test_all_rows_of_a_sheet_have_their_parts_at_the_same_places(tmp_path: Path) -> None:
    def case(count: int, height: int, width: int) -> Case:
        frames = [np.full((height, width, 3), 90, np.uint8)] * count
        return Case("id", frames, labels(hat=1).astype(np.float32), labels(hat=1))

    path = draw_cases(
        [case(3, 64, 32), case(1, 128, 32), case(2, 60, 60)], MARS, thresholds(), "t", tmp_path / "p.svg"
    )
    assert len({x for x, _, text in svg_texts(path) if text.startswith("✓")}) == 1
    images = [e for e in ElementTree.parse(path).getroot().iter() if e.tag.endswith("}image")]
    lefts = [
        round(
            float(e.get("x", 0)) or float(re.findall(r"translate\(([\d.]+)", e.get("transform", "translate(0"))[0])
        )
        for e in images
    ]
    assert len(images) == 6
    assert lefts[0] == lefts[3] == lefts[4]
    assert lefts[1] == lefts[5]


@pytest.mark.usefixtures("svg_text")
def test_attention_has_a_colour_scale_and_whole_names(tmp_path: Path) -> None:
    name = "$\\frac$ top color of a kind with a very long name"
    rows = [("0001C1T0001", np.zeros((32, 32, 3), np.uint8), [AttentionMap(name, np.eye(2, dtype=np.float32))])]
    texts = [text for _, _, text in svg_texts(draw_attention(rows, "title", tmp_path / "p.svg"))]
    assert name in " ".join(" ".join(texts).split())
    assert {"least of a map", "most of a map"} <= set(texts)


def test_matplotlib_says_nothing_where_home_cannot_be_written(tmp_path: Path) -> None:
    code = (
        "import numpy as np\nfrom pathlib import Path\nfrom vpar_cache.attributes.mars_table import MARS\n"
        "from vpar_cache.pictures.drawing import Case, draw_cases\n"
        "from vpar_cache.rendering.chart import Chart, chart_svg\n"
        "case = Case('实验', [np.zeros((8, 8, 3), np.uint8)], np.zeros(43, np.float32), np.zeros(43, np.uint8))\n"
        f"draw_cases([case], MARS, np.full(43, 0.5, np.float32), '实验', Path({str(tmp_path / 'p.png')!r}))\n"
        "chart_svg(Chart('实验', 'x', 'y', (('$a$', ((1, 2), (2, 3))),)), 'n')"
    )
    environment = {**os.environ, "HOME": "/dev/null", "MPLCONFIGDIR": "/dev/null/none"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
