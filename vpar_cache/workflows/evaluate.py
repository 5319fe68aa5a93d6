"""`vpar evaluate`: score a trained run on another cache, without training.

Scores are over the outputs that both have. Those of a choice are the same where group and name agree, others
where group, phrase and negative phrase do: MARS's "top length" says short sleeves, DUKE's long ones. A tracklet
whose true class of a choice is not among them counts as unknown there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.schema import Group, Schema
from vpar_cache.base.checks import check_choice
from vpar_cache.cache.features import Features, open_features
from vpar_cache.cache.fingerprint import differing_fields
from vpar_cache.cache.joined import dataset_names
from vpar_cache.errors import CacheError, DataError, count_of
from vpar_cache.metrics.evaluation import Baselines, baselines, evaluate
from vpar_cache.metrics.inputs import Bools
from vpar_cache.metrics.scoring import PROTOCOLS, SELECTED
from vpar_cache.models.build import ModelBuilder
from vpar_cache.reporting.evaluation_tables import EvaluationTables, SeveralTables
from vpar_cache.reporting.numbers import run_label
from vpar_cache.runs.finished import FinishedRun, find_runs, read_run
from vpar_cache.runs.load import LoadedRun, load_run

SPLITS = ("test", "validation", "train", "all")
_BATCH_ROWS = 256


@dataclass(frozen=True, eq=False)
class CommonOutputs:
    """The C outputs that a run and a cache share, in the run's order."""

    groups: list[tuple[str, slice]]
    """Of the shared outputs."""
    of_run: NDArray[np.int64]
    """(C,) their numbers in the run's schema"""
    of_cache: NDArray[np.int64]
    """(C,) their numbers in the cache's schema"""
    left_out: tuple[str, ...]
    """Outputs of the run that the cache lacks, then of the cache that the run lacks."""


def evaluate_run(
    run: str | os.PathLike[str],
    features: str | os.PathLike[str],
    *,
    split: str = "test",
    runs: str | os.PathLike[str] = Path("cache/runs"),
    model: ModelBuilder | None = None,
) -> EvaluationTables:
    """Return the scores of a trained run on the tracklets of a cache, with the baselines of that cache.

    `run`: a run folder, or the name of one under `runs`. `split`: test, validation, train or all. `model`: for a
    run of your own model, see load_run. Raises CacheError for features of another encoder or array than the run
    was trained on, DataError where no output is shared or the split is empty.
    """
    (found,) = evaluate_on_each(run, [features], split=split, runs=runs, model=model).each
    return found


def evaluate_on_each(
    run: str | os.PathLike[str],
    features: Sequence[str | os.PathLike[str]] = (),
    *,
    split: str = "test",
    runs: str | os.PathLike[str] = Path("cache/runs"),
    model: ModelBuilder | None = None,
) -> SeveralTables:
    """Return what `evaluate_run` does, for each cache apart; for none, on each that the run was trained on."""
    check_choice("--split", split, SPLITS)
    (folder,) = find_runs([Path(run)], Path(runs))
    record, loaded = read_run(folder), load_run(folder, model)
    caches = [open_features(path) for path in features or record.caches()]
    names = dataset_names(caches)
    return SeveralTables(
        tuple(_evaluate(record, loaded, *named, split) for named in zip(caches, names, strict=True))
    )


def _evaluate(
    record: FinishedRun, loaded: LoadedRun, cache: Features, dataset: str, split: str
) -> EvaluationTables:
    """Return the scores on one cache, whose tracklets the tables call `dataset`."""
    _check_features(record, loaded, cache)
    rows = np.arange(len(cache)) if split == "all" else cache.rows_of(split)  # (n,)
    if not len(rows):
        raise DataError(f"--split: got {split}; {cache.path} has no such tracklet. Choose another split")
    common = common_outputs(record.schema, cache.schema)
    probabilities = np.concatenate(
        [
            loaded.predict(batch)[:, common.of_run]
            for batch in cache.arrays[loaded.reads].batches(rows, _BATCH_ROWS)
        ]
    )  # (n, C)
    labels, known = _labels(cache, rows, common)  # (n, C) each
    if not known.any():
        raise DataError(f"{cache.path}: none of the shared labels of the {split} split is known")
    train, remarks = _baselines(record, cache, common)
    remarks += _other_settings(record, cache)
    selected = record.scores.get(SELECTED)
    found = evaluate(
        probabilities,
        labels,
        common.groups,
        known=known,
        people=cache.people_of(rows),
        train=train,
        selected_threshold=None if selected is None else selected.threshold,
        unit=cache.schema.unit,
    )
    remarks += (
        [f"not scored, since only one of both has them: {', '.join(common.left_out)}"] if common.left_out else []
    )
    if record.random_weights:
        remarks.append(
            "random weights: the encoder was not trained, so these numbers say nothing about the method"
        )
    title = (
        f"{run_label(record, record.name)} on {dataset}: {count_of(len(rows), f'{split} {cache.schema.unit}')}, "
        f"{len(common.of_run)} of {count_of(record.schema.num_outputs, 'output')}"
    )
    about = {
        "dataset": dataset,
        "split": split,
        "system": record.name,
        "source": "run",
        "weights": record.weights,
    }
    return EvaluationTables(title, about, found, tuple(remarks))


