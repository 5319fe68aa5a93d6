"""run.json and metrics.json: read back as written, and refused by name where they do not fit."""

from __future__ import annotations

import json

import pytest

from tests.support.fake_runs import make_run, write
from vpar_cache.errors import CacheError
from vpar_cache.runs.finished import read_run


def test_metrics_read_back_as_written(tmp_path):
    folder = make_run(tmp_path, "a", selected=0.37, details=True)
    stored = json.loads((folder / "metrics.json").read_text())
    run = read_run(folder)
    for key in ("scores", "prior"):
        assert {name: scores.to_dict() for name, scores in getattr(run, key).items()} == stored[key]
    block = stored["intervals"]
    assert run.intervals.people == 6
    assert run.intervals.of("vtf", None, "recall") == tuple(block["vtf"]["average"]["recall"])
    assert run.intervals.of("videopar", "pose", "f1") == tuple(block["videopar"]["groups"]["pose"]["f1"])
    for absent in (("vtf_selected", None, "f1"), ("vtf", "pose", "recall"), ("vtf", "no group", "f1")):
        assert run.intervals.of(*absent) is None


def test_one_person_leaves_no_interval(tmp_path):
    intervals = read_run(make_run(tmp_path, "a", details=True, people=1)).intervals
    assert intervals.people == 1
    assert intervals.of("vtf", None, "f1") is None


@pytest.mark.parametrize("file", ["run.json", "metrics.json"])
def test_a_folder_without_its_files_is_refused(tmp_path, file):
    folder = make_run(tmp_path, "a")
    (folder / file).unlink()
    with pytest.raises(CacheError, match=f"a/{file} is missing.* train the run again"):
        read_run(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe\x00", b"[" * 100_000])
@pytest.mark.parametrize("file", ["run.json", "metrics.json"])
def test_a_file_that_is_not_a_json_object_is_refused(tmp_path, file, content):
    folder = make_run(tmp_path, "a")
    (folder / file).write_bytes(content)
    with pytest.raises(CacheError, match=rf"a/{file}: .* train the run again"):
        read_run(folder)


def edit(path, keys, value):
    data = json.loads(path.read_text())
    *parents, last = keys
    target = data
    for key in parents:
        target = target[key]
    target[last] = value
    write(path, data)


@pytest.mark.parametrize(
    ("file", "field", "value", "message"),
    [
        ("run", "name", " ", r"name: got ' '"),
        ("run", "weights", 3, "weights: got 3; expected a valid string"),
        ("run", "schema", {"name": "x"}, "schema: got {'name': 'x'}"),
        ("metrics", "num_tracklets", True, "num_tracklets: got True; expected a valid integer"),
        ("metrics", "prior", {}, "prior: got .* expected also"),
        ("metrics", "scores.other", {}, "scores.other.protocol: got {}; Field required"),
        ("metrics", "scores.vtf.average.f1", 81.9, "scores.vtf.average.f1: got 81.9; expected less than or equal"),
        ("metrics", "scores.vtf.average.f1", float("nan"), "scores.vtf.average.f1: got nan"),
        ("metrics", "scores.vtf.average", {"f1": 0.5}, r"scores.vtf.average: got \['f1'\]; expected precision"),
        ("metrics", "scores.vtf.threshold", 0.5, r"got \('vtf', 0.5\); expected vtf at threshold 0.45"),
        ("metrics", "scores.vtf.groups", {}, r"scores.vtf.groups: got \[\]; expected hat, pose"),
        ("metrics", "intervals.people", 0, "intervals.people: got 0"),
        ("metrics", "intervals.vtf", None, r"intervals: got \['videopar'\]; expected vtf, videopar"),
        ("metrics", "intervals.vtf.average.f1", [0.5, 0.4], r"intervals.average.vtf.f1: got \[0.5, 0.4\]; .* low"),
        ("metrics", "prior_rates", [0.5], "prior_rates: got .* expected 4 numbers"),
        ("metrics", "prior_rates", [0.5] * 3 + [1.5], "prior_rates.3: got 1.5"),
    ],
)  # fmt: skip
def test_a_field_that_does_not_fit_is_refused_by_name(tmp_path, file, field, value, message):
    folder = make_run(tmp_path, "a", selected=0.37, details=True)
    edit(folder / f"{file}.json", field.split("."), value)
    with pytest.raises(CacheError, match=message) as caught:
        read_run(folder)
    assert str(caught.value).startswith(str(folder / f"{file}.json"))
    assert "train the run again" in str(caught.value)
    assert "\n" not in str(caught.value)
