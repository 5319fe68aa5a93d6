"""The numbers of docs/metrics.md are those of its formulas, computed here one by one, and those of the program."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from statistics import mean

import numpy as np
import pytest

from tests.support.layers import PROJECT
from vpar_cache.metrics.intervals import RESAMPLES
from vpar_cache.metrics.outputs import NUM_BINS
from vpar_cache.metrics.protocol import ProtocolScores
from vpar_cache.metrics.scoring import PROTOCOLS
from vpar_cache.metrics.shuffled import SHUFFLES

PAGE = (PROJECT / "docs" / "metrics.md").read_text("utf-8")
EXAMPLE = re.findall(r"^\| \d \| ([\d.;, ]+) \| ([\d;, ]+) \|$", PAGE, re.MULTILINE)
P, Y = (np.array([[float(x) for x in re.split("[;,]", row[k])] for row in EXAMPLE]) for k in (0, 1))  # (4, 4) each
GROUPS = [("hat", slice(0, 1)), ("top", slice(1, 4))]
SHOWN = {
    (protocol, group or ""): [float(cell) if cell.strip() else None for cell in cells.split("|")]
    for protocol, group, cells in re.findall(
        r"^\| `(\w+)`(?:, (\w+))? \|((?:[ \d.]*\|){5}[ \d.]*)\|$", PAGE, re.MULTILINE
    )
}
COLUMNS = ("precision", "recall", "f1", "f1_of_means", "accuracy", "mA")


def ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else 0.0


def prf(hits: float, said: float, true: float) -> tuple[float, float, float]:
    return ratio(hits, said), ratio(hits, true), ratio(2 * hits, said + true)


def counts(rows: Iterable[int], outputs: Iterable[int]) -> tuple[float, float, float]:
    places = [(i, a) for i in rows for a in outputs]
    said = {place for place in places if P[place] > 0.45}
    true = {place for place in places if Y[place] == 1}
    return len(said & true), len(said), len(true)


def by_tracklet(outputs: list[int]) -> list[float]:
    return [mean(column) for column in zip(*(prf(*counts([i], outputs)) for i in range(4)), strict=True)]


def of_means(precision: float, recall: float) -> float:
    return ratio(2 * precision * recall, precision + recall)


def mean_accuracy(a: int) -> float:
    yes, no = [i for i in range(4) if Y[i, a] == 1], [i for i in range(4) if Y[i, a] == 0]
    return (
        ratio(sum(P[i, a] > 0.45 for i in yes), len(yes)) + ratio(sum(P[i, a] <= 0.45 for i in no), len(no))
    ) / 2


def with_means(found: Iterable[float], accuracy: float | None, mA: float) -> list[float | None]:  # noqa: N803
    precision, recall, f1 = found
    return [precision, recall, f1, of_means(precision, recall), accuracy, mA]


def answers(group: str) -> tuple[list[int], list[int], int]:
    """The answers and labels of a group under videopar, and how many values it has."""
    if group == "hat":
        return [int(p > 0.5) for p in P[:, 0]], [int(y) for y in Y[:, 0]], 2
    return [int(np.argmax(p)) for p in P[:, 1:]], [int(np.argmax(y)) for y in Y[:, 1:]], 3


def videopar(group: str) -> list[float | None]:
    said, true, values = answers(group)
    f1 = [
        ratio(2 * sum(s == t == c for s, t in zip(said, true, strict=True)), said.count(c) + true.count(c))
        for c in range(values)
    ]
    return [None, None, mean(f1), None, mean(s == t for s, t in zip(said, true, strict=True)), None]


def averages(rows: Callable[[str], list[float | None]]) -> list[float | None]:
    both = [rows("hat"), rows("top")]
    found = [None if a is None or b is None else (a + b) / 2 for a, b in zip(*both, strict=True)]
    if found[0] is not None and found[1] is not None:
        found[3] = of_means(found[0], found[1])
    return found


def vtf(group: str) -> list[float | None]:
    if group == "hat":
        return with_means(prf(*counts(range(4), [0])), None, mean_accuracy(0))
    return with_means(by_tracklet([1, 2, 3]), None, mean(map(mean_accuracy, (1, 2, 3))))


def formula(protocol: str, group: str) -> list[float | None]:
    if protocol == "videopar":
        return averages(videopar) if group == "average" else videopar(group)
    if protocol == "vtf":
        return averages(vtf) if group == "average" else vtf(group)
    if protocol == "pooled":
        return with_means(prf(*counts(range(4), [1, 2, 3])), None, mean(map(mean_accuracy, (1, 2, 3))))
    sets = [counts([i], range(4)) for i in range(4)]
    accuracy = mean(ratio(hits, said + true - hits) for hits, said, true in sets)
    return with_means(by_tracklet([0, 1, 2, 3]), accuracy, mean(map(mean_accuracy, range(4))))


def test_the_example_has_all_protocols() -> None:
    assert P.shape == Y.shape == (4, 4)
    assert {protocol for protocol, _ in SHOWN} == set(PROTOCOLS)


@pytest.mark.parametrize(("protocol", "group"), SHOWN)
def test_a_row_of_the_example_is_that_of_the_formulas_and_of_the_program(protocol: str, group: str) -> None:
    by_hand = [None if value is None else round(100 * value, 2) for value in formula(protocol, group)]
    assert by_hand == SHOWN[protocol, group]
    scores: ProtocolScores = PROTOCOLS[protocol].score(P, Y.astype(int), GROUPS)
    found = scores.groups.get(group, scores.average)
    rounded = [round(100 * found[name], 2) if name in found else None for name in COLUMNS]
    assert rounded == SHOWN[protocol, group]


def test_the_counts_that_the_page_names_are_those_of_the_program() -> None:
    assert f"S = {SHUFFLES} times" in PAGE
    assert f"1 / {SHUFFLES + 1} = {1 / (SHUFFLES + 1):.3f}" in PAGE
    assert f"percentile of {RESAMPLES:,} such scores" in " ".join(PAGE.split())
    assert f"{NUM_BINS} bins of equal width" in PAGE
