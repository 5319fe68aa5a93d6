"""The rows that the paper published, from published.csv."""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

from vpar_cache.metrics.scoring import THRESHOLDS
from vpar_cache.rendering.tables import Number
from vpar_cache.reporting.numbers import AVERAGES, GROUPS

_METRICS = {"Precision": "precision", "Recall": "recall", "F1": "f1"}  # published.csv to ours


@cache
def published_numbers() -> dict[str, list[Number]]:
    """Return the paper's numbers by dataset (MARS, DUKE), in its order of methods: averages, then groups."""
    numbers: dict[str, list[Number]] = {}
    text = (resources.files("vpar_cache.reporting") / "published.csv").read_text("utf-8")
    for row in csv.DictReader(text.splitlines()):
        number = Number(
            table=AVERAGES if row["group"] == "average" else GROUPS, dataset=row["dataset"].lower(),
            system=row["method"], source="published", protocol=row["protocol"],
            threshold=THRESHOLDS[row["protocol"]], group=row["group"], metric=_METRICS[row["metric"]],
            value=float(row["value"]),
        )  # fmt: skip
        numbers.setdefault(row["dataset"], []).append(number)
    return numbers
