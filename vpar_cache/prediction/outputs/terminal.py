"""What the terminal shows of a prediction: the first people, what was left out, how long it took."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from pathlib import Path

from rich.cells import cell_len

from vpar_cache.errors import counted, printable
from vpar_cache.prediction.answers import Answering
from vpar_cache.prediction.describing import Describer
from vpar_cache.prediction.inputs import InputReader
from vpar_cache.prediction.outputs.clock import time_span
from vpar_cache.prediction.rows import PersonRow
from vpar_cache.rendering.tables import Notes, Part, Table

SHOWN = 50
"""People in the terminal."""
_NARROWEST, _GAP = 24, 2
"""Columns that attributes get at least, and between two columns of the table."""


@dataclass(frozen=True, eq=False)
class PredictResult:
    """What was predicted, as far as a terminal shows it."""

    rows: tuple[tuple[str, ...], ...]
    """Person, time, attributes and frames of the first SHOWN."""
    count: int
    failures: tuple[str, ...]
    """Inputs and files that could not be used, with the reason."""
    dropped: dict[str, int]
    """Boxes, tracks and files that were left out, by reason."""
    files: dict[str, Path]
    """What was written, by option."""
    summary: str
    mark: str

    @property
    def parts(self) -> tuple[Part, ...]:
        """The table for the terminal, and notes."""
        title = counted(self.count, "person", "people") + (f" ({self.mark})" if self.mark else "")
        notes = [f"dropped: {count} x {reason}" for reason, count in sorted(self.dropped.items())]
        if self.count > SHOWN:
            out = self.files.get("--out")
            where = "the file of --out, if you give one" if out is None else printable(str(out))
            notes.insert(0, f"{self.count - SHOWN} more are in {where}.")
        table = Table(title, ("Person", "Time", "Attributes", "Frames"), self.rows, num_labels=3)
        return (Part("prediction", (), (table, Notes(tuple(notes)))),)

    def fitted(self, width: int | None) -> PredictResult:
        """Return it with attributes on as many lines as a terminal of this width needs; None: on one."""
        if width is None:
            return self
        others = [cell_len(row[0]) + cell_len(row[1]) for row in self.rows]
        room = max(_NARROWEST, width - max(others, default=0) - len("Frames") - 3 * _GAP)
        lines: list[tuple[str, ...]] = []
        for person, time, attributes, frames in self.rows:
            first, *more = textwrap.wrap(attributes, room, break_on_hyphens=False) or [""]
            lines.append((person, time, first, frames))
            lines += [("", "", line, "") for line in more]
        return replace(self, rows=tuple(lines))


def shown(row: PersonRow, answering: Answering) -> tuple[str, ...]:
    """Return the cells of the terminal's table."""
    time = time_span(row.first_second, row.last_second)
    attributes = ", ".join(answering.describe(row.answers)) or "none"
    return printable(row.tracklet_id), time, attributes, str(row.frames_used)


def nobody(reader: InputReader) -> str:
    """Return why the table is empty, and what to change."""
    dropped = "; ".join(f"{count} x {reason}" for reason, count in sorted(reader.counts.dropped.items()))
    if dropped:
        return f"nobody to predict: {dropped}; lower --min-frames, --min-height or --min-score"
    return "nobody to predict: no person was found; lower --min-score, or use another --detector or --boxes"


def summary(describer: Describer, reader: InputReader, seconds: float) -> str:
    """Return how long what took."""
    parts = [f"{describer.num_frames} frames encoded in {describer.seconds:.1f} s"]
    if describer.seconds > 0:
        parts[0] += f" ({describer.num_frames / describer.seconds:.1f} a second)"
    counts = reader.counts
    if counts.frames:
        parts.append(f"{counts.frames} decoded in {counts.decode_seconds:.1f} s")
        parts.append(f"people found in {counts.track_seconds:.1f} s")
    return f"{'; '.join(parts)}; {seconds:.1f} s in all"
