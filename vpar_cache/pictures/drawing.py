"""Pictures of predictions: frames, prediction against truth, errors marked (after the paper's Figure 2).

Errors carry a cross and bold type, so that the picture can be read without colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.schema import Schema
from vpar_cache.pictures.sheet import MARGIN, Sheet, text_height, wrap

_RIGHT, _WRONG = "#1a1a1a", "#b3261e"
_COLORS = "cividis"
_TITLE, _CAPTION, _WORDS = 9.0, 7.0, 6.5
"""Sizes of type in points."""
_FRAME_HEIGHT, _MAP_SIZE, _WORDS_WIDTH, _GAP = 2.0, 1.7, 3.6, 0.08
"""In inches."""
_MIN_ASPECT = 0.8
"""Height by width of the widest place for a frame: a wider one is drawn smaller."""


@dataclass(frozen=True)
class Case:
    """One tracklet to show."""

    title: str
    frames: Sequence[NDArray[np.uint8]]
    """Each (H, W, 3)."""
    probabilities: NDArray[np.float32]
    """(A,)"""
    labels: NDArray[np.uint8]
    """(A,)"""


@dataclass(frozen=True)
class Decision:
    """What is said of one group."""

    group: str
    value: str
    probability: float
    """Of that value."""


def decide(probabilities: NDArray[np.float32], schema: Schema, thresholds: NDArray[np.float32]) -> list[Decision]:
    """Return what is said of each group, for probabilities (A,) and thresholds (A,).

    Of a choice the most probable value; of a group with one output, whether it is above its threshold.
    """
    decided = []
    for group, columns in schema.slices():
        values = probabilities[columns]
        number = int(values.argmax()) if group.is_choice else int(values[0] > thresholds[columns.start])
        probability = float(values[number] if group.is_choice else values[0] if number else 1 - values[0])
        decided.append(Decision(group.name, group.value_names()[number], probability))
    return decided


def draw_cases(
    cases: Sequence[Case], schema: Schema, thresholds: NDArray[np.float32], title: str, path: Path
) -> Path:
    """Write a picture with a row for each case: its frames, then the prediction of each group at thresholds (A,).

    Behind a prediction stands its probability; a wrong one has the truth beside it. All frames have one height.
    """
    frames = [frame for case in cases for frame in case.frames]
    aspect = max(_MIN_ASPECT, min(frame.shape[0] / frame.shape[1] for frame in frames))  # height / width
    columns = max(len(case.frames) for case in cases)
    words_left = MARGIN + columns * (_FRAME_HEIGHT / aspect + _GAP) + _GAP
    width = words_left + _WORDS_WIDTH + MARGIN
    heading = wrap(title, width - 2 * MARGIN, _TITLE)
    rows = [_case_row(case, schema, thresholds, width) for case in cases]
    sheet = Sheet(width, sum(row.height for row in rows) + text_height(heading, _TITLE) + 3 * MARGIN)
    sheet.text(MARGIN, MARGIN, heading, _TITLE)
    top = 2 * MARGIN + text_height(heading, _TITLE)
    for case, row in zip(cases, rows, strict=True):
        sheet.text(MARGIN, top, row.caption, _CAPTION)
        below = top + text_height(row.caption, _CAPTION) + 0.05
        for place, frame in enumerate(case.frames):
            left = MARGIN + place * (_FRAME_HEIGHT / aspect + _GAP)
            axes = sheet.axes(left, below, _FRAME_HEIGHT / aspect, _FRAME_HEIGHT)
            axes.imshow(frame)
            axes.set_anchor("NW")
        for lines, is_right in row.words:
            style = {"color": _RIGHT} if is_right else {"color": _WRONG, "weight": "bold"}
            sheet.text(words_left, below, lines, _WORDS, **style)
            below += text_height(lines, _WORDS)
        top += row.height
    return sheet.save(path)


@dataclass(frozen=True)
class _Row:
    """The texts of a case, broken into lines, and the height of its row in inches."""

    caption: list[str]
    words: list[tuple[list[str], bool]]
    """For each group its lines, and whether the prediction is right."""
    height: float


def _case_row(case: Case, schema: Schema, thresholds: NDArray[np.float32], width: float) -> _Row:
    caption = wrap(case.title, width - 2 * MARGIN, _CAPTION)
    truth = decide(case.labels.astype(np.float32), schema, np.full_like(thresholds, 0.5))
    words = []
    for predicted, true in zip(decide(case.probabilities, schema, thresholds), truth, strict=True):
        is_right = predicted.value == true.value
        text = (
            f"{'✓' if is_right else '✗'} {predicted.group}: {predicted.value} {100 * predicted.probability:.0f} %"
        )
        text += "" if is_right else f" (truth: {true.value})"
        words.append((wrap(text, _WORDS_WIDTH, _WORDS), is_right))
    height = max(_FRAME_HEIGHT, sum(text_height(lines, _WORDS) for lines, _ in words))
    return _Row(caption, words, text_height(caption, _CAPTION) + 0.05 + height + _GAP * 2)


@dataclass(frozen=True)
class AttentionMap:
    """Where one output looked in one tracklet."""

    name: str
    """The output, with its probability and truth."""
    weights: NDArray[np.float32]
    """(rows, columns) of the patches."""


def draw_attention(
    rows: Sequence[tuple[str, NDArray[np.uint8], Sequence[AttentionMap]]], title: str, path: Path
) -> Path:
    """Write a picture with a row for each tracklet: its frame, then a map for each output, and the colour scale.

    The frame (S, S, 3) is as the encoder sees it.
    Each map goes from its own smallest to its own largest weight, dark to bright (cividis, which people who cannot
    tell red from green see alike). The frame lies under it in gray.
    """
    columns = 1 + max(len(maps) for _, _, maps in rows)
    width = 2 * MARGIN + columns * (_MAP_SIZE + _GAP)
    heading = wrap(title, width - 2 * MARGIN, _TITLE)
    captions = [
        [wrap(text, _MAP_SIZE, _WORDS) for text in (name, *(one.name for one in maps))] for name, _, maps in rows
    ]
    heights = [max(text_height(lines, _WORDS) for lines in row) + 0.05 for row in captions]
    sheet = Sheet(
        width, sum(heights) + len(rows) * (_MAP_SIZE + _GAP) + text_height(heading, _TITLE) + 0.35 + 3 * MARGIN
    )
    sheet.text(MARGIN, MARGIN, heading, _TITLE)
    top = 2 * MARGIN + text_height(heading, _TITLE)
    for (_, frame, maps), texts, height in zip(rows, captions, heights, strict=True):
        for place, lines in enumerate(texts):
            left = MARGIN + place * (_MAP_SIZE + _GAP)
            sheet.text(left, top, lines, _WORDS)
            axes = sheet.axes(left, top + height, _MAP_SIZE, _MAP_SIZE)
            extent = (0, frame.shape[1], frame.shape[0], 0)
            if place == 0:
                axes.imshow(frame)
                continue
            axes.imshow(frame.mean(axis=2), cmap="gray", extent=extent)
            axes.imshow(maps[place - 1].weights, cmap=_COLORS, alpha=0.65, extent=extent, interpolation="nearest")
        top += height + _MAP_SIZE + _GAP
    sheet.color_scale(MARGIN, top, min(2.6, width - 2 * MARGIN), ("least of a map", "most of a map"), _COLORS)
    return sheet.save(path)