def _check_features(run: FinishedRun, loaded: LoadedRun, cache: Features) -> None:
    """Raise CacheError unless the cache holds features that the run can read."""
    for name, ours, theirs in (
        ("backbone", run.backbone, cache.visual_config.get("backbone")),
        ("weights", run.weights, cache.weights),
    ):
        if ours != theirs:
            raise CacheError(
                f"--features: got {cache.path} with {name} {theirs}; expected {ours}, as {run.folder} was trained "
                "on. Extract it with the same encoder"
            )
    if loaded.reads not in cache.arrays or cache.arrays[loaded.reads].shape[1:] != loaded.inputs.row_shape:
        shapes = ", ".join(f"/{name} {array.shape[1:]}" for name, array in cache.arrays.items())
        raise CacheError(
            f"--features: got {cache.path} with {shapes}; expected /{loaded.reads} {loaded.inputs.row_shape}, "
            f"which {run.folder} reads. Extract it with the same --frames and --keep-frames"
        )


def _other_settings(run: FinishedRun, cache: Features) -> list[str]:
    """Return a remark where the cache was extracted with other settings than the run's."""
    theirs = {name: cache.visual_config.get(name) for name in run.extraction}
    differing = differing_fields(theirs, run.extraction)
    return [f"features of other settings than the run was trained on: {'; '.join(differing)}"] if differing else []


def common_outputs(ours: Schema, theirs: Schema) -> CommonOutputs:
    """Return what the schemas of a run and of a cache share. Raises DataError where that is nothing.

    Of a choice at least two outputs must be shared: one alone leaves nothing to choose.
    """
    their_columns = dict(_columns(theirs))
    groups: list[tuple[str, slice]] = []
    of_run: list[int] = []
    of_cache: list[int] = []
    for group, columns in ours.slices():
        shared = [(key, column) for key, column in _group_columns(group, columns.start) if key in their_columns]
        if len(shared) > group.is_choice:
            groups.append((group.name, slice(len(of_run), len(of_run) + len(shared))))
            of_run += [column for _, column in shared]
            of_cache += [their_columns[key] for key, _ in shared]
    if not groups:
        raise DataError(
            f"schema {theirs.name} of the cache shares no output with schema {ours.name} of the run; extract a "
            "cache with the run's attributes"
        )
    left_out = [
        f"{output.name} ({schema.name})"
        for schema, used in ((ours, of_run), (theirs, of_cache))
        for column, output in enumerate(schema.outputs)
        if column not in used
    ]
    return CommonOutputs(groups, np.array(of_run), np.array(of_cache), tuple(left_out))


def _columns(schema: Schema) -> Iterator[tuple[tuple[str, ...], int]]:
    for group, columns in schema.slices():
        yield from _group_columns(group, columns.start)


def _group_columns(group: Group, start: int) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield what an output means, and its column. Two outputs of one meaning are the same output."""
    for number, output in enumerate(group.outputs):
        meaning = (output.name,) if group.is_choice else (output.phrase, group.negative)
        yield (group.name, *meaning), start + number


def _labels(cache: Features, rows: NDArray[np.int64], common: CommonOutputs) -> tuple[Bools, Bools]:
    """Return labels and known (n, C) of the shared outputs."""
    labels = cache.labels[rows][:, common.of_cache].astype(bool)  # (n, C)
    known = cache.known[rows][:, common.of_cache]  # (n, C)
    for _, columns in common.groups:
        if columns.stop - columns.start > 1:
            known[:, columns] &= labels[:, columns].any(axis=1, keepdims=True)  # another class is true
    return labels & known, known


def _baselines(run: FinishedRun, cache: Features, common: CommonOutputs) -> tuple[Baselines | None, list[str]]:
    """Return the baselines of the cache's train labels, or else of the run's; and what to say about it."""
    labels, known = _labels(cache, cache.rows_of("train"), common)  # (n_train, C) each
    if known.any():
        return baselines(labels, common.groups, known=known), []
    if not run.constants:
        return None, ["no best constant: neither the cache nor the run has train labels"]
    constants = {name: np.array(run.constants[name])[common.of_run] for name in PROTOCOLS}  # (C,) each
    rates = np.array(run.prior_rates)[common.of_run]  # (C,)
    return Baselines(constants, rates), ["the cache has no train labels: the best constant is that of the run's"]
