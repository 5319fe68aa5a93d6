"""Boxes of people in the frames of a video: read from the file of any tracker, and written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vpar_cache.base.files import read_plain
from vpar_cache.errors import DataError, counted

_MAX_BYTES = 1 << 30
_NAMES: dict[str, tuple[str, ...]] = {
    "frame": ("frame", "frame_id", "frame_number", "frame_idx", "frame_index", "frameid"),
    "track_id": ("id", "track_id", "trackid", "track", "tracker_id", "person_id", "object_id", "identity"),
    "left": ("left", "x", "bb_left", "x1", "xmin", "x_min", "bbox_left"),
    "top": ("top", "y", "bb_top", "y1", "ymin", "y_min", "bbox_top"),
    "width": ("width", "w", "bb_width", "bbox_width"),
    "height": ("height", "h", "bb_height", "bbox_height"),
    "right": ("right", "x2", "xmax", "x_max"),
    "bottom": ("bottom", "y2", "ymax", "y_max"),
    "confidence": ("confidence", "conf", "score"),
}
"""What a header may call each column, in any case."""
_MOT = ("frame", "track_id", "left", "top", "width", "height", "confidence", "class")
"""Columns of a file without a header. Those of ground truth say in `confidence` whether a row counts."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """n boxes in the order of their frames."""

    path: Path
    """The file that holds them."""
    frame: NDArray[np.int64]
    """(n,) from 1"""
    track_id: NDArray[np.int64]
    """(n,); -1 where a box belongs to no track."""
    ltwh: NDArray[np.float64]
    """(n, 4) left, top, width, height in pixels."""
    confidence: NDArray[np.float64]
    """(n,)"""
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def are_tracked(self) -> bool:
        """Whether boxes have the number of a track."""
        return bool((self.track_id >= 0).any())

    def by_frame(self) -> Iterator[tuple[int, slice]]:
        """Yield each frame that has boxes with their places."""
        if not len(self):
            return
        frames, starts = np.unique(self.frame, return_index=True)  # (f,), (f,)
        stops = [*starts[1:].tolist(), len(self)]
        for frame, start, stop in zip(frames.tolist(), starts.tolist(), stops, strict=True):
            yield frame, slice(start, stop)

    def last_frames(self) -> dict[int, int]:
        """Return the last frame of each track."""
        return dict(zip(self.track_id.tolist(), self.frame.tolist(), strict=True))


def read_boxes(path: Path) -> Boxes:
    """Read the text of MOTChallenge, or CSV or Parquet with a header; columns are found by their names.

    A header may give left, top, width and height or left, top, right and bottom, under common names. Frames that
    are counted from 0 are counted from 1 afterwards, and a note says so. Raises DataError.
    """
    rows = _parquet(path) if path.suffix.lower() == ".parquet" else _text(path)
    if not len(rows["frame"]):
        raise DataError(f"{path}: has no box")
    if "width" not in rows:
        rows["width"], rows["height"] = rows["right"] - rows["left"], rows["bottom"] - rows["top"]
    notes, count = [], len(rows["frame"])
    ltwh = np.stack([rows[name] for name in ("left", "top", "width", "height")], axis=1)  # (n, 4)
    for name in ("frame", "left", "top", "width", "height"):
        if not np.isfinite(rows[name]).all():
            row = int(np.flatnonzero(~np.isfinite(rows[name]))[0])
            raise DataError(f"{path}: box {row + 1} has no number for {name}")
    if (uneven := rows["frame"] % 1 != 0).any():
        raise DataError(f"{path}: got frame {rows['frame'][uneven][0]:g}; expected whole numbers, from 1")
    kept = (ltwh[:, 2] > 0) & (ltwh[:, 3] > 0)  # (n,)
    if dropped := int((~kept).sum()):
        notes.append(f"{counted(dropped, 'box', 'boxes')} without width or height")
    if (
        "class" in rows
        and (other := (rows["class"] > 1) | ((rows["class"] == 1) & (rows["confidence"] == 0))).any()
    ):
        notes.append(f"{int(other.sum())} of {count} boxes are marked as no person or not to count")
        kept &= ~other
    frame = rows["frame"].astype(np.int64)  # (n,)
    if frame.min() == 0:
        frame += 1
        notes.append("its frames are counted from 0; here they are counted from 1")
    if frame.min() < 1:
        raise DataError(f"{path}: got frame {frame.min()}; expected numbers from 1 (or from 0)")
    ids = rows.get("track_id", np.full(count, -1.0))  # (n,)
    ids = np.where(np.isfinite(ids), ids, -1).astype(np.int64)  # (n,)
    confidence = rows.get("confidence", np.ones(count))  # (n,)
    order = np.flatnonzero(kept)[np.argsort(frame[kept], kind="stable")]  # (n kept,)
    found = Boxes(path, frame[order], ids[order], ltwh[order], np.nan_to_num(confidence[order], nan=1.0), notes)
    if not len(found):
        raise DataError(f"{path}: has no box of a person ({'; '.join(notes)})")
    twice = np.stack([found.frame, found.track_id], axis=1)[found.track_id >= 0]  # (n tracked, 2)
    unique, times = np.unique(twice, axis=0, return_counts=True)
    if len(unique) < len(twice):
        bad = unique[times > 1][0]
        raise DataError(f"{path}: track {bad[1]} has two boxes in frame {bad[0]}; expected one")
    return found


def read_followed(path: Path) -> Boxes:
    """Read the boxes that a tracker wrote: none where it found nobody."""
    if path.stat().st_size:
        return read_boxes(path)
    nobody = np.empty(0, np.int64)  # (0,)
    return Boxes(path, nobody, nobody, np.empty((0, 4)), np.empty(0))


def box_line(frame: int, track_id: int, ltwh: NDArray[np.float64]) -> str:
    """Return a line of MOTChallenge text for a box (4,)."""
    left, top, width, height = ltwh.tolist()
    return f"{frame},{track_id},{left:.2f},{top:.2f},{width:.2f},{height:.2f},1,-1,-1,-1\n"


def _parquet(path: Path) -> dict[str, NDArray[np.float64]]:
    try:
        table = pq.read_table(pa.BufferReader(read_plain(path, _MAX_BYTES)))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a Parquet file that can be read ({str(error)[:100]})") from error
    places = _places(path, table.column_names)
    found = {}
    for name, place in places.items():
        try:
            column = table.column(place).cast(pa.float64())
        except pa.ArrowException as error:
            raise DataError(f"{path}: column {table.column_names[place]!r} holds no numbers") from error
        found[name] = column.to_numpy(zero_copy_only=False).astype(np.float64)  # (n,)
    return found


def _text(path: Path) -> dict[str, NDArray[np.float64]]:
    try:
        text = read_plain(path, _MAX_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text ({str(error)[:100]})") from error
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = next((mark for mark in (",", ";", "\t") if mark in first), " ")
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(map(str.strip, cells))]
    if not lines:
        raise DataError(f"{path}: the file is empty")
    if not _is_number(lines[0][1][0]):
        places = _places(path, lines[0][1])
        lines = lines[1:]
    else:
        places = {name: place for place, name in enumerate(_MOT) if place < min(len(cells) for _, cells in lines)}
        if len(places) < 6:
            raise DataError(f"{path}: a row has {len(places)} values; expected frame,id,left,top,width,height")
    columns: dict[str, list[float]] = {name: [] for name in places}
    for number, cells in lines:
        for name, place in places.items():
            cell = cells[place] if place < len(cells) else ""
            if not _is_number(cell) and not (cell == "" and name in ("track_id", "confidence")):
                raise DataError(f"{path}, line {number}: {name} is {cell[:40]!r}; expected a number")
            columns[name].append(float(cell) if cell else float("nan"))
    return {name: np.array(values) for name, values in columns.items()}  # (n,) each


def _places(path: Path, header: Sequence[str]) -> dict[str, int]:
    """Return the place of each known column of a header."""
    lower = [name.strip().lower().replace(" ", "_") for name in header]
    found = {}
    for name, spellings in _NAMES.items():
        places = [lower.index(spelling) for spelling in spellings if spelling in lower]
        if places:
            found[name] = places[0]
    corners = "right" in found and "bottom" in found
    needed = ("frame", "left", "top") if corners else ("frame", "left", "top", "width", "height")
    if missing := [name for name in needed if name not in found]:
        raise DataError(
            f"{path}: its header has no column {missing[0]} ({', '.join(header)[:200]}); expected frame, id, "
            "left, top, width and height, or right and bottom"
        )
    if corners and "width" in found and "height" in found:
        del found["right"], found["bottom"]
    elif corners:
        found.pop("width", None)
        found.pop("height", None)
    return found


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def overlaps(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """Return intersection over union (n, m) of boxes (n, 4) and (m, 4), each left, top, width, height."""
    left_top = np.maximum(one[:, None, :2], other[None, :, :2])  # (n, m, 2)
    ends = np.minimum(one[:, None, :2] + one[:, None, 2:], other[None, :, :2] + other[None, :, 2:])  # (n, m, 2)
    common = np.clip(ends - left_top, 0, None).prod(axis=2)  # (n, m)
    areas = one[:, None, 2:].prod(axis=2) + other[None, :, 2:].prod(axis=2)  # (n, m)
    shares: NDArray[np.float64] = common / np.maximum(areas - common, 1e-12)  # (n, m)
    return shares
