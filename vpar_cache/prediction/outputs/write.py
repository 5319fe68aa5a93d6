"""Write the sheet, the page and the annotated video of a prediction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vpar_cache.base.callbacks import Say, Stop
from vpar_cache.errors import counted
from vpar_cache.prediction.answers import Answering
from vpar_cache.prediction.config import PredictConfig
from vpar_cache.prediction.inputs import Input, find_box_file
from vpar_cache.prediction.outputs.annotate import annotate, label_of
from vpar_cache.prediction.outputs.gallery import write_gallery
from vpar_cache.prediction.outputs.sheet import draw_sheet
from vpar_cache.prediction.rows import People
from vpar_cache.prediction.video.boxes import read_followed
from vpar_cache.prediction.video.frames import open_frames


def write_pictures(
    config: PredictConfig,
    inputs: list[Input],
    tracked: Path | None,
    rows: People,
    answering: Answering,
    mark: str,
    say: Say,
    stop: Stop,
    done: Callable[[Path], object],
) -> None:
    """Write what the settings name; `done` is called with each file.

    `inputs`: those that could be used. `tracked`: the boxes that a tracker followed in the annotated video.

    The video comes first: it takes long, and after an interruption no file may be in the way of the same command.
    """
    if config.annotate is not None:
        for given in (one for one in inputs if one.is_video):
            boxes = read_followed(tracked) if tracked is not None and tracked.is_file() else find_box_file(given)
            assert boxes is not None
            labels = {
                row.track_id: label_of(row, answering)
                for row in rows
                if row.track_id is not None and row.tracklet_id == f"{given.name}/{row.track_id}"
            }
            annotate(open_frames(given.path), boxes, labels, mark, config.annotate, stop)
            done(config.annotate)
    title = ", ".join(given.name for given in inputs[:3]) + (" and more" if len(inputs) > 3 else "")
    if config.sheet is not None:
        _say_left_out(config.sheet, len(rows) - draw_sheet(rows, answering, mark, config.sheet), say)
        done(config.sheet)
    if config.html is not None:
        _say_left_out(config.html, len(rows) - write_gallery(rows, answering, title, mark, config.html), say)
        done(config.html)


def _say_left_out(out: Path, count: int, say: Say) -> None:
    if count:
        people = counted(count, "person", "people")
        say(f"{out}: {people} left out, since it would be too long; the table of --out has all")
