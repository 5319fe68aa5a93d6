"""Arrays that do not fit are refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.made_up_scores import GROUPS, NUM_OUTPUTS
from vpar_cache.errors import DataError
from vpar_cache.metrics.inputs import check_inputs

Y = np.array([[1, 1, 0, 0, 1, 1, 0], [0, 0, 1, 0, 1, 0, 1]])
P = np.full((2, NUM_OUTPUTS), 0.5)


def with_value(array, row, column, value):
    array = array.astype(float)
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
