"""A sheet of rows in which every part has its place in inches, so that rows start alike and no text is cut."""

from __future__ import annotations

import textwrap
import warnings
from pathlib import Path
from typing import Any

from vpar_cache.base.files import atomic_path
from vpar_cache.base.quiet_matplotlib import import_matplotlib

FORMATS = (".png", ".pdf", ".svg")
MARGIN = 0.15
"""Inches around the sheet."""
_CHARACTER = 0.0097
"""Width of a character of DejaVu Sans, in inches for each point of its size: a wide one, bold."""
_LINE = 1.35 / 72
"""Height of a line in inches for each point."""


def wrap(text: str, width: float, size: float) -> list[str]:
    """Return the lines of a text that fit into `width` inches at `size` points. A long word is broken."""
    characters = max(8, int(width / (_CHARACTER * size)))
    lines = []
    for part in text.split("\n"):
        lines += textwrap.wrap(part, characters, subsequent_indent="  ") or [""]
    return lines


def text_height(lines: list[str], size: float) -> float:
    """Return how high lines are, in inches."""
    return len(lines) * _LINE * size


class Sheet:
    """An empty figure of `width` x `height` inches; places are inches from its left and top edge."""

    def __init__(self, width: float, height: float) -> None:
        import_matplotlib()
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self._figure: Any = Figure(figsize=(width, height), dpi=130)

    def axes(self, left: float, top: float, width: float, height: float) -> Any:
        """Return axes without lines at a place."""
        place = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes = self._figure.add_axes(place)
        axes.set_axis_off()
        return axes

    def text(self, left: float, top: float, lines: list[str], size: float, **style: Any) -> None:
        """Write lines below each other. A `$` is a `$`, no formula."""
        for number, line in enumerate(lines):
            y = 1 - (top + number * _LINE * size) / self.height
            self._figure.text(left / self.width, y, line, fontsize=size, va="top", parse_math=False, **style)

    def color_scale(self, left: float, top: float, width: float, ends: tuple[str, str], colors: str) -> None:
        """Draw a colour map from left to right, with a word at each end."""
        from matplotlib.cm import ScalarMappable

        axes = self.axes(left, top, width, 0.1)
        axes.set_axis_on()
        bar = self._figure.colorbar(ScalarMappable(cmap=colors), cax=axes, orientation="horizontal", ticks=[0, 1])
        bar.ax.set_xticklabels(ends, fontsize=6.5)
        first, last = bar.ax.get_xticklabels()
        first.set_horizontalalignment("left")
        last.set_horizontalalignment("right")

    def save(self, path: Path) -> Path:
        """Write the sheet in the format of the file's ending, without a date."""
        kind = path.suffix[1:].lower()
        metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
        with atomic_path(path) as partial, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of characters that the font lacks: they show as boxes
            self._figure.savefig(partial, format=kind, metadata=metadata)
        return path
