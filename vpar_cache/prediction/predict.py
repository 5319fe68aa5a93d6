"""`vpar predict`: inputs in, one table, one sheet, one page and an annotated video out."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from blake3 import blake3

from vpar_cache.base.callbacks import Say, Stop, check_stop, log, never
from vpar_cache.base.files import plain_failures, remove_leftovers
from vpar_cache.base.hashing import canonical_json, fingerprint
from vpar_cache.base.lock import sole_writer
from vpar_cache.errors import DataError, UserError, counted, nearest
from vpar_cache.prediction.answers import Answering
from vpar_cache.prediction.config import CHANGING, STDOUT, PredictConfig
from vpar_cache.prediction.describing import Describer
from vpar_cache.prediction.inputs import Input, InputReader, list_inputs
from vpar_cache.prediction.outputs.keep_features import FeatureKeeper
from vpar_cache.prediction.outputs.terminal import SHOWN, PredictResult, nobody, shown, summary
from vpar_cache.prediction.outputs.write import write_pictures
from vpar_cache.prediction.pictures import LeaveOut
from vpar_cache.prediction.predictor import Predictor
from vpar_cache.prediction.rows import PersonRow
from vpar_cache.prediction.state import FinishedRows, stamp
from vpar_cache.prediction.table import TableWriter
from vpar_cache.prediction.tracks import Track
from vpar_cache.prediction.video.watch import Watch


def predict(predictor: Predictor, config: PredictConfig, *, say: Say = log, stop: Stop = never) -> PredictResult:
    """Predict the people of all inputs and write what the settings name.

    An input that cannot be used is left out and named in `failures`. Raises UserError where nothing can be done,
    and Stopped: the people that are finished are kept beside --out, and the same command goes on from there.
    """
    inputs = list_inputs(config)
    answering = Answering(predictor.schema, predictor.threshold, config.hide)
    changing = _changing(config, answering, [group.name for group in predictor.schema.groups])
    failures: list[str] = []

    def leave_out(name: str, reason: str) -> None:
        failures.append(f"{name}: {reason}")
        say(f"left out: {name}: {reason}")

    writer = TableWriter(answering, predictor.mark, config.windows is not None, _about(predictor))
    with ExitStack() as stack:
        for path in config.files().values():
            stack.enter_context(sole_writer(path, say))
            with plain_failures(path):
                remove_leftovers(path)
        rows = stack.enter_context(_finished_rows(config, predictor))
        if rows.ids:
            say(f"{counted(len(rows), 'person is', 'people are')} finished already")
        tracked = stack.enter_context(_boxes_to_draw(config))
        watch = stack.enter_context(Watch("predict", stop))
        reader = InputReader(
            config,
            predictor.run.encoder,
            predictor.num_frames,
            leave_out,
            say,
            tracked,
            watch.on_frame,
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
        usable = _describe_all(inputs, reader, describer, rows, leave_out, stop, watch)
        seconds = time.monotonic() - started
        watch.close()
        if not len(rows) and failures:
            raise DataError(f"no input could be used; the first: {failures[0]}")
        if not len(rows):
            say(nobody(reader))
        written: list[Path] = []
        with _published(config, written):
            write_pictures(config, usable, tracked, rows, answering, predictor.mark, say, stop, written.append)
            if config.out is not None and config.out != STDOUT:
                writer.write(rows, config.out)
                written.append(config.out)
            if keeper is not None and config.keep_features is not None and keeper.finish(answering.schema):
                written.append(config.keep_features)
        files = {option: path for option, path in config.files().items() if path in written}
        for option in config.files().keys() - files.keys():
            why = "its video was left out" if option == "--annotate" else "there is nobody to keep"
            say(f"{option.removeprefix('--')}: not written, since {why}")
        result = PredictResult(
            tuple(shown(row, answering) for row in islice(rows, SHOWN)),
            len(rows),
            tuple(failures),
            dict(reader.counts.dropped),
            files,
            summary(describer, reader, seconds),
            predictor.mark,
        )
        try:
            if config.out == STDOUT:
                writer.write_text(rows, sys.stdout, "csv")
        finally:  # whoever reads stdout may have ended
            rows.remove()
    return result


def _describe_all(
    inputs: list[Input],
    reader: InputReader,
    describer: Describer,
    rows: FinishedRows,
    leave_out: LeaveOut,
    stop: Stop,
    watch: Watch,
) -> list[Input]:
    """Add the rows of all people that are not there yet; return the inputs that could be read."""

    def keep(finished: list[PersonRow]) -> None:
        if finished:
            rows.add(finished)
            watch.on_people(len(finished))

    usable, seen = [], set[str]()
    for given in inputs:
        try:
            for item in reader.tracks(given):
                check_stop(stop)
                if isinstance(item, Track):
                    if item.tracklet_id in seen:
                        reader.counts.dropped["picture that was given twice"] += 1
                        continue
                    seen.add(item.tracklet_id)
                if item.tracklet_id not in rows.ids:
                    keep(describer.add(item))
            usable.append(given)
        except DataError as error:
            leave_out(str(given.path), str(error).removeprefix(f"{given.path}: "))
        except OSError as error:
            leave_out(str(given.path), error.strerror or str(error))
        watch.end_video()
    keep(describer.flush())
    return usable


def _changing(config: PredictConfig, answering: Answering, known: list[str]) -> tuple[str, ...]:
    """Return the groups that get segments. Raises UserError where windows are asked for and no group changes."""
    if unknown := [name for name in config.changing if name not in (*known, *CHANGING)]:
        raise UserError(
            f"--changing: got {unknown[0]!r}, which is no group of the run; {nearest(unknown[0], known)}"
        )
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
    weights = config.people.detector_weights
    files_read = (*config.inputs, *config.boxes, *([weights] if weights is not None else []))
    settings = {
        "run": _identity_of_run(predictor),
        "precision": predictor.frames.encoder.precision,
        "inputs": [[str(path.absolute()), stamp(path)] for path in files_read],
        "settings": {**asdict(config.people), "detector_weights": str(config.people.detector_weights)},
        "rules": [config.one_person, config.windows, config.changing, config.hide],
        "pictures": config.sheet is not None or config.html is not None,
        # Features that a killed call kept are not found again, so it starts over.
        "features": None if config.keep_features is None else os.urandom(8).hex(),
    }
    with tempfile.TemporaryDirectory(prefix="vpar-predict-") as scratch:
        path = files[0].with_name(f".{files[0].name}.state") if files else Path(scratch) / "state"
        with FinishedRows(path, fingerprint(settings)) as rows:
            yield rows


@contextmanager
def _published(config: PredictConfig, written: list[Path]) -> Iterator[None]:
    """Remove what was written when the rest fails: the same command must not find it in its way."""
    try:
        yield
    except BaseException:
        if not config.overwrite:  # so nothing was there before
            for path in written:
                path.unlink(missing_ok=True)
        raise


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
