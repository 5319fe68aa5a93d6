"""Run folders as vpar train leaves them, with made-up predictions (no model, no torch)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from vpar_cache.metrics import score_block
from vpar_cache.schema import MARS, Group, Output, Schema

SMALL = Schema(
    "small",
    (
        Group("hat", (Output("hat", "a hat"),), ("hat",), "no hat"),
        Group("pose", tuple(Output(f"pose {v}", v) for v in ("front", "side", "back")), ("pose",)),
    ),
)


def groups_of(schema: Schema) -> list[tuple[str, slice]]:
    return [(group.name, columns) for group, columns in schema.slices()]


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
    **run: Any,
) -> Path:
    """A finished run; `run` replaces fields of run.json, and None leaves one out."""
    folder = root / name
    folder.mkdir(parents=True)
    probabilities, labels = predictions(schema, n, seed)
    constant = np.full(labels.shape, prior)
    metrics = {
        "split": "test",
        "num_tracklets": n,
        "num_people": 6,
        "scores": score_block(probabilities, labels, groups_of(schema), selected),
        "prior": score_block(constant, labels, groups_of(schema), selected),
    }
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


def make_mars_run(root: Path, name: str, **fields: Any) -> Path:
    """A run on the whole test split of the paper."""
    return make_run(root, name, **{"dataset": "mars", "schema": MARS, "n": 8062, **fields})


def write(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data), "utf-8")
