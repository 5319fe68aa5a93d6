"""A picture of people: some frames of each, and what was answered."""

from __future__ import annotations

import io
from itertools import islice
from pathlib import Path

from PIL import Image

from vpar_cache.errors import count_of, printable
from vpar_cache.pictures.sheet import MARGIN, Sheet, text_height, wrap
from vpar_cache.prediction.answers import Answering, meaning, share_of
from vpar_cache.prediction.outputs.clock import time_span
from vpar_cache.prediction.rows import People, PersonRow

MOST_PEOPLE = 40
"""On a sheet: more cannot be read."""
NOTE = (
    "What a model predicts from pictures: impressions as annotators had them, not facts about a person. Not for "
    "identifying or judging people."
)
_PICTURE, _FRAMES = 0.62, 6
"""Width of a frame in inches; frames of a person."""
_SEGMENTS = 8
"""Of a person, at most: a long track has hundreds."""
_COLUMNS, _TEXT = 2, 2.9
"""Columns of words, and the width of each in inches."""
_HIGH = 1.24
_SIZE = 7.0


def draw_sheet(rows: People, answering: Answering, mark: str, out: Path) -> int:
    """Write the PNG; return how many people are on it, at most MOST_PEOPLE."""
    people = list(islice(rows, MOST_PEOPLE))
    width = 2 * MARGIN + _FRAMES * _PICTURE + 0.15 + _COLUMNS * _TEXT
    shown = f"The first {len(people)} of {len(rows)} people." if len(rows) > len(people) else ""
    nobody = "" if len(rows) else "Nobody was found."
    heads = [
        line for text in (NOTE, mark, shown, nobody) if text for line in wrap(text, width - 2 * MARGIN, _SIZE)
    ]
    names = [wrap(_name(row), width - 2 * MARGIN, _SIZE) for row in people]
    texts = [_columns(row, answering) for row in people]
    highs = [
        text_height(name, _SIZE) + max(_HIGH, *(text_height(column, _SIZE) for column in columns)) + 0.2
        for name, columns in zip(names, texts, strict=True)
    ]
    head = text_height(heads, _SIZE) + 0.1
    sheet = Sheet(width, 2 * MARGIN + head + sum(highs))
    sheet.text(MARGIN, MARGIN, heads, _SIZE)
    top = MARGIN + head
    for row, name, columns, high in zip(people, names, texts, highs, strict=True):
        sheet.text(MARGIN, top, name, _SIZE, weight="bold")
        below = top + text_height(name, _SIZE) + 0.04
        for place, data in enumerate(row.thumbnails[:_FRAMES]):
            axes = sheet.axes(MARGIN + place * _PICTURE, below, _PICTURE - 0.04, _HIGH)
            axes.set_anchor("NW")
            axes.imshow(Image.open(io.BytesIO(data), formats=("JPEG",)))
        for place, lines in enumerate(columns):
            sheet.text(MARGIN + _FRAMES * _PICTURE + 0.15 + place * _TEXT, below, lines, _SIZE)
        top += high
    sheet.save(out)
    return len(people)


def _name(row: PersonRow) -> str:
    """Return who and when."""
    frames = "" if row.first_frame is None else f"frames {row.first_frame} - {row.last_frame}"
    return "   ".join(
        filter(None, (printable(row.tracklet_id), time_span(row.first_second, row.last_second), frames))
    )


def _columns(row: PersonRow, answering: Answering) -> list[list[str]]:
    """Return the lines of each column: a group a line, with its probability."""
    groups = zip(answering.schema.groups, row.answers, strict=True)
    said = [f"{group.name}: {meaning(group, answer.value)} ({share_of(answer):.2f})" for group, answer in groups]
    shown = row.segments[:_SEGMENTS]
    said += [f"{time_span(s.first_second, s.last_second)}: {s.group} {s.value}" for s in shown]
    if len(row.segments) > len(shown):
        said.append(f"and {count_of(len(row.segments) - len(shown), 'segment')} more")
    number = -(-len(said) // _COLUMNS)
    parts = [said[place * number : (place + 1) * number] for place in range(_COLUMNS)]
    return [[line for words in part for line in wrap(words, _TEXT - 0.1, _SIZE)] for part in parts]
