"""A picture of people: some frames of each, and what was answered."""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from PIL import Image

from vpar_cache.errors import printable
from vpar_cache.pictures.sheet import MARGIN, Sheet, text_height, wrap
from vpar_cache.prediction.answers import Answering, meaning, share_of
from vpar_cache.prediction.outputs.clock import time_span
from vpar_cache.prediction.rows import PersonRow

MOST_PEOPLE = 40
"""On a sheet: more cannot be read."""
NOTE = (
    "What a model predicts of pictures: impressions as annotators had them, not facts about a person. Not for "
    "identifying or judging people."
)
_PICTURE, _FRAMES, _TEXT = 0.62, 6, 6.2
"""Inches: width of a frame, and of the words; frames of a person."""
_HIGH = 1.24
_SIZE = 7.0


def draw_sheet(rows: Iterable[PersonRow], answering: Answering, mark: str, out: Path) -> int:
    """Write the PNG; return how many people are on it, at most MOST_PEOPLE."""
    people = list(islice(rows, MOST_PEOPLE))
    width = 2 * MARGIN + _FRAMES * _PICTURE + 0.15 + _TEXT
    heads = [line for text in (NOTE, mark) if text for line in wrap(text, width - 2 * MARGIN, _SIZE)]
    texts = [_words(row, answering) for row in people]
    highs = [max(_HIGH, text_height(lines, _SIZE)) + 0.1 for lines in texts]
    head = text_height(heads, _SIZE) + 0.1
    sheet = Sheet(width, 2 * MARGIN + head + sum(highs))
    sheet.text(MARGIN, MARGIN, heads, _SIZE)
    top = MARGIN + head
    for row, lines, high in zip(people, texts, highs, strict=True):
        for place, data in enumerate(row.thumbnails[:_FRAMES]):
            axes = sheet.axes(MARGIN + place * _PICTURE, top, _PICTURE - 0.04, _HIGH)
            axes.imshow(Image.open(io.BytesIO(data), formats=("JPEG",)))
        sheet.text(MARGIN + _FRAMES * _PICTURE + 0.15, top, lines, _SIZE)
        top += high
    sheet.save(out)
    return len(people)


def _words(row: PersonRow, answering: Answering) -> list[str]:
    """Return the lines beside the frames: who and when, what holds, and what does not."""
    groups = zip(answering.schema.groups, row.answers, strict=True)
    said = [f"{group.name}: {meaning(group, answer.value)} ({share_of(answer):.2f})" for group, answer in groups]
    first = " ".join(filter(None, (printable(row.tracklet_id), time_span(row.first_second, row.last_second))))
    return [*wrap(first, _TEXT, _SIZE), *wrap("   ".join(said), _TEXT, _SIZE)]
