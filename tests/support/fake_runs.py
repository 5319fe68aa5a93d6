"""Run folders as vpar train leaves them, with made-up predictions (no model, no torch)."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vpar_cache.attributes.mars_table import MARS
from vpar_cache.attributes.schema import Group, Output, Schema
from vpar_cache.metrics.evaluation import baselines, evaluate
from vpar_cache.metrics.parts import parts_of
from vpar_cache.runs.finished import PAPER_TEST_TRACKLETS
from vpar_cache.runs.scored_rows import rows_digest

SMALL = Schema(
    "small",
    (
        Group("hat", (Output("hat", "a hat"),), ("hat",), "no hat"),
        Group("pose", tuple(Output(f"pose {v}", v) for v in ("front", "side", "back")), ("pose",)),
    ),
)


def groups_of(schema: Schema) -> list[tuple[str, slice]]:
    return schema.named_slices()


def predictions(schema: Schema, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(N, A) probabilities that lean towards the (N, A) labels. The labels do not depend on the seed."""
    labels = np.zeros((n, schema.num_outputs), np.uint8)
    for group, columns in schema.slices():
        if group.is_choice:
            labels[np.arange(n), columns.start + np.arange(n) % len(group.outputs)] = 1
        else:
            labels[:, columns.start] = np.arange(n) % 3 == 0
    noise = np.random.default_rng(seed).random(labels.shape)
    return np.clip(0.4 * labels + 0.7 * noise, 0, 1), labels


def make_run(
    root: Path,
    name: str,
    /,
    *,
    dataset: str = "demo",
    schema: Schema = SMALL,
    n: int = 24,
    seed: int = 0,
    selected: float | None = None,
    prior: float | None = 0.3,
    details: bool = False,
    people: int | None = 6,
    unknown: float = 0,
    first: int = 0,
    **run: Any,
) -> Path:
    """A finished run; `run` replaces fields of run.json, and None leaves one out.

    `details`: with the test tracklets themselves, and validation numbers. `prior`, `people` None: without train
    labels, without known people. `unknown`: the share of groups without a label. `first`: the number of the first
    tracklet, which stands in its id.
    """
    folder = root / name
    folder.mkdir(parents=True)
    metrics, columns = _numbers(dataset, schema, n, seed, selected, prior, details, people, unknown, first)
    if details:
        pq.write_table(columns, folder / "predictions.parquet")
    fields: dict[str, Any] = {
        "name": name,
        "dataset": dataset,
        "schema": schema.to_dict(),
        "weights": "openai",
        "random_weights": False,
        "num_train": 96,
        **run,
    }
    write(folder / "run.json", {key: value for key, value in fields.items() if value is not None})
    write(folder / "metrics.json", metrics)
    return folder


@cache
def _numbers(
    dataset: str,
    schema: Schema,
    n: int,
    seed: int,
    selected: float | None,
    prior: float | None,
    details: bool,
    people: int | None,
    unknown: float,
    first: int,
) -> tuple[dict[str, Any], pa.Table]:
    """metrics.json and predictions.parquet. Several tests make the same run; its numbers take most of the time."""
    probabilities, labels = predictions(schema, n, seed)
    known = known_labels(schema, n, unknown)
    columns = columns_of(dataset, schema, probabilities, labels, known, people or n, first)
    train = None
    if prior is not None:
        train = replace(baselines(labels, groups_of(schema)), rates=np.full(schema.num_outputs, prior))
    ids = None if people is None else people_of(n, people)  # (n,)
    parts = parts_of(
        schema.quality, *(np.array(columns[name].to_pylist()) for name in ("quality", "camera_id", "num_frames"))
    )
    about: dict[str, Any] = {"known": known, "people": ids, "train": train, "selected_threshold": selected}
    chosen = [part._replace(rows=part.rows.astype(bool)) for part in parts] if details else []
    found = evaluate(probabilities.astype(np.float32), labels, groups_of(schema), **about, parts=chosen)
    metrics = {
        "dataset": dataset,
        "split": "test",
        "rows": rows_digest(schema, columns["tracklet_id"], ids, labels.astype(bool) & known, known),
        **asdict(found),
        "validation": asdict(replace(found, parts=())) if details else None,
        "other_tests": [],
    }
    return metrics, pa.table(columns)


def known_labels(schema: Schema, n: int, unknown: float) -> np.ndarray:
    """(n, A); a group is known or unknown as a whole. It does not depend on the seed."""
    random = np.random.default_rng(7)
    known = np.ones((n, schema.num_outputs), bool)
    for _, columns in schema.slices():
        known[:, columns] = (random.random(n) >= unknown)[:, None]
    return known


def people_of(n: int, people: int) -> np.ndarray:
    """(n,) ids; tracklets of one person stand together."""
    return np.arange(n) * people // n + 1


def columns_of(
    dataset: str,
    schema: Schema,
    probabilities: np.ndarray,
    labels: np.ndarray,
    known: np.ndarray,
    people: int,
    first: int,
) -> dict[str, Any]:
    """predictions.parquet of a run without validation people: flag q is set on every (q + 2)th tracklet."""
    n = len(labels)
    flags = np.arange(n)[:, None] % (np.arange(len(schema.quality)) + 2) == 0  # (n, Q)
    return {
        "tracklet_id": [f"{i:04d}C1T0001" for i in range(first, first + n)],
        "dataset": [dataset] * n,
        "split": ["test"] * n,
        "person_id": pa.array(people_of(n, people), pa.int32()),
        "camera_id": pa.array(np.arange(n) % 3 + 1, pa.int32()),
        "num_frames": pa.array(np.arange(n) % 40 + 2, pa.int32()),
        "quality": pa.array(flags.astype(np.uint8).tolist(), pa.list_(pa.uint8())),
        "probabilities": pa.array(probabilities.tolist(), pa.list_(pa.float32())),
        "labels": pa.array(np.where(known, labels, None).tolist(), pa.list_(pa.uint8())),
    }


def make_mars_run(root: Path, name: str, **fields: Any) -> Path:
    """A run on the whole test split of the paper. The fixture `small_paper_split` makes that split small."""
    n = PAPER_TEST_TRACKLETS["mars"]
    return make_run(root, name, **{"dataset": "mars", "schema": MARS, "n": n, **fields})


def write(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data), "utf-8")
