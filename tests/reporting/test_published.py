"""The published rows, and the constants that they are read against."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import vpar_cache.reporting
from tests.metrics.test_scoring import real_mars_labels
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.metrics.constants import best_constant
from vpar_cache.metrics.scoring import PROTOCOLS, THRESHOLDS
from vpar_cache.rendering.tables import Number
from vpar_cache.reporting.published import constant_numbers, published_numbers

FOLDER = Path(vpar_cache.reporting.__file__).parent
OF_MEANS = {
    "MARS": ["Zhou et al. 2023", "Rethink-PLIP", "SSPNet"],
    "DUKE": ["Zhou et al. 2023", "Rethink-PLIP", "SSPNet"],
}
"""Of EventPAR's rows those whose F1 is the harmonic mean of P and R."""


def rows(file: str) -> list[dict[str, str]]:
    return list(csv.DictReader((FOLDER / file).read_text("utf-8").splitlines()))


def all_published() -> Iterator[Number]:
    for numbers in published_numbers().values():
        yield from numbers


def test_rows_of_the_paper_stand_under_the_protocol_of_their_method() -> None:
    found = [number for number in all_published() if number.protocol != "instance"]
    assert len(found) == len(rows("published.csv")) == 93
    for number in found:
        is_vtf = "VTB" in number.system or "VTF" in number.system
        assert (number.protocol, number.threshold) == (("vtf", 0.45) if is_vtf else ("videopar", 0.5))
    values = {(n.dataset, n.system, n.group, n.metric): n.value for n in found}
    assert values["mars", "CLIP-VTF", "average", "precision"] == 81.76
    assert values["duke", "VTB", "average", "f1"] == 78.83
    assert values["mars", "VideoPAR (video)", "age", "f1"] == 40.21


def test_rows_of_eventpar_stand_under_instance_alone_with_every_printed_figure() -> None:
    found = [number for number in all_published() if number.protocol == "instance"]
    printed = rows("published_instance.csv")
    assert len(found) == 4 * len(printed)
    values = {(n.dataset.upper(), n.system, n.metric): n.value for n in found}
    for row in printed:
        for metric in ("accuracy", "precision", "recall"):
            assert values[row["dataset"], row["method"], metric] == float(row[metric])
    assert {(n.threshold, n.group, n.table) for n in found} == {(0.45, "average", "averages")}
    others = {number.system for number in all_published() if number.protocol != "instance"}
    assert {number.system for number in found} & others == {"VTB"}, "its paper and EventPAR both print it"


@pytest.mark.parametrize("dataset", ["MARS", "DUKE"])
def test_an_f1_that_is_the_harmonic_mean_of_p_and_r_stands_under_f1_of_means_alone(dataset: str) -> None:
    found = {(n.system, n.metric): n.value for n in published_numbers()[dataset] if n.protocol == "instance"}
    systems = list(dict.fromkeys(system for system, _ in found))
    of_means = [system for system in systems if (system, "f1_of_means") in found]
    assert of_means == OF_MEANS[dataset]
    for system in systems:
        p, r = found[system, "precision"], found[system, "recall"]
        assert ((system, "f1") in found) != (system in of_means)
        printed = found[system, "f1_of_means" if system in of_means else "f1"]
        assert (abs(printed - 2 * p * r / (p + r)) < 0.02) == (system in of_means)


def test_no_row_is_known_under_pooled_and_every_figure_is_a_percentage() -> None:
    assert {number.protocol for number in all_published()} == {"vtf", "videopar", "instance"}
    assert all(0 < number.value < 100 and number.source == "published" for number in all_published())


def test_every_figure_of_mars_has_the_best_constant_of_its_protocol_group_and_metric() -> None:
    constants = {(n.protocol, n.group, n.metric): n.value for n in constant_numbers()["MARS"]}
    for number in published_numbers()["MARS"]:
        assert number.best_constant == constants[number.protocol, number.group, number.metric]
    assert {number.best_constant for number in published_numbers()["DUKE"]} == {None}


def test_the_constants_are_those_of_the_real_mars_labels(real_data: Path) -> None:
    train, test = real_mars_labels(real_data)
    groups = MARS.named_slices()
    computed = {}
    for name, protocol in PROTOCOLS.items():
        held = best_constant(protocol, train, groups).astype(float)  # (A,)
        scores = protocol.score(np.broadcast_to(held, test.shape), test, groups)
        blocks = {"average": scores.average, **{group: {"f1": m["f1"]} for group, m in scores.groups.items()}}
        for group, metrics in blocks.items():
            computed |= {(name, group, metric): f"{100 * value:.2f}" for metric, value in metrics.items()}
    stored = {(row["protocol"], row["group"], row["metric"]): row["value"] for row in rows("label_constants.csv")}
    assert stored == computed
    assert {(n.protocol, n.threshold) for n in constant_numbers()["MARS"]} == set(THRESHOLDS.items())
