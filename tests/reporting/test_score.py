"""Anybody's predictions: what is accepted, what is refused, and that both protocols are the report's."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.fake_runs import SMALL, groups_of, predictions
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.errors import DataError
from vpar_cache.metrics.scoring import score_block
from vpar_cache.rendering.formats import render
from vpar_cache.rendering.tables import Table
from vpar_cache.reporting.score import score

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


@pytest.mark.parametrize("schema", [SMALL, MARS])
def test_scores_are_those_of_both_protocols(file, schema):
    result = score(file(columns(schema)), schema)
    expected = score_block(*predictions(schema, N), groups_of(schema), None)
    assert {protocol: scores.to_dict() for protocol, scores in result.scores.items()} == expected
    assert (result.file, result.schema, result.num_tracklets) == ("mine.parquet", schema.name, N)


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
    expected = score_block(p.astype(np.float64), labels, groups_of(SMALL), None)
    assert {protocol: scores.to_dict() for protocol, scores in result.scores.items()} == expected


def test_of_several_splits_only_test_rows_are_scored(file):
    data = columns()
    alone = score(file({key: values[8:] for key, values in data.items()}), SMALL)
    data["probabilities"][0] = [float("nan")] * 4  # not looked at: a train row
    data["tracklet_id"] = ["same"] * 8 + IDS[8:]
    result = score(file({**data, "split": ["train"] * 8 + ["test"] * 4}), SMALL)
    assert result.scores == alone.scores
    assert result.notes == ("only test rows scored, of 8 train, 4 test",)


def test_of_one_split_all_rows_are_scored(file):
    result = score(file({**columns(), "split": ["val"] * N}), SMALL)
    assert result.num_tracklets == N
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
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"mine\.csv: .*parquet"):
        score(path, SMALL)


def test_no_flipped_bit_escapes_as_anything_but_a_data_error(file):
    """And with the checksums that a writer may add, none in the columns passes unseen."""
    path = file(columns(), write_page_checksum=True)
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    expected = score(path, SMALL).scores
    rng = np.random.default_rng(0)
    for _ in range(400):
        damaged, position = bytearray(whole), int(rng.integers(len(whole)))
        damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            scores = score(path, SMALL).scores
        except DataError:
            continue
        assert scores == expected or position >= footer


@pytest.mark.parametrize("name", ["nothing.parquet", "."])
def test_a_path_that_is_no_file_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="no such file"):
        score(tmp_path / name, SMALL)


def test_the_table_names_the_protocol_of_every_column_and_ends_in_the_average(file):
    result = score(file(columns()), SMALL)
    table = result.parts[0].blocks[0]
    assert isinstance(table, Table)
    assert all(title.startswith(("vtf ", "videopar ")) for title in table.header[1:])
    assert [row[0] for row in table.rows] == ["hat", "pose", "average"]
    assert table.rows[-1][3] == f"{100 * result.scores['vtf'].average['f1']:.2f}"


def test_every_score_is_in_the_long_table(file):
    result = score(file(columns()), SMALL)
    for number in result.parts[0].numbers:
        scores = result.scores[number.protocol]
        metrics = scores.average if number.table == "averages" else scores.groups[number.group]
        assert (number.value, number.source, number.n) == (100 * metrics[number.metric], "predictions", N)
        assert f"{number.value:.2f}" in render(result, "markdown")
