"""Intervals as stored in metrics.json: read back as written, and refused where they do not fit."""

from __future__ import annotations

import copy
import json
import subprocess
import sys

import pytest

from tests.support.fake_runs import make_run
from vpar_cache.errors import CacheError
from vpar_cache.runs.scores import read_run


@pytest.fixture
def folder(tmp_path):
    return make_run(tmp_path, "a", details=True)


def edited(folder, edit):
    path = folder / "metrics.json"
    metrics = json.loads(path.read_text())
    edit(metrics)
    path.write_text(json.dumps(metrics))
    return folder


def test_intervals_read_back(folder):
    block = json.loads((folder / "metrics.json").read_text())["intervals"]
    run = read_run(folder)
    assert run.intervals.people == 6
    assert run.intervals.of("vtf", None, "recall") == tuple(block["vtf"]["average"]["recall"])
    assert run.intervals.of("videopar", "pose", "f1") == tuple(block["videopar"]["groups"]["pose"]["f1"])
    for absent in (("vtf_selected", None, "f1"), ("vtf", "pose", "recall"), ("vtf", "no group", "f1")):
        assert run.intervals.of(*absent) is None
    shown = run.intervals.to_dict()
    assert shown["vtf"]["average"]["f1"] == [round(100 * end, 2) for end in block["vtf"]["average"]["f1"]]


def test_a_run_from_before_there_were_any_has_none(tmp_path):
    run = read_run(make_run(tmp_path, "old"))
    assert run.intervals is run.prior_rates is None


def test_one_person_left_no_interval(tmp_path):
    intervals = read_run(make_run(tmp_path, "a", details=True, people=1)).intervals
    assert intervals.people == 1
    assert intervals.of("vtf", None, "f1") is None
    assert intervals.to_dict()["vtf"] is None


@pytest.mark.parametrize("end", [[0.5, 0.4], [-0.1, 0.5], [0.5, 1.1], [0.5], [float("nan"), 0.5], [True, 1], "ab"])
def test_an_interval_that_is_none_is_refused(folder, end):
    edited(folder, lambda metrics: metrics["intervals"]["vtf"]["average"].update(f1=end))
    with pytest.raises(CacheError, match=r"'intervals': vtf average f1 is .* must be \[low, high\] from 0 to 1"):
        read_run(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: m.update(intervals=[1]), r"it is \[1\], but must be an object"),
        (lambda m: m["intervals"].update(vtf=None), "vtf is None, but must hold average and groups"),
        (lambda m: m["intervals"]["vtf"].update(groups=3), "must hold average and groups"),
        (
            lambda m: m["intervals"]["vtf"]["groups"].pop("hat"),
            r"groups \['pose'\] are not the schema's hat, pose",
        ),
        (lambda m: m["intervals"]["videopar"]["groups"].update(pose=1), "videopar pose f1 is None"),
        (lambda m: m["intervals"].update(people=0), "'people' is 0, but must be a whole number"),
        (lambda m: m["intervals"].update(resamples="many"), "'resamples' is 'many'"),
        (lambda m: m["intervals"].update(people=1), "'people' is 1, but intervals take at least two"),
    ],
)
def test_a_block_that_does_not_fit_is_refused_by_name(folder, edit, message):
    edited(folder, edit)
    with pytest.raises(CacheError, match=message) as caught:
        read_run(folder)
    assert str(folder / "metrics.json") in str(caught.value)
    assert "train it again" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rates", "message"),
    [([0.5], "holds 1 numbers"), ([0.5] * 3 + [1.5], "holds 1.5"), ([0.5] * 3 + ["1"], "'1'"), (0.5, "be list")],
)
def test_prior_rates_that_do_not_fit_are_refused(folder, rates, message):
    edited(folder, lambda metrics: metrics.update(prior_rates=copy.copy(rates)))
    with pytest.raises(CacheError, match=message):
        read_run(folder)


def test_the_plain_report_does_not_import_scipy(folder):
    code = (
        "import sys; from pathlib import Path; from vpar_cache.reporting.report import build_report\n"
        f"build_report([], Path({str(folder.parent)!r})); print('scipy.stats' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
