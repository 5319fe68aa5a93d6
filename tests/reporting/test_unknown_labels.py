"""A label file with unknown cells: every number is that of counting over the known cells alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.fake_runs import SMALL, known_labels, make_run, predictions
from tests.support.hostile_files import call_vpar
from tests.support.made_up_scores import harmonic_mean, set_scores
from vpar_cache.rendering.formats import render
from vpar_cache.reporting.report import report

N = 60
GROUPS = {"hat": [0], "pose": [1, 2, 3]}
P, LABELS = predictions(SMALL, N, seed=2)
P = P.astype(np.float32).astype(np.float64)
KNOWN = known_labels(SMALL, N, 0.3)


def rows_of(group: str) -> list[int]:
    return [i for i in range(N) if KNOWN[i, GROUPS[group][0]]]


def said(i: int, columns: list[int]) -> set[int]:
    return {a for a in columns if P[i, a] > 0.45}


def true(i: int, columns: list[int]) -> set[int]:
    return {a for a in columns if LABELS[i, a]}


def pooled(group: str) -> float:
    pairs = [(said(i, GROUPS[group]), true(i, GROUPS[group])) for i in rows_of(group)]
    hits, predicted, positive = (
        sum(len(s) for s in sets) for sets in zip(*((a & b, a, b) for a, b in pairs), strict=True)
    )
    return harmonic_mean(hits / predicted, hits / positive)


def vtf(group: str) -> float:
    if group == "hat":
        return pooled(group)
    each = [set_scores(said(i, GROUPS[group]), true(i, GROUPS[group]))[2] for i in rows_of(group)]
    return sum(each) / len(each)


def videopar(group: str) -> float:
    def classes(i: int) -> tuple[int, int]:
        if group == "hat":
            return int(P[i, 0] > 0.5), int(LABELS[i, 0])
        return int(P[i, 1:].argmax()), int(LABELS[i, 1:].argmax())

    pairs = [classes(i) for i in rows_of(group)]
    f1 = []
    for k in range(2 if group == "hat" else 3):
        hits = sum(a == b == k for a, b in pairs)
        f1.append(2 * hits / (sum(a == k for a, _ in pairs) + sum(b == k for _, b in pairs)))
    return sum(f1) / len(f1)


def instance() -> float:
    each = []
    for i in range(N):
        columns = [a for a in range(4) if KNOWN[i, a]]
        if columns:
            each.append(set_scores(said(i, columns), true(i, columns))[2])
    return sum(each) / len(each)


def expected() -> dict[tuple[str, str], float]:
    """F1 in percent by protocol and group."""
    by_group: dict[str, Callable[[str], float]] = {"vtf": vtf, "videopar": videopar, "pooled": pooled}
    found = {(protocol, group): 100 * score(group) for protocol, score in by_group.items() for group in GROUPS}
    for protocol in by_group:
        found[protocol, "average"] = (found[protocol, "hat"] + found[protocol, "pose"]) / 2
    return {**found, ("instance", "average"): 100 * instance()}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    assert 0.2 < 1 - KNOWN.mean() < 0.4
    return make_run(tmp_path, "a", n=N, seed=2, details=True, unknown=0.3)


def test_the_report_of_a_run_has_the_scores_of_its_known_labels(run: Path) -> None:
    numbers = report([run], details=True).numbers
    found = {
        (n.protocol, n.group): n.value
        for n in numbers
        if (n.source, n.metric) == ("run", "f1") and n.table in ("averages", "groups")
    }
    assert found == pytest.approx(expected())


def test_score_reads_the_predictions_of_that_run_and_finds_the_same(run: Path) -> None:
    done = call_vpar(
        "score", "predictions.parquet", "--schema", "small.toml", "--format", "csv", folder=with_schema(run)
    )
    assert done.returncode == 0, done.stderr
    found = {
        (row["protocol"], row["group"]): float(row["value"])
        for row in csv.DictReader(io.StringIO(done.stdout))
        if row["metric"] == "f1"
    }
    assert found == pytest.approx(expected(), abs=0.006)


def with_schema(folder: Path) -> Path:
    values = '"front", "side", "back"'
    text = f'name = "small"\n[[group]]\nname = "hat"\n[[group]]\nname = "pose"\nvalues = [{values}]\n'
    (folder / "small.toml").write_text(text)
    return folder


def test_every_document_says_how_many_labels_of_each_group_are_unknown(run: Path) -> None:
    counts = ", ".join(f"{group} {N - len(rows_of(group))}" for group in GROUPS)
    assert counts in render(report([run]), "markdown")
    page = render(report([run], details=True), "markdown")
    assert "unknown" in page
    done = call_vpar("score", "predictions.parquet", "--schema", "small.toml", folder=with_schema(run))
    assert counts in " ".join(done.stdout.split())
