"""Pictures of predictions: frames, prediction against truth, errors marked (after the paper's Figure 2).

Needs the extra `figures` (matplotlib). Errors carry a cross and bold type, so that no colour has to be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpar_cache.errors import UserError
from vpar_cache.files import atomic_path
from vpar_cache.schema import Schema

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


def decide(probabilities: NDArray[np.float32], schema: Schema, threshold: float) -> list[tuple[str, str]]:
    """(group, value) a group: the most probable value of a choice, the side of the threshold of a binary."""
    decided = []
    for group, columns in schema.slices():
        values = probabilities[columns]
        number = int(values.argmax()) if group.is_choice else int(values[0] > threshold)
        decided.append((group.name, group.value_names()[number]))
    return decided


def draw_cases(cases: Sequence[Case], schema: Schema, threshold: float, title: str, path: Path) -> Path:
    """Write a PNG with a row a case: its frames, then every group's prediction; wrong ones show the truth."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("pictures need matplotlib; install vpar-cache[figures]") from error
    num_frames = max(len(case.frames) for case in cases)
    height = 0.165 * len(schema.groups) + 0.55
    figure = Figure(figsize=(1.05 * num_frames + 4.6, height * len(cases) + 0.5), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=10)
    grid = figure.subplots(
        len(cases), num_frames + 1, squeeze=False, width_ratios=[*[1.0] * num_frames, 4.4]
    )  # one row a case
    for row, case in zip(grid, cases, strict=True):
        for axis in row:
            axis.set_axis_off()
        for axis, frame in zip(row, case.frames, strict=False):
            axis.imshow(frame)
        row[0].set_title(case.title, fontsize=8, loc="left")
        truth = decide(case.labels.astype(np.float32), schema, 0.5)
        lines = zip(decide(case.probabilities, schema, threshold), truth, strict=True)
        for number, ((group, predicted), (_, true)) in enumerate(lines):
            right = predicted == true
            text = f"✓ {group}: {predicted}" if right else f"✗ {group}: {predicted}  (truth: {true})"
            row[-1].text(
                0,
                1 - (number + 0.5) / len(schema.groups),
                text,
                transform=row[-1].transAxes,
                fontsize=7,
                va="center",
                color=_RIGHT if right else _WRONG,
                weight="normal" if right else "bold",
            )
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png")
    return path
