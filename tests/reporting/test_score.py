"""Anybody's predictions: what is accepted, what is refused, and that all protocols are the report's."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.metrics.test_scoring import real_mars_labels
from tests.support.fake_runs import SMALL, groups_of, known_labels, make_run, predictions
from tests.support.hostile_files import call_vpar
from tests.support.made_up_scores import set_scores
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.errors import DataError
from vpar_cache.metrics.evaluation import baselines
from vpar_cache.metrics.scoring import score_all
from vpar_cache.rendering.formats import render
from vpar_cache.rendering.tables import Notes, Table
from vpar_cache.reporting.score import read_train_labels, schema_of, score

N = 12
IDS = [f"{i:04d}C1T0001" for i in range(N)]


def columns(schema=SMALL):
    probabilities, labels = predictions(schema, N)
    return {"tracklet_id": IDS, "probabilities": probabilities.tolist(), "labels": labels.tolist()}


@pytest.fixture
def file(tmp_path):
    def write(data, **kwargs):
        pq.write_table(pa.table(data), tmp_path / "mine.parquet", **kwargs)
        return tmp_path / "mine.parquet"

    return write


def expected_scores(probabilities, labels, schema=SMALL, **known):
    return score_all(probabilities, labels, groups_of(schema), **known)


@pytest.mark.parametrize("schema", [SMALL, MARS])
def test_scores_are_those_of_all_protocols(file, schema):
    result = score(file(columns(schema)), schema)
    assert result.evaluation.scores == expected_scores(*predictions(schema, N), schema)
    assert list(result.evaluation.scores) == ["vtf", "videopar", "pooled", "instance"]
    assert result.title == f"mine.parquet: {N} tracklets, schema {schema.name}"
    assert result.evaluation.num_tracklets == N


@pytest.mark.parametrize(
    ("probability_type", "label_type"),
    [
        (pa.list_(pa.float32()), pa.list_(pa.uint8())),
        (pa.large_list(pa.float64()), pa.large_list(pa.int64())),
        (pa.list_(pa.float64(), 4), pa.list_(pa.bool_(), 4)),
        (pa.list_(pa.float16()), pa.list_(pa.float32())),
    ],
)
def test_every_kind_of_number_and_list_is_read(file, probability_type, label_type):
    probabilities, labels = predictions(SMALL, N)
    p = probabilities.astype(np.float16)
    data = {
        "labels": pa.array(labels.tolist(), pa.list_(pa.int64())).cast(pa.list_(label_type.value_type)),
        "tracklet_id": pa.array(IDS).dictionary_encode(),
        "probabilities": pa.array([list(row) for row in p], pa.list_(pa.float16())),
    }
    data["labels"] = data["labels"].cast(label_type)
    data["probabilities"] = (
        data["probabilities"].cast(pa.list_(probability_type.value_type)).cast(probability_type)
    )
    result = score(file(data, row_group_size=5), SMALL)
    assert result.evaluation.scores == expected_scores(p.astype(np.float64), labels)


def test_of_several_splits_only_test_rows_are_scored(file):
    data = columns()
    alone = score(file({key: values[8:] for key, values in data.items()}), SMALL)
    data["probabilities"][0] = [float("nan")] * 4  # not looked at: a train row
    data["tracklet_id"] = ["same"] * 8 + IDS[8:]
    result = score(file({**data, "split": ["train"] * 8 + ["test"] * 4}), SMALL)
    assert result.evaluation.scores == alone.evaluation.scores
    assert result.notes == ("only test rows scored, of 8 train, 4 test",)


def test_of_one_split_all_rows_are_scored(file):
    result = score(file({**columns(), "split": ["val"] * N}), SMALL)
    assert result.evaluation.num_tracklets == N
    assert result.notes == ("all rows scored: 12 val",)


def replaced(column, row, value):
    data = columns()
    data[column][row] = value
    return data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"tracklet_id": IDS, "labels": columns()["labels"]}, "column 'probabilities'"),
        (replaced("probabilities", 3, [0.5] * 3), "'0003C1T0001' .* 3 probabilities.* 4"),
        (replaced("probabilities", 2, [0.5, None, 0.5, 0.5]), "'0002C1T0001', output 1 .* nan"),
        (replaced("probabilities", 2, [0.5, 0.5, 0.5, 1.5]), "'0002C1T0001', output 3 .* 1.5"),
        (replaced("labels", 1, [2**62 + 1, 1, 0, 0]), r"'0001C1T0001', output 0 \(hat\)"),
        (replaced("labels", 1, [1, 1, 0, 1]), r"'0001C1T0001', output 1 \(pose\): 2 labels"),
        ({**columns(), "tracklet_id": [*IDS[:-1], IDS[0]]}, "'0000C1T0001' has 2 rows"),
        ({**columns(), "tracklet_id": [*IDS[:-1], None]}, "row 11: tracklet_id"),
        ({**columns(), "labels": [["a"] * 4] * N}, "'labels' is list<"),
        ({**columns(), "split": ["train"] * 6 + ["val"] * 6}, "6 train, 6 val"),
        ({**columns(), "person_id": [1.5] * N}, "'person_id' is double"),
        ({**columns(), "person_id": [None, *range(1, N)]}, "'person_id' is int64 with 1 empty rows"),
        (replaced("labels", 1, [1, None, 0, 0]), r"'0001C1T0001', output 1 \(pose\): some labels of the group"),
        (replaced("labels", 1, [2, 1, 0, 0]), r"'0001C1T0001', output 0 \(hat\): label 2"),
        ({**columns(), "labels": [[-1] * 4] * N}, "none of the labels of 12 tracklets is known"),
        (pa.table(columns()).slice(0, 0), "0 rows"),
    ],
)
def test_predictions_that_do_not_fit_are_refused_by_name(tmp_path, data, words):
    path = tmp_path / "mine.parquet"
    pq.write_table(data if isinstance(data, pa.Table) else pa.table(data), path)
    with pytest.raises(DataError, match=words) as caught:
        score(path, SMALL)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"tracklet_id,probabilities\n", b"PAR1" + bytes(200) + b"PAR1"])
def test_a_file_that_is_not_parquet_is_refused(tmp_path, content):
    path = tmp_path / "mine.data"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"mine\.data: .*parquet.*ends in \.csv"):
        score(path, SMALL)


@pytest.mark.slow
def test_no_flipped_bit_escapes_as_anything_but_a_data_error(file):
    """And with the checksums that a writer may add, none in the columns passes unseen."""
    path = file(columns(), write_page_checksum=True)
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    expected = score(path, SMALL).evaluation.scores
    rng = np.random.default_rng(0)
    for _ in range(200):
        damaged, position = bytearray(whole), int(rng.integers(len(whole)))
        damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            scores = score(path, SMALL).evaluation.scores
        except DataError:
            continue
        assert scores == expected or position >= footer


@pytest.mark.parametrize(("name", "words"), [("nothing.parquet", "no such file"), (".", "a folder; give")])
def test_a_path_that_is_no_file_is_refused(tmp_path, name, words):
    with pytest.raises(DataError, match=words):
        score(tmp_path / name, SMALL)


def test_a_run_folder_is_explained(tmp_path):
    folder = make_run(tmp_path, "mine", details=True)
    with pytest.raises(DataError, match=r"run folder.*vpar report .*predictions\.parquet"):
        score(folder, SMALL)


@pytest.mark.parametrize("lists", [pa.list_view, pa.large_list_view])
def test_what_polars_writes_is_read(file, lists):
    data = columns()
    data = {
        "tracklet_id": pa.array(IDS, pa.string_view()),
        "split": pa.array(["test"] * N, pa.string_view()),
        "probabilities": pa.array(data["probabilities"], lists(pa.float64())),
        "labels": pa.array(data["labels"], lists(pa.int64())),
    }
    assert score(file(data), SMALL).evaluation.scores == expected_scores(*predictions(SMALL, N))


def test_integers_name_tracklets(file):
    data = {**columns(), "tracklet_id": list(range(N))}
    assert score(file(data), SMALL).evaluation.scores == expected_scores(*predictions(SMALL, N))
    data["tracklet_id"][1] = 0
    with pytest.raises(DataError, match="'0' has 2 rows"):
        score(file(data), SMALL)


@pytest.mark.parametrize(("value", "exact"), [(1 + 9e-7, 1.0), (-9e-7, 0.0)])
def test_a_probability_that_float32_rounded_beyond_the_range_is_its_end(file, value, exact):
    one, other = columns(), columns()
    one["probabilities"][3][0], other["probabilities"][3][0] = value, exact
    assert score(file(one), SMALL).evaluation == score(file(other), SMALL).evaluation
    one["probabilities"][3][0] = 1.00001 if value > 1 else -0.00001
    with pytest.raises(DataError, match="'0003C1T0001', output 0"):
        score(file(one), SMALL)


NAMES = [output.name for output in SMALL.outputs]


def csv_lines(separator, as_lists):
    data = columns()
    yield ["tracklet_id", "person_id"] + (
        ["probabilities", "labels"] if as_lists else [f"{k} {n}" for k in ("probability", "label") for n in NAMES]
    )
    for i, (p, y) in enumerate(zip(data["probabilities"], data["labels"], strict=True)):
        mark = "," if separator == ";" else "."
        values = (
            [json.dumps(p), json.dumps(y)] if as_lists else [*(str(v).replace(".", mark) for v in p), *map(str, y)]
        )
        yield [IDS[i], str(i // 2), *values]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("as_lists", [True, False])
def test_a_csv_file_scores_as_the_parquet_file_does(file, tmp_path, separator, as_lists):
    with (tmp_path / "mine.csv").open("w", newline="") as handle:
        csv.writer(handle, delimiter=separator).writerows(csv_lines(separator, as_lists))
    wanted = score(file({**columns(), "person_id": [i // 2 for i in range(N)]}), SMALL)
    assert score(tmp_path / "mine.csv", SMALL).evaluation == wanted.evaluation
    train = read_train_labels(tmp_path / "mine.csv", SMALL)
    assert train.rates.tolist() == read_train_labels(tmp_path / "mine.parquet", SMALL).rates.tolist()


def test_unknown_labels_of_a_csv_file(tmp_path):
    text = "tracklet_id,probabilities,label hat,label pose front,label pose side,label pose back\n"
    (tmp_path / "a.csv").write_text(text + '1,"[0.9,1,0,0]",,1,0,0\n2,"[0.1,1,0,0]",1,NA,nan,-1\n')
    found = score(tmp_path / "a.csv", SMALL).evaluation
    assert found.unknown == {"hat": 1, "pose": 1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("tracklet_id,labels\n1,[1]\n", "'probabilities' .* nor 'probability hat'"),
        ("tracklet_id,probabilities,labels\n", "0 rows"),
        ("tracklet_id,probabilities,labels\n1,[1\n", "line 2 has 2 cells"),
        ("tracklet_id,probabilities,labels\n1,x,[1]\n", "line 2, column 'probabilities': got 'x'"),
        ('tracklet_id,probabilities,labels\n1,"[""a""]",[1]\n', "line 2, column 'probabilities'.*JSON list"),
        ("tracklet_id,probabilities,labels\n1," + "[" * 99999 + ",[1]\n", "line 2, column 'probabilities'"),
        ('tracklet_id,probabilities,labels\n1,"[0.1]","[1]"\n', "1 probabilities.* 4 outputs"),
        ("tracklet_id,probability hat,labels\n1,0.5,[1]\n", "3 of 4 columns are missing, first 'probability pose"),
        (
            'tracklet_id,person_id,probabilities,labels\n1,x,"[1,1,0,0]","[1,1,0,0]"\n',
            "column 'person_id': got 'x'",
        ),
        ("tracklet_id,labels,labels\n1,1,1\n", "twice"),
    ],
)
def test_a_csv_file_that_does_not_fit_is_refused_with_its_place(tmp_path, text, words):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        score(tmp_path / "a.csv", SMALL)
    assert str(caught.value).startswith(f"{tmp_path / 'a.csv'}")
    assert len(str(caught.value)) < 600


def tables(result):
    return [block for block in result.parts[0].blocks if isinstance(block, Table)]


def said(result):
    (notes,) = (block for block in result.parts[0].blocks if isinstance(block, Notes))
    return " ".join(notes.lines)


def test_each_protocol_has_a_table_that_names_it_and_ends_in_the_average(file):
    result = score(file(columns()), SMALL, train_labels())
    for table, (name, scores) in zip(tables(result), result.evaluation.scores.items(), strict=True):
        assert f", {name}" in table.title
        groups = [] if name == "instance" else ["hat", "pose"]
        assert [row[0] for row in table.rows] == [*groups, "average"]
        cells = dict(zip(table.header, table.rows[-1], strict=True))
        assert cells["F1"] == f"{100 * scores.average['f1']:.2f}"
        best = result.evaluation.best_constant[name].average["f1"]
        assert cells["best constant F1"] == f"{100 * best:.2f}"
        assert cells["shuffled F1"] == f"{100 * result.evaluation.shuffled[name].average['f1'].mean:.2f}"
        assert cells["p"] == f"{result.evaluation.shuffled[name].average['f1'].p:.3f}"


def test_every_score_is_in_the_long_table_with_its_protocol_and_threshold(file):
    result = score(file(columns()), SMALL, train_labels())
    for number in result.parts[0].numbers:
        scores = result.evaluation.scores[number.protocol]
        metrics = scores.average if number.table == "averages" else scores.groups[number.group]
        assert (number.value, number.source, number.n) == (100 * metrics[number.metric], "predictions", N)
        assert number.threshold == scores.threshold
        assert number.best_constant is not None
        if number.metric == "f1":
            assert f"{number.value:.2f}" in render(result, "markdown")


# --- unknown labels, people, train labels ---

UNKNOWN = {"null": None, "NaN": float("nan"), "-1": -1}


def brute_force_vtf_f1(p, y, known):
    """Average vtf F1 of SMALL over known cells, by counting."""
    rows = [i for i in range(len(y)) if known[i, 0]]
    hits = sum(p[i, 0] > 0.45 and y[i, 0] == 1 for i in rows)
    said = sum(p[i, 0] > 0.45 for i in rows) + sum(y[i, 0] == 1 for i in rows)
    hat = 2 * hits / said if said else 0
    each = []
    for i in (i for i in range(len(y)) if known[i, 1]):
        chosen, true = ({a for a in (1, 2, 3) if values[i, a] > 0.45} for values in (p, y))
        each.append(set_scores(chosen, true)[2])
    return (hat + sum(each) / len(each)) / 2


@pytest.mark.parametrize("value", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_unknown_labels_count_in_no_score_however_they_are_written(file, value):
    probabilities, labels = predictions(SMALL, 60, seed=3)
    known = known_labels(SMALL, 60, 0.3)
    assert 0.2 < (~known).mean() < 0.4
    cells = [
        [float(y) if k else value for y, k in zip(*rows, strict=True)] for rows in zip(labels, known, strict=True)
    ]
    ids = [f"t{i}" for i in range(60)]
    found = score(file({"tracklet_id": ids, "probabilities": probabilities.tolist(), "labels": cells}), SMALL)
    assert found.evaluation.scores == expected_scores(probabilities, labels, known=known)
    assert found.evaluation.scores["vtf"].average["f1"] == pytest.approx(
        brute_force_vtf_f1(probabilities, labels, known)
    )
    assert found.evaluation.unknown == {"hat": (~known[:, 0]).sum(), "pose": (~known[:, 1]).sum()}
    assert f"hat {(~known[:, 0]).sum()}, pose {(~known[:, 1]).sum()}" in said(found)


def test_people_are_shuffled_and_resampled_where_the_file_has_them_and_tracklets_otherwise(file):
    alone = score(file(columns()), SMALL)
    people = score(file({**columns(), "person_id": [i // 3 for i in range(N)]}), SMALL)
    assert (alone.evaluation.num_people, people.evaluation.num_people) == (None, 4)
    assert (alone.evaluation.intervals.over, people.evaluation.intervals.over) == ("tracklets", "people")
    remark = "people are not known, so intervals and shuffles are over tracklets"
    assert remark in said(alone)
    assert remark not in said(people)


def train_labels():
    return baselines(predictions(SMALL, 30)[1], groups_of(SMALL))


def test_without_train_labels_no_constant_is_shown_and_the_output_says_so(file):
    bare, full = (score(file(columns()), SMALL, train) for train in (None, train_labels()))
    assert "--train-labels" in said(bare)
    assert "--root" in said(bare)
    assert "--train-labels" not in said(full)
    assert {number.best_constant for number in bare.parts[0].numbers} == {None}
    assert not [table for table in tables(bare) if "best constant F1" in table.header]
    assert "best constant by" in said(full) or "not above the best constant" in said(full)


def test_train_labels_are_the_train_rows_of_a_file_and_unknown_ones_do_not_count(file):
    labels = predictions(SMALL, N)[1].tolist()
    labels[0] = [None, 0, 1, 0]
    train = read_train_labels(file({"tracklet_id": IDS, "labels": labels}), SMALL)
    known = np.ones((N, 4), bool)
    known[0, 0] = False
    cells = np.array([[0 if y is None else y for y in row] for row in labels])
    expected = baselines(cells, groups_of(SMALL), known=known)
    assert train.rates.tolist() == expected.rates.tolist()
    split = ["train"] * 6 + ["test"] * 6
    part = read_train_labels(file({"tracklet_id": IDS, "labels": labels, "split": split}), SMALL)
    assert part.rates.tolist() == baselines(cells[:6], groups_of(SMALL), known=known[:6]).rates.tolist()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"tracklet_id": IDS}, "column 'labels'"),
        ({"tracklet_id": IDS, "labels": [[1, 0]] * N}, "'0000C1T0001' has 2 labels"),
        ({"tracklet_id": IDS, "labels": [[1, 1, 1, 0]] * N}, "'0000C1T0001', output 1 .*2 labels of the group"),
        ({"tracklet_id": IDS, "labels": columns()["labels"], "split": ["test"] * N}, "no train row"),
    ],
)
def test_train_labels_that_do_not_fit_are_refused_by_name(file, data, words):
    path = file(data)
    with pytest.raises(DataError, match=words) as caught:
        read_train_labels(path, SMALL)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_train_labels_come_from_a_dataset_s_folder_only_where_the_schema_is_its_own(file, tmp_path):
    path = file(columns())
    (tmp_path / "own.toml").write_text('name = "own"\n[[group]]\nname = "hat"\n')
    done = call_vpar("score", str(path), "--schema", "own.toml", "--root", "folder", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--root: got folder with the schema own" in done.stderr


def test_a_table_of_people_says_its_schema_and_its_mark(tmp_path):
    """As `vpar predict` writes it, once labels are joined."""
    table = pa.table(columns())
    about = {"vpar.schema": json.dumps(SMALL.to_dict()), "vpar.note": "random weights"}
    pq.write_table(table.replace_schema_metadata(about), tmp_path / "people.parquet")
    done = call_vpar("score", "people.parquet", "--format", "json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert {number["group"] for number in printed["numbers"]} >= {group.name for group in SMALL.groups}
    assert "random weights" in printed["notes"]


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"name": "x", "groups": 3, "quality": []}'])
def test_a_damaged_schema_of_a_table_is_named(tmp_path, text):
    pq.write_table(pa.table(columns()).replace_schema_metadata({"vpar.schema": text}), tmp_path / "people.parquet")
    with pytest.raises(DataError, match=r"people\.parquet: .*--schema"):
        schema_of(tmp_path / "people.parquet")


# --- the real MARS labels ---


@pytest.fixture(scope="module")
def mars_files(real_data, tmp_path_factory):
    """A folder with the test labels beside the train rates, the train labels, and the dataset's lists."""
    folder = tmp_path_factory.mktemp("mars")
    train, test = real_mars_labels(real_data)
    rates = np.broadcast_to(train.mean(axis=0), test.shape)
    for name, labels, more in (
        ("test", test, {"probabilities": pa.array(rates.tolist())}),
        ("train", train, {}),
    ):
        ids = [f"{name}-{i}" for i in range(len(labels))]
        table = {"tracklet_id": ids, "labels": pa.array(labels.tolist(), pa.list_(pa.uint8())), **more}
        pq.write_table(pa.table(table), folder / f"{name}.parquet")
    with zipfile.ZipFile(real_data / "mars_meta" / "info.zip") as archive:
        archive.extractall(folder / "root")
    shutil.copy(real_data / "mars_meta" / "mars_attributes.csv", folder / "root")
    return folder


@pytest.mark.parametrize("option", [["--train-labels", "train.parquet"], ["--root", "root"], []])
@pytest.mark.slow
def test_the_command_prints_what_constants_score_on_the_real_mars_labels(mars_files, monkeypatch, option):
    monkeypatch.setattr("vpar_cache.metrics.shuffled.SHUFFLES", 2)  # of no interest here
    monkeypatch.setattr("vpar_cache.metrics.intervals.RESAMPLES", 100)
    done = call_vpar("score", "test.parquet", "--schema", "mars", *option, "--format", "json", folder=mars_files)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    rows = {
        number["protocol"]: (number["value"], number["best_constant"])
        for number in printed["numbers"]
        if (number["group"], number["metric"]) == ("average", "f1")
    }
    best = (54.62, 32.16, 54.62, 61.68) if option else (None,) * 4
    values = zip((31.05, 32.16, 31.05, 59.39), best, strict=True)
    assert rows == dict(zip(("vtf", "videopar", "pooled", "instance"), values, strict=True))
    assert any("--train-labels" in note for note in printed["notes"]) == (not option)
