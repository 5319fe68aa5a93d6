"""Tables as data: the long form, and charts as tables."""

from __future__ import annotations

import pytest

from vpar_cache.metrics.intervals import Intervals
from vpar_cache.metrics.protocol import ProtocolScores
from vpar_cache.rendering.tables import LONG_COLUMNS, Chart, chart_table, long_rows, percent, signed_percent

SCORES = ProtocolScores("vtf", 0.45, {"hat": {"f1": 0.5}}, {"f1": 0.81944})
INTERVALS = Intervals(
    "m", 3, 1000, {"vtf": {"f1": (0.7, 0.9)}}, {"vtf": {"hat": {"f1": (0.25, 0.75)}}}
)  # fmt: skip


def test_a_chart_as_a_table_has_every_point_once_and_a_dash_where_a_line_has_none():
    chart = Chart("t", "x", "y, %", (("a", ((0.5, 1.0), (0.05, 2.25))), ("b", ((0.1, 3.0),))))
    table = chart_table(chart)
    assert (table.title, table.header) == ("t: y, %", ("x", "a", "b"))
    assert table.rows == (("0.05", "2.25", "–"), ("0.1", "–", "3"), ("0.5", "1", "–"))


def test_intervals_stand_beside_the_scores_they_are_of_and_nowhere_else():
    scores = {"vtf": SCORES, "vtf_selected": SCORES, "videopar": SCORES}
    rows = list(long_rows("d", "s", "run", "openai", scores, INTERVALS))
    found = {(r["protocol"], r["table"], r["group"], r["metric"]): r["value"] for r in rows}
    assert found.pop(("vtf", "1", "average", "f1_95_low")) == "70.00"
    assert found.pop(("vtf", "1", "average", "f1_95_high")) == "90.00"
    assert found.pop(("vtf", "2", "hat", "f1_95_low")) == "25.00"
    assert found.pop(("vtf", "2", "hat", "f1_95_high")) == "75.00"
    assert {key[-1] for key in found} == {"f1"}
    assert len(found) == 6
    assert set(rows[0]) <= set(LONG_COLUMNS)


@pytest.mark.parametrize(("value", "text", "signed"), [(0.5, "50.00", "+50.00"), (None, "–", "–")])
def test_a_number_that_nobody_has_is_a_dash(value, text, signed):
    assert (percent(value), signed_percent(value)) == (text, signed)
    assert signed_percent(-0.0123) == "-1.23"
