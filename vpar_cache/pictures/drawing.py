"""Pictures of predictions: frames, prediction against truth, errors marked (after the paper's Figure 2).

Errors carry a cross and bold type, so that the picture can be read without colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.schema import Schema
from vpar_cache.base.files import atomic_path

_RIGHT, _WRONG = "#1a1a1a", "#b3261e"


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


def decide(
    probabilities: NDArray[np.float32], schema: Schema, thresholds: NDArray[np.float32]
) -> list[tuple[str, str]]:
    """Return (group, value) of each group, for probabilities (A,) and thresholds (A,).

    Of a choice the most probable value; of a group with one output, whether it is above its threshold.
    """
    decided = []
    for group, columns in schema.slices():
        values = probabilities[columns]
        number = int(values.argmax()) if group.is_choice else int(values[0] > thresholds[columns.start])
        decided.append((group.name, group.value_names()[number]))
    return decided


def draw_cases(
    cases: Sequence[Case], schema: Schema, thresholds: NDArray[np.float32], title: str, path: Path
) -> Path:
    """Write a PNG with a row for each case: its frames, then the prediction of each group at thresholds (A,).

    A wrong prediction has the truth beside it.
    """
    figure = _figure(7.2, 2.35 * len(cases) + 0.4, title)
    parts = figure.subfigures(len(cases), 1, squeeze=False)[:, 0]
    for part, case in zip(parts, cases, strict=True):
        pictures, words = part.subplots(1, 2)
        strip = np.concatenate(_same_height(case.frames), axis=1)  # (H, sum of widths, 3)
        pictures.imshow(strip)
        pictures.set_title(case.title, fontsize=7, loc="left")
        pictures.set_axis_off()
        words.set_axis_off()
        truth = decide(case.labels.astype(np.float32), schema, np.full_like(thresholds, 0.5))
        lines = zip(decide(case.probabilities, schema, thresholds), truth, strict=True)
        for number, ((group, predicted), (_, true)) in enumerate(lines):
            right = predicted == true
            words.text(
                0,
                1 - (number + 0.5) / len(schema.groups),
                f"✓ {group}: {predicted}" if right else f"✗ {group}: {predicted} (truth: {true})",
                transform=words.transAxes,
                fontsize=6.5,
                va="center",
                color=_RIGHT if right else _WRONG,
                weight="normal" if right else "bold",
            )
    return _save(figure, path)


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
    """Write a PNG with a row for each tracklet: its frame, then a map for each output.

    The frame (S, S, 3) is as the encoder sees it.
    Each map goes from its own smallest to its own largest weight, dark to bright (cividis, which people who cannot
    tell red from green see alike). The frame lies under it in gray.
    """
    columns = 1 + max(len(maps) for _, _, maps in rows)
    figure = _figure(1.9 * columns, 2.15 * len(rows) + 0.4, title)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, frame, maps) in zip(axes, rows, strict=True):
        for axis in line:
            axis.set_axis_off()
        line[0].imshow(frame)
        line[0].set_title(name, fontsize=7)
        for axis, one in zip(line[1:], maps, strict=False):
            extent = (0, frame.shape[1], frame.shape[0], 0)
            axis.imshow(frame.mean(axis=2), cmap="gray", extent=extent)
            axis.imshow(one.weights, cmap="cividis", alpha=0.65, extent=extent, interpolation="nearest")
            axis.set_title(one.name, fontsize=6.5)
    return _save(figure, path)


def _figure(width: float, height: float, title: str) -> Any:
    """Return an empty matplotlib figure; sizes in inches."""
    from matplotlib.figure import Figure  # takes half a second, and only pictures need it

    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    figure.suptitle(title, fontsize=9)
    return figure


def _save(figure: Any, path: Path) -> Path:
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png")
    return path


def _same_height(frames: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Return the frames (H, W + 2, 3), filled with white at the bottom to the height of the tallest."""
    height = max(frame.shape[0] for frame in frames)
    return [np.pad(frame, ((0, height - frame.shape[0]), (0, 2), (0, 0)), constant_values=255) for frame in frames]
