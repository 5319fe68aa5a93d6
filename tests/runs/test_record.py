"""run.json and metrics.json: read back as written, and refused by name where they do not fit."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from pydantic import TypeAdapter

from tests.support.fake_runs import SMALL, make_run, write
from vpar_cache.errors import CacheError
from vpar_cache.runs.finished import read_run
from vpar_cache.runs.record import MetricsRecord

SCHEMA = replace(SMALL, quality=("occlusion", "cut-out"))
DELETE = object()
ONE_PART = {"f1": 0.5, "mA": None, "best_constant": None, "shuffled": None}


def test_metrics_read_back_as_written(tmp_path):
    folder = make_run(tmp_path, "a", schema=SCHEMA, n=60, selected=0.37, details=True, unknown=0.3)
    stored = json.loads((folder / "metrics.json").read_text())
    run = read_run(folder)
    read = {field.name: getattr(run, field.name) for field in fields(MetricsRecord)}
    assert read.keys() == stored.keys()
    assert json.loads(json.dumps(TypeAdapter(MetricsRecord).dump_python(MetricsRecord(**read)))) == stored
    low, high = stored["intervals"]["protocols"]["videopar"]["groups"]["pose"]["f1"]
    assert run.intervals.of("videopar", "pose", "f1") == (low, high)
    for absent in (("vtf_selected", None, "f1"), ("vtf", "pose", "recall"), ("vtf", "no group", "f1")):
        assert run.intervals.of(*absent) is None


@pytest.mark.parametrize("fields", [{"people": 1}, {"people": None}, {"prior": None}, {"unknown": 0.3}])
def test_a_run_without_intervals_people_train_labels_or_all_labels_reads_back(tmp_path, fields):
    run = read_run(make_run(tmp_path, "a", details=True, **fields))
    assert (run.intervals.of("vtf", None, "f1") is None) == (fields == {"people": 1}) == (run.shuffled == {})
    assert (
        (run.num_people is None)
        == (run.intervals.over == "tracklets")
        == ("people" in fields and run.num_people != 1)
    )
    assert (run.best_constant == {}) == ("prior" in fields)
    assert bool(run.unknown) == ("unknown" in fields)


@pytest.mark.parametrize("file", ["run.json", "metrics.json"])
def test_a_folder_without_its_files_is_refused(tmp_path, file):
    folder = make_run(tmp_path, "a")
    (folder / file).unlink()
    with pytest.raises(CacheError, match=f"a/{file} is missing.* train the run again"):
        read_run(folder)


def test_an_exported_folder_is_named_as_such(tmp_path):
    for file in ("config.json", "model.safetensors"):
        (tmp_path / file).write_bytes(b"{}")
    with pytest.raises(CacheError, match="is an exported run"):
        read_run(tmp_path)


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
        target = target[int(key) if isinstance(target, list) else key]
    if value is DELETE:
        del target[last]
    else:
        target[last] = value
    write(path, data)


@pytest.mark.parametrize(
    ("file", "field", "value", "message"),
    [
        ("run", "name", " ", r"name: got ' '"),
        ("run", "weights", 3, "weights: got 3; expected a valid string"),
        ("run", "schema", {"name": "x"}, "schema: got {'name': 'x'}"),
        ("metrics", "num_tracklets", True, "num_tracklets: got True; expected a valid integer"),
        ("metrics", "num_tracklets", -1, "num_tracklets: got -1; expected a count"),
        ("metrics", "rows", "abc", "rows: got 'abc'"),
        ("metrics", "prior", {}, "prior: got .* expected vtf"),
        ("metrics", "scores.pooled", DELETE, "scores: got .* expected also pooled"),
        ("metrics", "scores.other", {}, "scores.other.protocol: got {}; Field required"),
        ("metrics", "scores.vtf.average.f1", 81.9, "scores.vtf.average.f1: got 81.9; expected"),
        ("metrics", "scores.vtf.average.f1", float("nan"), "scores.vtf.average.f1: got nan"),
        ("metrics", "scores.vtf.average", {"f1": 0.5}, r"scores.vtf.average: got \['f1'\]; expected also"),
        ("metrics", "scores.vtf.threshold", 0.5, r"got \('vtf', 0.5\); expected vtf at threshold 0.45"),
        ("metrics", "scores.vtf.protocol", "pooled", r"got \('pooled', 0.45\); expected vtf at"),
        ("metrics", "scores.vtf.groups.shoe", {"f1": 0.5}, r"groups: got .*'shoe'\]; expected groups of hat"),
        ("metrics", "scores.pooled.groups", {}, r"scores.pooled.groups: got \[\]; expected hat, pose"),
        ("metrics", "scores.instance.groups.hat", {"f1": 0.5}, r"scores.instance.groups: got \['hat'\]"),
        ("metrics", "best_constant.vtf.threshold", 0.5, r"best_constant.vtf: got \('vtf', 0.5\)"),
        ("metrics", "best_constant.instance", DELETE, "best_constant: got .* expected vtf, videopar, pooled"),
        ("metrics", "constants.vtf", [True] * 3, "constants.vtf: got .* expected 4 values"),
        ("metrics", "constants.instance", DELETE, "constants: got .* expected vtf, videopar, pooled"),
        ("metrics", "prior_rates", [0.5], "prior_rates: got .* expected 4 values"),
        ("metrics", "prior_rates", [0.5] * 3 + [1.5], "prior_rates: got 1.5"),
        ("metrics", "prior_rates", [], "prior_rates: got .* expected 4 values"),
        ("metrics", "shuffled.videopar", DELETE, "shuffled: got .* expected vtf, videopar, pooled"),
        ("metrics", "shuffled.vtf.average.f1", DELETE, "shuffled.vtf.average: got .* expected precision"),
        ("metrics", "shuffled.vtf.average.f1.p", 1.5, "shuffled.vtf.average.f1.p: got 1.5"),
        ("metrics", "intervals.number", -3, "intervals.number: got -3"),
        ("metrics", "intervals.over", 3, "intervals.over: got 3"),
        ("metrics", "intervals.protocols.vtf.average.f1", [0.5, 1.4], "protocols.vtf.average.f1: got 1.4"),
        ("metrics", "details.outputs", [], "details.outputs: got .* expected 4 values"),
        ("metrics", "details.bins", [], "details.bins: got .* expected 10 values"),
        ("metrics", "details.threshold_curve", [], "details.threshold_curve: got .* expected 19 values"),
        ("metrics", "details.confusions.pose", [[1, 2]] * 3, "details.confusions.pose: got .* expected 3 values"),
        ("metrics", "details.confusions.pose", [[1, 2, 3]], "details.confusions.pose: got .* expected 3 values"),
        ("metrics", "details.prior_calibration.hat", DELETE, "details.prior_calibration: got .* expected hat"),
        ("metrics", "parts.0.scores.other", ONE_PART, "parts: got .* expected vtf, videopar, pooled"),
        ("metrics", "validation.scores.vtf.threshold", 0.5, "validation.scores.vtf: got"),
        ("metrics", "validation.details.bins", [], "validation.details.bins: got .* expected 10 values"),
    ],
)  # fmt: skip
def test_a_field_that_does_not_fit_is_refused_by_name(tmp_path, file, field, value, message):
    folder = make_run(tmp_path, "a", schema=SCHEMA, n=60, selected=0.37, details=True)
    edit(folder / f"{file}.json", field.split("."), value)
    with pytest.raises(CacheError, match=message) as caught:
        read_run(folder)
    assert str(caught.value).startswith(str(folder / f"{file}.json"))
    assert "train the run again" in str(caught.value)
    assert "\n" not in str(caught.value)
