"""A chart as SVG for the page: drawn by matplotlib, in colours that light and dark pages can show."""

from __future__ import annotations

import io
import re
import warnings
from typing import Any
from xml.etree import ElementTree as ET

from vpar_cache.base.quiet_matplotlib import import_matplotlib
from vpar_cache.errors import printable
from vpar_cache.rendering.tables import Chart

COLORS = ("#2a7fd0", "#c2611a", "#278a57", "#8f63c4", "#d04760", "#16848f")
"""Each has a contrast of at least 3 against both backgrounds of report.css."""
_DASHES = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "^", "D", "v")
_INK = "#123456"
"""Stands for the page's text colour while matplotlib draws."""


def chart_svg(chart: Chart, name: str) -> str:
    """Return an <svg> element for an HTML page. `name` starts its ids, so that charts of one page differ.

    Lines differ by dash and marker as well as by colour. A line has a gap where a number is not finite.
    """
    mpl = import_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    settings: Any = {
        "svg.fonttype": "none", "svg.hashsalt": name, "text.parse_math": False, "text.color": _INK,
        "axes.edgecolor": _INK, "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK,
        "grid.color": _INK, "grid.alpha": 0.2, "axes.spines.top": False, "axes.spines.right": False,
    }  # fmt: skip
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of the measuring font; the browser has its own
        figure = Figure(figsize=(6.4, 3.4))
        axes = figure.add_axes((0.1, 0.15, 0.87, 0.72))
        lines = []
        for i, (_, points) in enumerate(chart.lines):
            xs, ys = zip(*points, strict=True) if points else ((), ())
            lines += axes.plot(
                xs, ys, color=COLORS[i % len(COLORS)], linestyle=_DASHES[i % len(_DASHES)],
                marker=_MARKERS[i % len(_MARKERS)], markersize=4, clip_on=False,
            )  # fmt: skip
        axes.set(xlabel=printable(chart.x_label), ylabel=printable(chart.y_label))
        axes.grid(axis="y", clip_on=False)  # a clip is a url(), which pages do without
        axes.tick_params(bottom=False, left=False)
        axes.xaxis.set_major_locator(
            MaxNLocator(6, integer=all(x == int(x) for _, points in chart.lines for x, _ in points))
        )
        axes.yaxis.set_major_locator(MaxNLocator(5))
        legend = figure.legend(
            lines, [str(i) for i in range(len(lines))], loc="upper center", ncols=max(len(lines), 1), frameon=False
        )
        for text, (label, _) in zip(legend.get_texts(), chart.lines, strict=True):
            text.set_text(printable(label))  # not as a label: matplotlib leaves out those that start with "_"
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    return _for_page(drawn.getvalue(), printable(chart.title))


def _for_page(svg: str, title: str) -> str:
    """Return the element without namespaces, style attributes (the page's policy forbids them) and fonts."""
    root = ET.fromstring(svg)
    for parent in root.iter():
        parent[:] = [child for child in parent if _local(child.tag) not in ("metadata", "style")]
    for element in root.iter():
        element.tag = _local(element.tag)
        given = {_local(key): value for key, value in element.attrib.items()}
        style = dict(re.findall(r"([\w-]+): ([^;]+)", given.pop("style", "")))
        given |= {key: value for key, value in style.items() if not key.startswith("font")}
        if element.tag == "g":
            given.pop("id", None)
        element.attrib = {key: value.replace(_INK, "currentColor") for key, value in given.items()}
    root.attrib = {"class": "chart", "role": "img", "aria-label": title, "viewBox": root.attrib["viewBox"]}
    return ET.tostring(root, encoding="unicode", short_empty_elements=False)


def _local(name: str) -> str:
    return name.rpartition("}")[2]
