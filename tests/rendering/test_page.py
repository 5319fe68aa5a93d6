"""The HTML page as text: nothing acts, nothing is loaded, nothing is lost."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fake_runs import make_mars_run, make_run
from tests.support.pages import BARS, CHART, GROUPS, HOSTILE, part, parts
from vpar_cache import __version__
from vpar_cache.errors import CacheError, UserError, printable
from vpar_cache.rendering.page import check_page_path, render_page, write_page
from vpar_cache.rendering.tables import Notes, Table
from vpar_cache.reporting.report import report as make_report

CSS = (Path(__file__).resolve().parents[2] / "vpar_cache" / "rendering" / "report.css").read_text("utf-8")
VOID = {"meta", "link"}
LOADING = {
    "src",
    "srcset",
    "srcdoc",
    "data",
    "poster",
    "action",
    "formaction",
    "background",
    "style",
}


class Page(HTMLParser):
    """The elements of a page, in order, and the text in each kind of them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[tuple[str, list[str]]] = []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs)
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self._open.append((tag, []))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        name, texts = self._open.pop()
        assert name == tag
        self.texts.setdefault(tag, []).append("".join(texts).strip())

    def handle_data(self, data):
        for _, texts in self._open:
            texts.append(data)

    def values(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.tags if name in attributes]


def structure(page: str) -> Counter[str]:
    return Counter(tag for tag, _ in Page(page).tags)


