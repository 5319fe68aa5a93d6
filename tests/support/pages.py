"""Blocks for the tests of rendering, with names that try to be more than names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vpar_cache.rendering.tables import Chart, Notes, Number, Part, Table

NASTY = "[red]a|b[/] \\ `c` <i>*d*_e_\nf\x1b[31m\u202eg"

HOSTILE = (
    "<script>window.pwned = 1</script>",
    '"onmouseover="window.pwned = 1',
    "'><img src=x onerror=window.pwned=1>",
    "</style><script>window.pwned = 1</script>",
    "</title></desc></svg><svg onload=window.pwned=1>",
    "<!--",
    "]]>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;",
    "javascript:window.pwned=1",
    "https://example.org/x.png",
    "a\x00\x1b[31m\r\nb",
    "\u202egnp.exe\u2066",
    "\ud800",
    "\u2028 ",
    "",
)


@dataclass
class Pages:
    """A document."""

    parts: list[Part]


def number(**fields: Any) -> Number:
    """A number of the table `groups`."""
    about = {"table": "groups", "dataset": "d", "system": "s", "source": "run"}
    plain = {"protocol": "vtf", "threshold": 0.45, "group": "hat", "metric": "f1", "value": 50.0}
    return Number(**{**about, **plain, **fields})


SCORES = Table(
    "Table 1. demo: averages",
    ("System", "Source", "F1", "acc"),
    (
        ("run 10", "run", "9.50", "70.00"),
        ("run 9", "run", "–", "70.00"),
        ("prior", "prior", "100.00", "–"),
        ("B", "published", "-3.25", "70.00"),
        ("a (random weights)", "run", "81.94", "80.1 to 83.2"),
    ),
    num_labels=2,
    caption="All runs: strict.",
)
GROUPS = Table(
    "Table 2. demo: groups",
    ("Group", "prior", "run 9"),
    (("hat", "3.00", "1.00"), ("pose", "2.00", "5.00"), ("average", "2.50", "3.00")),
    last_is_average=True,
)
BARS = Table(
    "Table 3. demo: bars",
    ("System", "P", "F1", "mA"),
    (("run 9", "80.00", "70.00", "60.00"), ("run 10", "50.00", "40.00", "–")),
    bars=((None, 0.0, 0.52, 1.0), (None, 0.99, 0.275, None)),
)
"""With how much of each number a constant reaches."""
CURVE = Table("Curve", ("Threshold", "F1"), tuple((x, "1.00") for x in ("0.05", "0.1", "0.45 to 0.5", "0.2")))
CHART = Chart(
    "F1 by epoch",
    "epoch",
    "F1",
    (
        ("run 9", ((1.0, 0.25), (2.0, 0.5), (3.0, 0.75))),
        ("run 10", ((1.0, 0.3), (2.0, float("nan")), (3.0, 0.6), (4.0, 0.61))),
    ),
)
NOTES = Notes(("vtf: probability > 0.45", "a plain remark"))


def part(title: str, *blocks: Table | Chart | Notes) -> Part:
    """A part without numbers."""
    return Part(title, (), blocks)


def parts(*names: str) -> list[Part]:
    """A page of every kind of block; each name stands wherever a name can."""
    named = [
        block
        for name in names
        for block in (
            Table(name, (name, name), ((name, name), ("average", name)), caption=name, last_is_average=True),
            Chart(name, name, name, ((name, ((0.0, 1.0), (1.0, 2.0))),)),
            Notes((name, f"{name}: {name}")),
        )
    ]
    return [part("demo", SCORES, GROUPS, CHART, NOTES), *(part(name, *named) for name in names[:1])]


def wide(columns: int, rows: int) -> Table:
    """More than fits on any screen."""
    header = ("Group", *(f"a-run-of-some-length-{i}" for i in range(columns)))
    return Table("Wide", header, tuple((f"group {i}", *("50.00",) * columns) for i in range(rows)))
