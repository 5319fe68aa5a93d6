"""`vpar predict`: inputs in, one table, one sheet, one page and an annotated video out."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from blake3 import blake3

from vpar_cache.base.callbacks import Say, Stop, check_stop, log, never
from vpar_cache.base.hashing import canonical_json, fingerprint
from vpar_cache.base.lock import sole_writer
from vpar_cache.base.progress import progress
from vpar_cache.errors import DataError, UserError, count_of, nearest, printable
from vpar_cache.prediction.answers import Answering
from vpar_cache.prediction.config import STDOUT, PredictConfig
from vpar_cache.prediction.describing import Describer
from vpar_cache.prediction.inputs import Input, InputReader, list_inputs
from vpar_cache.prediction.outputs.clock import time_span
from vpar_cache.prediction.outputs.keep_features import FeatureKeeper
from vpar_cache.prediction.outputs.write import write_pictures
from vpar_cache.prediction.pictures import LeaveOut
from vpar_cache.prediction.predictor import Predictor
from vpar_cache.prediction.rows import PersonRow
from vpar_cache.prediction.state import FinishedRows
from vpar_cache.prediction.table import TableWriter
from vpar_cache.rendering.tables import Notes, Part, Table

SHOWN = 50
"""Rows in the terminal."""


@dataclass(frozen=True, eq=False)
class PredictResult:
    """What was predicted, as far as a terminal shows it."""

    rows: tuple[tuple[str, ...], ...]
    """Person, time, frames and attributes of the first SHOWN."""
    count: int
    failures: tuple[str, ...]
    """Inputs and files that could not be used, with the reason."""
    dropped: dict[str, int]
    """Boxes and tracks that were left out, by reason."""
    summary: str
    mark: str

    @property
    def parts(self) -> tuple[Part, ...]:
        """The table for the terminal, and notes."""
        title = count_of(self.count, "person").replace("persons", "people") + (
            f" ({self.mark})" if self.mark else ""
        )
        notes = [f"dropped: {count} x {reason}" for reason, count in sorted(self.dropped.items())]
        if self.count > len(self.rows):
            notes.insert(0, f"{self.count - len(self.rows)} more are in the file of --out, if you give one.")
        table = Table(title, ("Person", "Time", "Frames", "Attributes"), self.rows)
        return (Part("prediction", (), (table, Notes(tuple(notes)))),)


def predict(predictor: Predictor, config: PredictConfig, *, say: Say = log, stop: Stop = never) -> PredictResult:
    """Predict the people of all inputs and write what the settings name.

    An input that cannot be used is left out and named in `failures`. Raises UserError where nothing can be done,
    and Stopped: the people that are finished are kept beside --out, and the same command goes on from there.
    """
    inputs = list_inputs(config)
    answering = Answering(predictor.schema, predictor.threshold, config.hide)
    changing = _changing(config, answering)
    failures: list[str] = []

    def leave_out(name: str, reason: str) -> None:
        failures.append(f"{name}: {reason}")
        say(f"left out: {name}: {reason}")

    writer = TableWriter(answering, predictor.mark, config.windows is not None, _about(predictor))
    with ExitStack() as stack:
        for path in config.files().values():
            stack.enter_context(sole_writer(path, say))
        rows = stack.enter_context(_finished_rows(config, predictor))
        if rows.ids:
            say(f"{count_of(len(rows), 'person').replace('persons', 'people')} are finished already")
        tracked = stack.enter_context(_boxes_to_draw(config))
        reader = InputReader(
            config,
            predictor.run.encoder,
            predictor.num_frames,
            leave_out,
            say,
            tracked,
            on_frame=lambda: check_stop(stop),
        )
        describer = Describer(
            predictor.frames,
            predictor.probabilities,
            answering,
            changing,
            with_thumbnails=config.sheet is not None or config.html is not None,
        )
        keeper = _keeper(config, predictor, inputs)
        if keeper is not None:
            describer.encoded = stack.enter_context(keeper).add
        started = time.monotonic()
        _describe_all(inputs, reader, describer, rows, leave_out, stop)
        seconds = time.monotonic() - started
        if not len(rows) and failures:
            raise DataError(f"no input could be used; the first: {failures[0]}")
        write_pictures(config, inputs, tracked, rows, answering, predictor.mark, say, stop)
        if config.out is not None and config.out != STDOUT:
            writer.write(rows, config.out)
        if keeper is not None:
            keeper.finish(answering.schema)
        result = PredictResult(
            tuple(_shown(row, answering) for row in islice(rows, SHOWN)),
            len(rows),
            tuple(failures),
            dict(reader.counts.dropped),
            _summary(describer, reader, seconds),
            predictor.mark,
        )
        if config.out == STDOUT:
            writer.write_text(rows, sys.stdout, "csv")
        rows.remove()
    return result


def _describe_all(
    inputs: list[Input],
    reader: InputReader,
    describer: Describer,
    rows: FinishedRows,
    leave_out: LeaveOut,
    stop: Stop,
) -> None:
    """Add the rows of all people that are not there yet."""
    with progress(unit="person", desc="predict") as bar:

        def keep(finished: list[PersonRow]) -> None:
            if finished:
                rows.add(finished)
                bar.update(len(finished))

        for given in inputs:
            try:
                for item in reader.tracks(given):
                    check_stop(stop)
                    if item.tracklet_id not in rows.ids:
                        keep(describer.add(item))
            except (DataError, OSError) as error:
                leave_out(str(given.path), str(error))
        keep(describer.flush())


def _changing(config: PredictConfig, answering: Answering) -> tuple[str, ...]:
    """Return the groups that get segments. Raises UserError where windows are asked for and no group changes."""
    if config.windows is None:
        return ()
    names = [group.name for group in answering.schema.groups]
    found = tuple(name for name in config.changing if name in names)
    if not found:
        raise UserError(
            f"--windows: none of the groups {', '.join(config.changing)} is shown; name groups that change with "
            f"--changing ({nearest(config.changing[0], names)})"
        )
    return found


def _about(predictor: Predictor) -> dict[str, str]:
    """Return what a Parquet file says of the run."""
    encoder = predictor.run.encoder
    return {
        "fingerprint": _identity_of_run(predictor),
        "model": str(predictor.run.settings["model"]),
        "backbone": str(encoder["backbone"]),
        "weights_digest": str(encoder["weights_digest"]),
    }


def _identity_of_run(predictor: Predictor) -> str:
    """Return a digest of the model's weights and of how its features are made."""
    hasher = blake3(canonical_json(predictor.run.encoder).encode())
    for name, tensor in sorted(predictor.run.model.state_dict().items()):
        hasher.update(name.encode())
        hasher.update(tensor.contiguous().numpy().tobytes())
    return hasher.hexdigest()


