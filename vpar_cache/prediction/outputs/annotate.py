"""The video once more, with a box around each person and what was answered: one answer a track."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vpar_cache.attributes.schema import Group
from vpar_cache.base.callbacks import Stop, check_stop, never
from vpar_cache.base.files import atomic_path
from vpar_cache.base.progress import progress
from vpar_cache.errors import printable
from vpar_cache.prediction.answers import NO, Answering, meaning
from vpar_cache.prediction.rows import PersonRow, Segment
from vpar_cache.prediction.video.boxes import Boxes
from vpar_cache.prediction.video.frames import FrameSource

_TICKS = 90_000
"""Units of time in a second, as in MPEG."""
_COLORS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
"""Okabe and Ito's, which people without colour vision tell apart; a box also has its number."""
_LINES, _CHARACTERS = 4, 30
"""Of a label, at most."""


@dataclass(frozen=True)
class Label:
    """What stands at a person's box."""

    number: int
    words: tuple[str, ...]
    """What holds all the time."""
    segments: tuple[Segment, ...]
    """What holds for a time."""

    def lines(self, second: float) -> list[str]:
        """Return the lines at a time: the number, then as many words as fit, and how many do not."""
        now = [f"{s.group} {s.value}" for s in self.segments if s.first_second <= second <= s.last_second]
        words = [word[:_CHARACTERS] for word in (*now, *self.words)]
        for kept in range(len(words), -1, -1):
            left_out = [f"{len(words) - kept} more"] if kept < len(words) else []
            lines = _joined([*words[:kept], *left_out])
            if len(lines) < _LINES:
                return [f"{self.number}", *lines]
        return [f"{self.number}"]


def _joined(words: list[str]) -> list[str]:
    """Return lines of words, no word broken."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 2 + len(word) <= _CHARACTERS:
            lines[-1] += f", {word}"
        else:
            lines.append(word)
    return lines


def label_of(row: PersonRow, answering: Answering) -> Label:
    """Return the label of a row; groups with segments are told by these."""
    changing = {segment.group for segment in row.segments}
    described = zip(answering.schema.groups, answering.describe_each(row.answers), strict=True)
    told = [(_rank(group), word) for group, word in described if word and group.name not in changing]
    words = tuple(printable(word) for _, word in sorted(told, key=lambda item: item[0]))
    return Label(row.track_id or 0, words, row.segments)


def _rank(group: Group) -> int:
    """Return the place of a group in a label: what a person carries or wears, then choices, then one of two."""
    if group.is_choice:
        return 1
    return 0 if meaning(group, NO) == NO else 2


def annotate(
    video: FrameSource, boxes: Boxes, labels: Mapping[int, Label], mark: str, out: Path, stop: Stop = never
) -> int:
    """Write an H.264 video with the frames and times of `video`; return the number of its frames.

    `labels`: by track; a track without one was dropped, and gets no box. `mark`: what stands in each picture.
    Raises Stopped.
    """
    import av

    places = dict(boxes.by_frame())
    count, last = 0, -1
    with (
        atomic_path(out) as partial,
        av.open(str(partial.absolute()), "w", format="mp4", options={"movflags": "faststart"}) as container,
        progress(total=video.length, unit="frame", desc="annotate") as bar,
    ):
        stream: Any = None
        font: Any = None
        for frame in video.frames():
            check_stop(stop)
            height, width = (side // 2 * 2 for side in frame.picture.shape[:2])  # H.264 with halved colours
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(video.rate).limit_denominator(1001))
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.codec_context.time_base = Fraction(1, _TICKS)
                stream.options = {"crf": "20", "preset": "veryfast"}
                font = ImageFont.load_default(size=max(11, height // 50))
            image = Image.fromarray(np.ascontiguousarray(frame.picture[:height, :width]))
            place = places.get(frame.number, slice(0, 0))
            people = [
                (box, labels[track])
                for box, track in zip(boxes.ltwh[place], boxes.track_id[place].tolist(), strict=True)
                if track in labels
            ]
            draw_people(image, people, frame.second, font, mark)
            drawn = av.VideoFrame.from_ndarray(np.asarray(image), format="rgb24")
            last = max(last + 1, round(frame.second * _TICKS))  # two frames never have one time in an MP4
            drawn.pts, drawn.time_base = last, Fraction(1, _TICKS)
            for packet in stream.encode(drawn):
                container.mux(packet)
            count += 1
            bar.update()
        for packet in stream.encode() if stream is not None else ():
            container.mux(packet)
    return count


def draw_people(
    image: Image.Image, people: Iterable[tuple[NDArray[np.float64], Label]], second: float, font: Any, mark: str
) -> None:
    """Draw boxes (4,) and labels into a picture.

    A label stands above its box; where there is no room, it covers the top of the box. It moves with the box and
    never jumps.
    """
    draw = ImageDraw.Draw(image)
    listed = list(people)
    for box, label in listed:
        corners = [box[0], box[1], box[0] + box[2], box[1] + box[3]]
        draw.rectangle(corners, outline="black", width=4)
        draw.rectangle(
            [corners[0] + 1, corners[1] + 1, corners[2] - 1, corners[3] - 1], outline=_color(label), width=2
        )
    for box, label in listed:
        text = "\n".join(label.lines(second))
        left, top, right, bottom = draw.multiline_textbbox((0, 0), text, font=font, spacing=1)
        wide, high = right - left + 6, bottom - top + 6
        x = max(0, min(box[0], image.width - wide - 1))
        y = max(0, min(box[1] - high, image.height - high - 1))
        draw.rectangle([x, y, x + wide, y + high], fill=(0, 0, 0), outline=_color(label))
        draw.multiline_text((x + 3 - left, y + 3 - top), text, fill="white", font=font, spacing=1)
    if mark:
        left, top, right, bottom = draw.textbbox((0, 0), mark, font=font)
        draw.rectangle([0, 0, right - left + 8, bottom - top + 8], fill=(0, 0, 0))
        draw.text((4 - left, 4 - top), mark, fill="white", font=font)


def _color(label: Label) -> str:
    return _COLORS[label.number % len(_COLORS)]