def test_a_page_is_well_formed_and_its_headings_are_in_order() -> None:
    page = render_page(parts(*HOSTILE))
    read = Page(page)
    assert page.startswith("<!doctype html>\n")
    assert dict(read.tags)["html"] == {"lang": "en"}
    levels = [int(tag[1]) for tag, _ in read.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1 == levels[0]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = read.values("id")
    assert len(ids) == len(set(ids))
    for reference in [*read.values("aria-labelledby"), *(v.removeprefix("#") for v in read.values("href"))]:
        assert reference == "data:," or set(reference.split()) <= set(ids)


def test_a_page_loads_nothing() -> None:
    page = render_page(parts(*HOSTILE), HOSTILE)
    for tag, attributes in Page(page).tags:
        assert tag not in {"img", "iframe", "object", "embed", "base", "form", "image", "video", "audio"}
        assert not LOADING & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("href", "#").startswith("#") or (tag, attributes["href"]) == ("link", "data:,")
    plain = render_page(parts("x"))
    assert not re.search(r"https?:|//\w|src=|url\(|@import|fetch|XMLHttp|import\(|eval", plain)


def test_the_policy_lets_only_our_own_script_and_style_act() -> None:
    page = render_page(parts(*HOSTILE))
    read = Page(page)
    (policy,) = (a["content"] for _, a in read.tags if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    for tag in ("script", "style"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
    before = [tag for tag, _ in read.tags].index("style")
    assert any("http-equiv" in attributes for _, attributes in read.tags[:before])


@pytest.mark.slow
def test_hostile_names_show_as_text_wherever_they_stand() -> None:
    plain = structure(render_page(parts("x"), ["x"]))
    for name in filter(None, HOSTILE):
        read = Page(render_page(parts(name), [name]))
        assert structure(render_page(parts(name), [name])) == plain
        shown = printable(name).strip()
        for tag, least in (("h2", 1), ("h3", 1), ("p", 1), ("th", 3), ("td", 2), ("li", 2), ("text", 3)):
            assert read.texts[tag].count(shown) >= least, (tag, name)
        assert printable(name) in read.values("aria-label")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=30) | st.text("<>\"'&/=!-{}%#sript \n", max_size=30))
def test_no_name_changes_the_elements_of_a_page(name: str) -> None:
    def page(text: str) -> str:
        return render_page([part(text, Table(text, (text,), ((text,),)))])

    assert structure(page(name)) == structure(page("x"))


def test_the_same_blocks_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        write_page(tmp_path / name, parts(*HOSTILE))
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    page = (tmp_path / "a.html").read_text("utf-8")
    assert f"vpar-cache {__version__}" in page
    assert all(character.isprintable() or character == "\n" for character in page)


def test_all_that_the_report_prints_is_on_the_page(tmp_path: Path, small_paper_split: int) -> None:
    make_mars_run(tmp_path, "mars-a", selected=0.37)
    make_run(tmp_path, "demo-a", weights="random:0", random_weights=True, encode_seconds_per_tracklet=1)
    (make_run(tmp_path, "cut") / "metrics.json").unlink()
    report = make_report([], tmp_path)
    read = Page(render_page(report.parts, report.notes))
    for block in (block for one in report.parts for block in one.blocks):
        if isinstance(block, Notes):
            assert set(block.lines) <= set(read.texts["li"])
        elif isinstance(block, Table):
            assert block.title in read.texts["h3"]
            assert not block.caption or block.caption in read.texts["p"]
            cells = [cell for row in (block.header, *block.rows) for cell in row]
            assert not Counter(cells) - Counter(read.texts["th"] + read.texts["td"])
    assert set(report.notes) <= set(read.texts["li"])
    assert "All runs: random weights." in read.texts["p"]


def test_a_number_has_a_bar_of_the_share_that_a_constant_reaches_and_none_without_a_constant() -> None:
    classes = [a.get("class", "") for tag, a in Page(render_page([part("demo", BARS)])).tags if tag == "td"]
    assert classes == [
        "number bar bar-0", "number bar bar-50", "number bar-over",
        "number bar bar-100", "number bar bar-30", "number",
    ]  # fmt: skip
    plain = [a.get("class", "") for tag, a in Page(render_page([part("demo", GROUPS)])).tags if tag == "td"]
    assert set(plain) == {"number"}


@pytest.mark.parametrize("share", [0.0, 0.0249, 0.026, 0.5, 0.974, 0.976, 0.999])
def test_every_bar_has_a_width_within_half_a_step_of_its_share(share: float) -> None:
    page = Page(render_page([part("demo", replace(BARS, bars=((None, share, None, None),) * 2))]))
    (step,) = {int(found) for a in page.values("class") for found in re.findall(r"\bbar-(\d+)", a)}
    assert abs(step - 100 * share) <= 2.5
    (width,) = re.findall(rf"\.bar-{step} {{ --share: (\d+)%; }}", CSS)
    assert int(width) == step


def test_a_title_does_not_repeat_the_name_of_its_part() -> None:
    page = Page(render_page([part("run 9", Table("run 9: outputs", ("a",), ()), Table("other", ("a",), ()))]))
    assert page.texts["h3"] == ["outputs", "other"]
    assert page.texts["a"] == ["run 9"]


def test_a_chart_is_drawn_with_its_legend_and_the_average_stands_in_the_foot() -> None:
    page = Page(render_page([part("demo", GROUPS, CHART)]))
    (figure,) = page.texts["figure"]
    assert "run 10" in figure
    assert [attributes["aria-label"] for tag, attributes in page.tags if tag == "svg"] == [CHART.title]
    assert page.texts["tfoot"] == ["average2.503.00"]


@pytest.mark.parametrize("name", ["", "run-a", "mars.h5", "page.html/", "page"])
def test_a_name_that_is_no_page_is_refused(name: str, tmp_path: Path) -> None:
    if name.endswith("/"):
        (tmp_path / name).mkdir()
        with pytest.raises(CacheError, match="move that folder away"):
            write_page(tmp_path / name, [])
        return
    with pytest.raises(UserError, match=r"--html: got '.*'; expected .*\.html"):
        check_page_path(Path(name))


def variables(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


def luminance(color: str) -> float:
    channels = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_the_contrast_that_wcag_asks_of_text_and_of_lines(scheme: str) -> None:
    light, dark = re.split(r"@media screen and \(prefers-color-scheme: dark\)", CSS)
    colors = variables(light if scheme == "light" else dark)
    assert set(variables(light)) == set(variables(dark))
    for behind in ("page", "hover", "bar", "over"):
        for text in ("ink", "muted", "link"):
            assert contrast(colors[text], colors[behind]) >= 4.5, (text, behind)
    for line in ("rule", "link"):
        assert contrast(colors[line], colors["page"]) >= 3, line
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
