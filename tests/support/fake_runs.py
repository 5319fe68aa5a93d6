"""Run folders as vpar train leaves them, with made-up predictions (no model, no torch)."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vpar_cache.attributes.mars_table import MARS
from vpar_cache.attributes.schema import Group, Output, Schema
from vpar_cache.metrics.evaluation import Baselines, baselines, evaluate
from vpar_cache.metrics.parts import parts_of
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
    prior: float = 0.3,
    details: bool = False,
    people: int = 6,
    **run: Any,
) -> Path:
    """A finished run; `run` replaces fields of run.json, and None leaves one out.

    `details`: with the test tracklets themselves.
    """
    folder = root / name
    folder.mkdir(parents=True)
    probabilities, labels = predictions(schema, n, seed)
    probabilities = probabilities.astype(np.float32)
    groups = groups_of(schema)
    columns = columns_of(schema, probabilities, labels, people)
    train = Baselines(baselines(labels, groups).constants, np.full(schema.num_outputs, prior))
    ids = people_of(n, people)  # (n,)
    parts = parts_of(
        schema.quality, *(np.array(columns[name].to_pylist()) for name in ("quality", "camera_id", "num_frames"))
    )
    known = np.ones(labels.shape, bool)
    metrics = {
        "split": "test",
        "rows": rows_digest(schema, columns["tracklet_id"], ids, labels.astype(bool), known),
        **asdict(
            evaluate(
                probabilities,
                labels,
                groups,
                people=ids,
                train=train,
                selected_threshold=selected,
                parts=[part._replace(rows=part.rows.astype(bool)) for part in parts] if details else (),
            )
        ),
        "validation": None,
    }
    if details:
        pq.write_table(pa.table(columns), folder / "predictions.parquet")
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


def people_of(n: int, people: int) -> np.ndarray:
    """(n,) ids; tracklets of one person stand together."""
    return np.arange(n) * people // n + 1


def columns_of(schema: Schema, probabilities: np.ndarray, labels: np.ndarray, people: int) -> dict[str, Any]:
    """predictions.parquet of a run without validation people: flag q is set on every (q + 2)th tracklet."""
    n = len(labels)
    flags = np.arange(n)[:, None] % (np.arange(len(schema.quality)) + 2) == 0  # (n, Q)
    return {
        "tracklet_id": [f"{i:04d}C1T0001" for i in range(n)],
        "split": ["test"] * n,
        "person_id": pa.array(people_of(n, people), pa.int32()),
        "camera_id": pa.array(np.arange(n) % 3 + 1, pa.int32()),
        "num_frames": pa.array(np.arange(n) % 40 + 2, pa.int32()),
        "quality": pa.array(flags.astype(np.uint8).tolist(), pa.list_(pa.uint8())),
        "probabilities": pa.array(probabilities.tolist(), pa.list_(pa.float32())),
        "labels": pa.array(labels.tolist(), pa.list_(pa.uint8())),
    }


def make_mars_run(root: Path, name: str, **fields: Any) -> Path:
    """A run on the whole test split of the paper."""
    return make_run(root, name, **{"dataset": "mars", "schema": MARS, "n": 8062, **fields})


def write(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data), "utf-8")
