"""One HTML page of all people: their frames and attributes, to filter and sort. It loads nothing."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from vpar_cache import __version__
from vpar_cache.base.files import atomic_path
from vpar_cache.prediction.answers import NO, UNKNOWN, YES, Answering, meaning, share_of
from vpar_cache.prediction.outputs.clock import time_span
from vpar_cache.prediction.outputs.sheet import NOTE
from vpar_cache.prediction.rows import People, PersonRow
from vpar_cache.rendering.page_parts import content_policy, page_template, read_asset

MOST_PEOPLE = 2_000
"""On a page: more make it slow to open."""
_FRAMES = 3
"""Of a person; six would double the size of the page."""
_PACKAGE = "vpar_cache.prediction.outputs"


@dataclass(frozen=True)
class _Value:
    """A value of a group that the page filters by."""

    text: str
    key: str
    """In the address of the page: the places of group and value."""
    count: int


@dataclass(frozen=True)
class _Card:
    """A person on the page."""

    row: PersonRow
    time: str
    start: float
    keys: str
    """Keys of the values, separated by spaces."""
    shares: str
    """Probabilities, in the order of the keys."""
    answers: list[tuple[str, str, str]]
    """Group, value and probability."""
    segments: list[str]
    pictures: list[str]


def write_gallery(rows: People, answering: Answering, title: str, mark: str, out: Path) -> int:
    """Write the page; return how many people are on it, at most MOST_PEOPLE. `rows` are read twice."""
    values = [
        [*group.value_names(), UNKNOWN] if group.is_choice else [YES, NO] for group in answering.schema.groups
    ]
    counts: Counter[tuple[int, str]] = Counter()
    number = min(len(rows), MOST_PEOPLE)
    for row in islice(rows, MOST_PEOPLE):
        counts.update((place, answer.value) for place, answer in enumerate(row.answers))
    filters = [
        (
            group.name,
            [
                _Value(meaning(group, value), f"{place}.{n}", counts[place, value])
                for n, value in enumerate(values[place])
                if counts[place, value]
            ],
        )
        for place, group in enumerate(answering.schema.groups)
        if number
    ]
    style, script = read_asset(_PACKAGE, "gallery.css"), read_asset(_PACKAGE, "gallery.js")
    from markupsafe import Markup

    page = page_template(_PACKAGE, "gallery.html.j2").generate(
        title=title,
        version=__version__,
        policy=content_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        note=NOTE,
        mark=mark,
        number=number,
        total=len(rows),
        filters=filters,
        cards=_cards(islice(rows, MOST_PEOPLE), answering, values),
    )
    with atomic_path(out) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(page)  # as it is made: the pictures are never all in memory
    return number


def _cards(rows: Iterable[PersonRow], answering: Answering, values: list[list[str]]) -> Iterator[_Card]:
    groups = answering.schema.groups
    for row in rows:
        step = max(1.0, len(row.thumbnails) / _FRAMES)
        chosen = [row.thumbnails[int(i * step)] for i in range(min(_FRAMES, len(row.thumbnails)))]
        yield _Card(
            row=row,
            time=time_span(row.first_second, row.last_second),
            start=row.first_second or 0.0,
            keys=" ".join(f"{p}.{values[p].index(answer.value)}" for p, answer in enumerate(row.answers)),
            shares=" ".join(f"{share_of(answer):.3f}" for answer in row.answers),
            answers=[
                (a.group, meaning(group, a.value), f"{share_of(a):.2f}")
                for group, a in zip(groups, row.answers, strict=True)
            ],
            segments=[f"{time_span(s.first_second, s.last_second)}: {s.group} {s.value}" for s in row.segments],
            pictures=[base64.b64encode(data).decode() for data in chosen],
        )
