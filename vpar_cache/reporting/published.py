"""The rows that papers published, and what a constant scores on the same test split.

published.csv is the paper's, published_instance.csv that of EventPAR. label_constants.csv was computed from the
label file of the dataset (tests/reporting/test_published.py computes it again): published numbers are read against
it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any

from vpar_cache.metrics.scoring import THRESHOLDS
from vpar_cache.rendering.tables import Number
from vpar_cache.reporting.numbers import AVERAGES, GROUPS

PUBLISHED_NOTE = (
    "published: copied from the papers, not re-run here. 3DCNN, CNN-RNN and VideoPAR are videopar, the others of "
    "the paper vtf. Its Table 2 sets F1 of both side by side; here they never share a column. Its row of "
    "Improvements is left out: for DUKE it is not the difference of its own rows. The instance rows are those of "
    "EventPAR; where the printed F1 is the harmonic mean of P and R, it stands under F1 of means. No row is known "
    "under pooled, and rows whose protocol their paper does not tell are left out."
)
_METRICS = {"Precision": "precision", "Recall": "recall", "F1": "f1"}  # published.csv to ours
_HALF_DIGIT = 0.011
"""Printed figures have two decimals."""


@cache
def published_numbers() -> dict[str, list[Number]]:
    """Return the published numbers by dataset (MARS, DUKE), in the papers' order of methods."""
    numbers: dict[str, list[Number]] = {}
    for row in _rows("published.csv"):
        number = Number(
            table=AVERAGES if row["group"] == "average" else GROUPS, group=row["group"],
            metric=_METRICS[row["metric"]], value=float(row["value"]), **_about(row, row["protocol"]),
        )  # fmt: skip
        numbers.setdefault(row["dataset"], []).append(number)
    for row in _rows("published_instance.csv"):
        for metric, value in _instance_metrics(row).items():
            number = Number(
                table=AVERAGES, group="average", metric=metric, value=value, **_about(row, "instance")
            )  # fmt: skip
            numbers.setdefault(row["dataset"], []).append(number)
    return {dataset: [_with_constant(number) for number in found] for dataset, found in numbers.items()}


@cache
def constant_numbers() -> dict[str, list[Number]]:
    """Return the scores of the best constant on the paper's test split by dataset; only MARS has them."""
    numbers: dict[str, list[Number]] = {}
    for row in _rows("label_constants.csv"):
        about = {**_about({**row, "method": "best constant"}, row["protocol"]), "source": "constant"}
        number = Number(
            table=AVERAGES if row["group"] == "average" else GROUPS, group=row["group"], metric=row["metric"],
            value=float(row["value"]), **about,
        )  # fmt: skip
        numbers.setdefault(row["dataset"], []).append(number)
    return numbers


def _with_constant(number: Number) -> Number:
    for constant in constant_numbers().get(number.dataset.upper(), []):
        if (constant.protocol, constant.group, constant.metric) == (number.protocol, number.group, number.metric):
            return replace(number, best_constant=constant.value)
    return number


def _instance_metrics(row: dict[str, str]) -> dict[str, float]:
    """Return the figures of one row of EventPAR's table by metric.

    An F1 that equals the harmonic mean of the printed P and R is that mean: the mean of the tracklets' own F1 is
    lower.
    """
    found = {metric: float(row[metric]) for metric in ("accuracy", "precision", "recall", "f1")}
    of_means = 2 * found["precision"] * found["recall"] / (found["precision"] + found["recall"])
    if abs(found["f1"] - of_means) < _HALF_DIGIT:
        found["f1_of_means"] = found.pop("f1")
    return found


def _about(row: dict[str, str], protocol: str) -> dict[str, Any]:
    return {
        "dataset": row["dataset"].lower(),
        "system": row["method"],
        "source": "published",
        "protocol": protocol,
        "threshold": THRESHOLDS[protocol],
    }


def _rows(name: str) -> Iterator[dict[str, str]]:
    text = (resources.files("vpar_cache.reporting") / name).read_text("utf-8")
    yield from csv.DictReader(text.splitlines())
