"""The rows that the paper published, from published.csv."""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

from vpar_cache.metrics.protocol import ProtocolScores
from vpar_cache.metrics.scoring import THRESHOLDS

_METRICS = {"Precision": "precision", "Recall": "recall", "F1": "f1"}  # published.csv to ours


@cache
def published_scores() -> dict[str, list[tuple[str, ProtocolScores]]]:
    """Return method and scores of each row, by dataset (MARS, DUKE), in the paper's order."""
    values: dict[tuple[str, str, str], dict[str, dict[str, float]]] = {}
    text = (resources.files("vpar_cache.reporting") / "published.csv").read_text("utf-8")
    for row in csv.DictReader(text.splitlines()):
        groups = values.setdefault((row["dataset"], row["method"], row["protocol"]), {})
        groups.setdefault(row["group"], {})[_METRICS[row["metric"]]] = float(row["value"]) / 100
    rows: dict[str, list[tuple[str, ProtocolScores]]] = {}
    for (dataset, method, protocol), groups in values.items():
        average = groups.pop("average")
        rows.setdefault(dataset, []).append(
            (method, ProtocolScores(protocol, THRESHOLDS[protocol], groups, average))
        )
    return rows
