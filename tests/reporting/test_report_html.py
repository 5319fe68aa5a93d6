"""`vpar report --html`: the page beside the tables."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rendering.test_page import Page
from tests.support.fake_runs import make_run
from vpar_cli.main import run

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Calls `vpar report` in an empty folder; gives its status, stdout and stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["vpar", "report", *arguments])
        before = signal.getsignal(signal.SIGTERM)
        try:
            with pytest.raises(SystemExit) as stop:
                run()
        finally:
            signal.signal(signal.SIGTERM, before)
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return call


def headings(page: Path, level: int) -> list[str]:
    return Page(page.read_text("utf-8")).texts[f"h{level}"]


@pytest.mark.parametrize("format", ["rich", "csv"])
def test_the_tables_print_as_ever_and_stderr_says_where_the_page_is(
    report: Call, tmp_path: Path, format: str
) -> None:
    make_run(tmp_path / "cache/runs", "a", details=True)
    code, tables, _ = report("--format", format)
    assert report("--format", format, "--html", "out/page.html") == (code, tables, "page: out/page.html\n")
    assert code == 0
    assert headings(tmp_path / "out/page.html", 1) == ["Pedestrian attribute recognition"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["page.html"]


def test_the_page_has_every_detail_and_the_differences_of_runs_that_can_be_compared(
    report: Call, tmp_path: Path
) -> None:
    for name, n in (("a", 24), ("b", 24), ("c", 48)):
        make_run(tmp_path / "cache/runs", name, n=n, seed=ord(name), details=True)
    assert report("--html", "page.html")[0] == 0
    parts = headings(tmp_path / "page.html", 2)
    assert parts[3:] == ["a", "b", "c", "b less a", "How to read the numbers"]
    assert any("calibration" in heading for heading in headings(tmp_path / "page.html", 3))


def test_what_cannot_be_compared_for_want_of_predictions_is_left_out_and_both_say_so(
    report: Call, tmp_path: Path
) -> None:
    make_run(tmp_path / "cache/runs", "a", details=True)
    make_run(tmp_path / "cache/runs", "b", seed=1)
    code, _, notes = report("--html", "page.html")
    assert code == 0
    line = "no comparison of b with a: cache/runs/b/predictions.parquet is missing"
    assert line in notes
    assert any(text.startswith(line) for text in Page((tmp_path / "page.html").read_text()).texts["li"])
    parts = headings(tmp_path / "page.html", 2)
    assert "b" in parts, "its details are in metrics.json"
    assert "b less a" not in parts


def test_without_runs_the_page_has_the_published_rows(report: Call, tmp_path: Path) -> None:
    code, _, notes = report("--html", "page.html")
    assert code == 0
    assert "no finished run" in notes
    assert headings(tmp_path / "page.html", 2)[1:] == ["MARS", "DUKE", "How to read the numbers"]


def test_an_existing_page_is_replaced_only_when_asked_whoever_wrote_it(report: Call, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("years of work")
    code, out, err = report("--html", "page.html")
    assert (code, out) == (2, "")
    assert "page.html" in err
    assert "--overwrite" in err
    assert page.read_text() == "years of work"
    assert report("--html", "page.html", "--overwrite")[0] == 0
    assert headings(page, 1) == ["Pedestrian attribute recognition"]


def test_the_contents_of_many_runs_are_short(report: Call, tmp_path: Path) -> None:
    for i in range(1, 12):
        make_run(tmp_path / "cache/runs", f"run-{i}", seed=i, details=True)
    assert report("--html", "page.html")[0] == 0
    page = Page((tmp_path / "page.html").read_text("utf-8"))
    assert page.texts["summary"] == ["Single runs (11)", "Differences between runs (10)"]
    assert page.texts["a"][1:13] == [*(f"run-{i}" for i in range(1, 12)), "run-2 less run-1"]
    targets = [f"#{a['id']}" for tag, a in page.tags if tag == "h2" and a["id"].startswith("part-")]
    assert [a["href"] for tag, a in page.tags if tag == "a"] == targets


@pytest.mark.parametrize(
    "arguments", [["--html", "run-a"], ["--html", "p.html", "--format", "pdf"], ["--html", ""]]
)
def test_an_error_writes_nothing(report: Call, tmp_path: Path, arguments: list[str]) -> None:
    code, out, err = report(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())
