"""Reading run folders: nothing in them is believed."""

from __future__ import annotations

import json

import pytest

from tests.support.fake_runs import make_run, write
from vpar_cache.errors import CacheError
from vpar_cache.runs.scores import find_runs, read_run


def test_a_finished_run_reads_back(tmp_path):
    run = read_run(make_run(tmp_path, "demo-a", selected=0.37))
    assert (run.name, run.dataset, run.weights, run.random_weights) == ("demo-a", "demo", "openai", False)
    assert run.place == "demo (24 test tracklets of 6 people)"
    assert list(run.scores) == list(run.prior) == ["vtf", "videopar", "vtf_selected"]
    stored = json.loads((tmp_path / "demo-a" / "metrics.json").read_text())
    assert {key: scores.to_dict() for key, scores in run.scores.items()} == stored["scores"]


def test_either_sign_of_random_weights_is_enough(tmp_path):
    run = read_run(make_run(tmp_path, "a", weights="random:0", random_weights=False))
    assert (run.weights, run.random_weights) == ("random:0", True)
    run = read_run(make_run(tmp_path, "b", weights="mine.pt", random_weights=True))
    assert (run.weights, run.random_weights) == ("random (mine.pt)", True)


def test_the_cost_is_told_only_where_it_was_measured(tmp_path):
    measured = {"epoch_seconds_per_tracklet": 0.01, "encode_seconds_per_tracklet": 1.49, "num_train": 8000}
    assert read_run(make_run(tmp_path, "a", **measured)).cost == (
        "an epoch of 8000 tracklets cost 80 s on cached features; with the encoder in every epoch it would have "
        "cost 3.33 h, 150 times as much"
    )
    for i, missing in enumerate(({"encode_seconds_per_tracklet": None}, {"epoch_seconds_per_tracklet": 0.0})):
        assert read_run(make_run(tmp_path, f"b{i}", **measured | missing)).cost is None


def test_a_run_is_found_by_folder_or_by_name_and_counts_once(tmp_path, monkeypatch):
    folder = make_run(tmp_path / "runs", "demo-a")
    monkeypatch.chdir(tmp_path)
    found = find_runs(
        [folder, folder.relative_to(tmp_path), tmp_path / "runs" / ".." / "runs" / "demo-a"], tmp_path
    )
    assert found == [folder]
    assert find_runs([folder.relative_to(tmp_path / "runs")], tmp_path / "runs") == [folder]


def test_an_unknown_run_is_refused_with_the_nearest_name(tmp_path):
    make_run(tmp_path, "demo-vtf-0-a1b2c3")
    with pytest.raises(CacheError, match=r"run 'demo-vtf' is no folder.* did you mean 'demo-vtf-0-a1b2c3'"):
        find_runs([(tmp_path / "demo-vtf").relative_to(tmp_path)], tmp_path)
    with pytest.raises(CacheError, match="holds no finished run"):
        find_runs([tmp_path / "x"], tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("file", "message"),
    [("run.json", "no run.json, so it is no run folder"), ("metrics.json", "did not finish; train it again")],
)
def test_a_folder_without_its_files_is_refused(tmp_path, file, message):
    folder = make_run(tmp_path, "a")
    (folder / file).unlink()
    with pytest.raises(CacheError, match=message):
        read_run(folder)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "\x00", "[" * 100_000])
@pytest.mark.parametrize("file", ["run.json", "metrics.json"])
def test_a_file_that_is_no_json_object_is_refused(tmp_path, file, text):
    folder = make_run(tmp_path, "a")
    (folder / file).write_text(text)
    with pytest.raises(CacheError, match=rf"a/{file}.* train it again"):
        read_run(folder)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    folder = make_run(tmp_path, "a")
    (folder / "run.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CacheError, match="is no JSON"):
        read_run(folder)


@pytest.mark.parametrize(
    ("file", "path", "value", "message"),
    [
        ("run.json", ["name"], None, "'name' is None, but must be str"),
        ("run.json", ["name"], " ", "'name' is ' ', but must be str"),
        ("run.json", ["weights"], 3, "'weights' is 3, but must be str"),
        ("run.json", ["random_weights"], "no", "'random_weights' is 'no', but must be bool"),
        ("run.json", ["schema"], {"name": "x"}, "stored schema does not fit"),
        ("metrics.json", ["num_tracklets"], True, "'num_tracklets' is True, but must be int"),
        ("metrics.json", ["scores", "videopar"], None, "'scores', videopar: stored scores do not fit"),
        ("metrics.json", ["prior", "vtf"], None, "'prior', vtf: stored scores do not fit"),
        ("metrics.json", ["scores", "vtf", "average", "f1"], 81.9, "stored score 81.9 must be a fraction"),
        ("metrics.json", ["scores", "vtf", "threshold"], 0.5, "'vtf' at threshold 0.5, but must be vtf at 0.45"),
        ("metrics.json", ["scores", "vtf", "protocol"], "videopar", "as 'videopar' .* must be vtf at 0.45"),
        ("metrics.json", ["scores", "vtf_selected", "protocol"], "x", "as 'x' .* must be vtf at 0.37"),
        ("metrics.json", ["scores", "vtf", "groups"], {}, "groups .* are not the schema's hat, pose"),
    ],
)
def test_a_field_that_does_not_fit_is_refused_by_name(tmp_path, file, path, value, message):
    folder = make_run(tmp_path, "a", selected=0.37)
    data = json.loads((folder / file).read_text())
    *parents, last = path
    target = data
    for key in parents:
        target = target[key]
    target[last] = value
    write(folder / file, data)
    with pytest.raises(CacheError, match=message) as caught:
        read_run(folder)
    assert str(folder / file) in str(caught.value)
    assert "again" in str(caught.value)
    assert "\n" not in str(caught.value)
