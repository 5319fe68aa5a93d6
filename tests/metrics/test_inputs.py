"""Arrays that do not fit are refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.made_up_scores import GROUPS, NUM_OUTPUTS
from vpar_cache.errors import DataError
from vpar_cache.metrics.inputs import check_inputs

Y = np.array([[1, 1, 0, 0, 1, 1, 0], [0, 0, 1, 0, 1, 0, 1]])
P = np.full((2, NUM_OUTPUTS), 0.5)
KNOWN = np.ones(Y.shape, bool)


def with_value(array, row, column, value):
    array = array.astype(bool if isinstance(value, bool) else float)
    array[row, column] = value
    return array


@pytest.mark.parametrize(
    ("probabilities", "labels", "groups", "message"),
    [
        (P[0], Y[0], GROUPS, r"shape \(7,\) and labels \(7,\)"),
        (P, Y[:1], GROUPS, r"shape \(2, 7\) and labels \(1, 7\)"),
        (P.astype(str), Y, GROUPS, "must be numbers"),
        (P[:0], Y[:0], GROUPS, "0 tracklets"),
        (P, Y, GROUPS[:-1], "7 outputs, but the groups take 5"),
        (with_value(P, 1, 2, np.nan), Y, GROUPS, r"row 1, output 2 \(pose\): probability nan must lie in 0 to 1"),
        (with_value(P, 0, 4, 1.5), Y, GROUPS, r"row 0, output 4 \(gender\): probability 1.5"),
        (P, with_value(Y, 1, 6, 2), GROUPS, r"row 1, output 6 \(age\): label 2.0 must be 0 or 1"),
        (P, with_value(Y, 1, 6, np.nan), GROUPS, "label nan must be 0 or 1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(probabilities, labels, groups, message):
    with pytest.raises(DataError, match=message):
        check_inputs(probabilities, labels, groups)


def test_messages_name_the_tracklet_where_names_are_given():
    with pytest.raises(DataError, match="tracklet '0002C1T0001', output 3"):
        check_inputs(with_value(P, 1, 3, np.inf), Y, GROUPS, names=["0001C1T0001", "0002C1T0001"])


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (KNOWN[:1], r"known: .* \(1, 7\).* \(2, 7\)"),
        (KNOWN.astype(int), "known: got int64"),
        (with_value(KNOWN, 1, 2, False), r"row 1, output 1 \(pose\): some labels"),
        (with_value(KNOWN, 0, 5, False), r"row 0, output 5 \(age\): some labels"),
        (~KNOWN, "none of the labels of 2"),
    ],
)
def test_a_mask_that_does_not_fit_or_knows_a_group_in_part_is_refused(known, message):
    with pytest.raises(DataError, match=message):
        check_inputs(P, Y, GROUPS, known=known)


@pytest.mark.parametrize("value", [np.nan, -1, 1, 7])
def test_an_unknown_label_may_hold_any_value_and_is_read_as_0(value):
    labels = with_value(Y, 0, slice(1, 4), value)
    known = with_value(KNOWN, 0, slice(1, 4), False)
    _, truth, is_known = check_inputs(P, labels, GROUPS, one_class=True, known=known)
    assert truth.tolist() == (Y.astype(bool) & known).tolist()
    assert is_known.tolist() == known.tolist()


def test_everything_is_known_without_a_mask():
    p, truth, known = check_inputs(Y, Y, GROUPS)
    assert known.all()
    assert p.dtype.kind == "f"
    assert truth.dtype == known.dtype == bool
