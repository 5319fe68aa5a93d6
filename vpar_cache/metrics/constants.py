"""The best constant of a protocol: the same answer for every tracklet, the best that labels alone can give.

It sees no image, so a model must beat it. Of each unit (a group, or for `instance` all outputs) it says that the
m most frequent outputs hold, where m is chosen on the train labels by that protocol's F1, from none to all. Under
`videopar` this is the most frequent class of each group. For `instance` it is one threshold on the train rates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vpar_cache.metrics.inputs import Bools, Groups, check_inputs
from vpar_cache.metrics.protocol import Numbers, Protocol, total


def best_constant(
    protocol: Protocol, labels: ArrayLike, groups: Groups, *, known: ArrayLike | None = None
) -> Bools:
    """Return which outputs hold (A,), chosen on train labels (N, A) where known (N, A).

    Of equal F1 the fewest outputs. Raises DataError for arrays that do not fit.
    """
    _, truth, is_known = check_inputs(np.zeros(np.shape(labels)), labels, groups, protocol.one_class, known=known)
    rates = truth.sum(axis=0) / np.maximum(is_known.sum(axis=0), 1)  # (A,)
    units = protocol.units(groups)
    rank = np.empty(len(rates), dtype=np.int64)  # (A,) of each output in its unit, 0 for the most frequent
    for _, columns in units:
        order = np.argsort(-rates[columns], kind="stable")  # (K,)
        rank[columns][order] = np.arange(len(order))
    sizes = np.array([columns.stop - columns.start for _, columns in units])  # (U,)
    fewest = (sizes > 1) & protocol.one_class  # (U,): one class is always the answer
    best_f1, best = np.full(len(units), -1.0), np.zeros(len(units), dtype=np.int64)  # (U,) each
    for m in range(int(rank.max()) + 2):
        f1 = _unit_f1(protocol, rank < m, truth, is_known, groups)  # (U,)
        better = (f1 > best_f1 + 1e-9) & (m >= fewest)  # (U,): sums of equal scores differ in the last digits
        best, best_f1 = np.where(better, m, best), np.where(better, f1, best_f1)  # (U,) each
    return rank < np.repeat(best, sizes)  # (A,)


def _unit_f1(protocol: Protocol, constant: Bools, truth: Bools, known: Bools, groups: Groups) -> Numbers:
    """Return the F1 of each unit (U,) for a constant (A,); 0 where no label is known."""
    answers = protocol.answers(constant[None].astype(np.float64), groups, protocol.threshold)  # (1, C)
    everywhere = np.broadcast_to(answers, (len(truth), answers.shape[1]))  # (N, C)
    by_unit, _ = protocol.metrics_of_sums(total(protocol.terms(everywhere, truth, known, groups)), groups)
    f1: Numbers = np.nan_to_num(np.array([metrics["f1"] for metrics in by_unit.values()]))  # (U,)
    return f1