def _keeper(config: PredictConfig, predictor: Predictor, inputs: list[Input]) -> FeatureKeeper | None:
    """Return what keeps the features; None where they are not asked for."""
    if config.keep_features is None:
        return None
    of_video = any(given.is_video for given in inputs)
    return FeatureKeeper(config.keep_features, predictor.frames.encoder, predictor.run.encoder, of_video)


@contextmanager
def _finished_rows(config: PredictConfig, predictor: Predictor) -> Iterator[FinishedRows]:
    """Yield the file of finished people: beside --out, or without a file to write a temporary one."""
    files = list(config.files().values())
    settings = {
        "run": _identity_of_run(predictor),
        "precision": predictor.frames.encoder.precision,
        "inputs": [[str(path.absolute()), _stamp(path)] for path in (*config.inputs, *config.boxes)],
        "settings": {**asdict(config.people), "detector_weights": str(config.people.detector_weights)},
        "rules": [config.one_person, config.windows, config.changing, config.hide],
        "pictures": config.sheet is not None or config.html is not None,
        # Features that a killed call kept are not found again, so it starts over.
        "features": None if config.keep_features is None else os.urandom(8).hex(),
    }
    with tempfile.TemporaryDirectory(prefix="vpar-predict-") as scratch:
        path = files[0].with_name(f".{files[0].name}.state") if files else Path(scratch) / "state"
        yield FinishedRows(path, fingerprint(settings))


@contextmanager
def _boxes_to_draw(config: PredictConfig) -> Iterator[Path | None]:
    """Yield where the boxes of a tracker are kept until the video is annotated; None where it is not."""
    if config.annotate is None:
        yield None
        return
    path = config.annotate.with_name(f".{config.annotate.name}.boxes")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _stamp(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _shown(row: PersonRow, answering: Answering) -> tuple[str, ...]:
    """Return the cells of the terminal's table."""
    time = time_span(row.first_second, row.last_second)
    return printable(row.tracklet_id), time, str(row.frames_used), ", ".join(answering.describe(row.answers))


def _summary(describer: Describer, reader: InputReader, seconds: float) -> str:
    """Return how long what took."""
    parts = [f"{describer.num_frames} frames encoded in {describer.seconds:.1f} s"]
    if describer.seconds > 0:
        parts[0] += f" ({describer.num_frames / describer.seconds:.1f} a second)"
    counts = reader.counts
    if counts.frames:
        parts.append(f"{counts.frames} decoded in {counts.decode_seconds:.1f} s")
        parts.append(f"people found in {counts.track_seconds:.1f} s")
    return f"{'; '.join(parts)}; {seconds:.1f} s in all"
