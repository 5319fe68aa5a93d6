"""The best constant against trying all constants."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings

from tests.support.made_up_scores import GROUPS, NUM_OUTPUTS, masked_matrices, random_known, random_labels
from vpar_cache.errors import DataError
from vpar_cache.metrics.constants import best_constant
from vpar_cache.metrics.scoring import PROTOCOLS


def f1_of(protocol, held, labels, known):
    """F1 by unit of the same answer (A,) for every tracklet; units without a known label are absent."""
    scores = protocol.score(np.tile(held, (len(labels), 1)).astype(float), labels, GROUPS, known=known)
    return (
        {"all outputs": scores.average["f1"]} if protocol.joint else {n: g["f1"] for n, g in scores.groups.items()}
    )


def most_frequent(labels, known, columns, m):
    """The m most frequent outputs of those in `columns`, of equals the first: (A,)."""
    rates = {a: labels[known[:, a], a].mean() if known[:, a].any() else 0.0 for a in range(NUM_OUTPUTS)[columns]}
    held = np.zeros(NUM_OUTPUTS, bool)
    held[sorted(rates, key=lambda a: -rates[a])[:m]] = True
    return held


@settings(max_examples=50, deadline=None)
@given(masked_matrices())
def test_it_is_the_best_m_of_the_most_frequent_of_each_unit_and_of_equals_the_fewest(data):
    _, labels, known, _ = data
    for name, protocol in PROTOCOLS.items():
        chosen = best_constant(protocol, labels, GROUPS, known=known)
        for unit, columns in protocol.units(GROUPS):
            size = columns.stop - columns.start
            fewest = int(protocol.one_class and size > 1)
            choices = [most_frequent(labels, known, columns, m) for m in range(fewest, size + 1)]
            f1 = [f1_of(protocol, held, labels, known).get(unit, 0.0) for held in choices]
            best = next(held for held, value in zip(choices, f1, strict=True) if value > max(f1) - 1e-9)
            assert chosen[columns].tolist() == best[columns].tolist(), (name, unit, f1)


@pytest.mark.parametrize("name", ["vtf", "videopar", "pooled"])
@pytest.mark.parametrize("seed", range(3))
def test_no_other_constant_has_a_higher_f1_in_any_group(name, seed):
    rng = np.random.default_rng(seed)
    labels, known = random_labels(rng, 25), random_known(rng, 25)
    labels[known[:, 0] & (rng.random(25) < 0.5), 0] = 1
    protocol = PROTOCOLS[name]
    best = f1_of(protocol, best_constant(protocol, labels, GROUPS, known=known), labels, known)
    every = [f1_of(protocol, np.array(held), labels, known) for held in product([0, 1], repeat=NUM_OUTPUTS)]
    assert best == {group: pytest.approx(max(one[group] for one in every)) for group in best}


@pytest.mark.parametrize("seed", range(4))
def test_under_videopar_it_says_the_most_frequent_class_of_each_group(seed):
    labels = random_labels(np.random.default_rng(seed), 31)
    held = best_constant(PROTOCOLS["videopar"], labels, GROUPS)
    for _, columns in GROUPS:
        share = labels[:, columns].mean(axis=0)
        likely = share > 0.5 if len(share) == 1 else np.arange(len(share)) == share.argmax()
        assert held[columns].tolist() == likely.tolist()


@pytest.mark.parametrize("n", range(1, 40))
def test_of_equal_f1_it_takes_the_fewest_outputs(n):
    """Rates of 2/3 and 1/3: one output scores 2/3, and both outputs score 2/3 for every tracklet."""
    labels = np.repeat(np.eye(3), [2 * n, n, 0], axis=0)
    for name in ("vtf", "pooled", "instance"):
        held = best_constant(PROTOCOLS[name], labels, [("pose", slice(0, 3))])
        assert held.tolist() == [True, False, False], name


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="exactly one class"):
        best_constant(PROTOCOLS["videopar"], np.ones((2, NUM_OUTPUTS)), GROUPS)
    with pytest.raises(DataError, match="label 2"):
        best_constant(PROTOCOLS["vtf"], np.full((2, NUM_OUTPUTS), 2), GROUPS)
