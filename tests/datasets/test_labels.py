"""Label files: every spelling in use is read, anything else is refused with the place and the rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpar_cache.attributes.duke_table import DUKE
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.attributes.schema import Group, Output, Schema
from vpar_cache.datasets import labels
from vpar_cache.datasets.labels import KeyColumn, LabelFile, normalise_header, read_labels
from vpar_cache.errors import DataError

SHOP = Schema(
    "shop",
    (
        Group("hat", (Output("hat", "a hat"),), ("hat",), "no hat"),
        Group(
            "top color",
            (Output("top color black", "black top"), Output("top color red", "red top")),
            ("top color", "upcolor"),
        ),
    ),
    ("occlusion", "multi-person"),
)
KEYS = (KeyColumn("tracklet", ("sequence",)), KeyColumn("camera_id", optional=True))
HEADER = "tracklet,camera_id,hat,top color,occlusion,multi-person"


def read(tmp_path: Path, text: str | bytes) -> LabelFile:
    path = tmp_path / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_labels(path, SHOP, KEYS)


def test_a_row_holds_keys_labels_and_flags(tmp_path: Path) -> None:
    file = read(tmp_path, f"{HEADER}\na,2,1,1,0,1\n")
    (row,) = file.rows
    assert row.keys == {"tracklet": "a", "camera_id": "2"}
    assert row.integer("camera_id") == 2
    assert row.labels.tolist() == [1, 0, 1]
    assert row.quality.tolist() == [0, 1]
    assert row.labels.dtype == row.quality.dtype == np.uint8
    assert file.notes == ()
    assert row.known.all()


@pytest.mark.parametrize(
    "text",
    [
        "\ufefftracklet,camera_id,hat,top color,occlusion,multi-person\r\na,2,1,1,0,1\r\n",
        "Tracklet,CAMERA ID,Hat,top_color,occlusion,muti-person\na,2,1,1,0,1",
        "multi person,top-color,hat,occlusion,camera-id,tracklet\n1,1,1,0,2,a\n\n",
        "sequence,camera_id,hat,upcolor,occlusion,multi-person\n a , 2 , 1 , 1 , 0 , 1 \n",
        'tracklet,other,camera_id,hat,top color,occlusion,multi-person,\n"a","x,y",2,1,1,0,1,\n',
    ],
    ids=["excel", "case-and-separators", "any-order", "second-spelling-and-spaces", "extra-columns"],
)
def test_all_spellings_in_use_read_the_same(tmp_path: Path, text: str) -> None:
    (row,) = read(tmp_path, text).rows
    assert (row.keys, row.labels.tolist(), row.quality.tolist()) == (
        {"tracklet": "a", "camera_id": "2"},
        [1, 0, 1],
        [0, 1],
    )


def test_optional_columns_may_lack_and_a_note_says_so(tmp_path: Path) -> None:
    file = read(tmp_path, "tracklet,hat,top color,occlusion\na,0,0,1\n")
    assert file.rows[0].keys == {"tracklet": "a"}
    assert file.rows[0].quality.tolist() == [1, 0]
    assert file.notes == ("labels.csv has no column for multi-person: counted as 0",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"labels\.csv is empty; its first line must name the columns"),
        (HEADER, "has a header but no rows"),
        (
            "tracklet,hat,top colour\na,0,0\n",
            r"column 'top color' is missing \(accepted: 'top color', 'upcolor'\): rename 'top colour'",
        ),
        ("x,y\na,b\n", r"column 'tracklet' is missing .*'x', 'y'$"),
        (
            "tracklet,hat,top color,upcolor\na,0,0,1\n",
            "'top color' and 'upcolor' both mean 'top color': keep",
        ),
        (f"{HEADER}\na,2,1,1,0\n", "line 2 has 5 fields, but the header has 6"),
        (
            f"{HEADER}\na,2,2,1,0,1\n",
            "line 2, column 'hat': '2' is not a valid label; write 0 = no hat, 1 = a hat",
        ),
        (
            "tracklet,hat,upcolor\na,0,-2\n",
            r"labels\.csv line 2, column 'upcolor': '-2' is not a valid label; "
            "write 0 = black, 1 = red, or nothing: "
            "an empty cell is unknown",
        ),
        (f"{HEADER}\na,2,1.5,1,0,1\n", "column 'hat': '1.5' is not a valid label"),
        (f"{HEADER}\na,2,none,1,0,1\n", "column 'hat': 'none' is not a valid label"),
        (f"{HEADER}\na,2,\u0661,1,0,1\n", "column 'hat': '\u0661' is not a valid label"),  # a digit, but not ASCII
        (f"{HEADER}\na,2,{'9' * 5000},1,0,1\n", r"column 'hat': '9{60}\.\.\.' is not a valid label"),
        (f"{HEADER}\na,2,1,1,yes,1\n", "column 'occlusion': 'yes' is not a valid label; write 0 = no, 1 = yes"),
        (f'{HEADER}\n"a,2,1,1,0,1\n', "is not valid CSV"),
        (f"{HEADER}\na,2,1,1,0,1\n".encode("utf-16"), r"line 1: byte 0xff is not UTF-8"),
        (f"{HEADER}\nJosé,2,1,1,0,1\n".encode("latin-1"), r"line 2: byte 0xe9 is not UTF-8"),
        (f"{HEADER}\n" + "a" * 200_000 + ",2,1,1,0,1\n", "is not valid CSV .*field"),
    ],
)
def test_an_invalid_file_is_refused_with_place_and_rule(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("text", ["", " ", "-1", "-1.0", "NA", "n/a", "NaN", "nan"])
@pytest.mark.parametrize(("hat", "color", "known"), [("?", "1", [0, 1, 1]), ("1", "?", [1, 0, 0])])
def test_an_unknown_label_has_no_value(tmp_path: Path, text: str, hat: str, color: str, known: list[int]) -> None:
    (row,) = read(tmp_path, f"{HEADER}\na,2,{hat},{color},0,1\n".replace("?", text)).rows
    assert row.known.tolist() == known
    assert row.known.dtype == np.bool_
    assert row.labels.tolist() == [n * value for n, value in zip(known, [1, 0, 1], strict=True)]


@pytest.mark.parametrize("one", ["1", "1.0", "True", "TRUE", "true", "01"])
@pytest.mark.parametrize("zero", ["0", "0.0", "False", "false"])
def test_numbers_and_words_of_other_programs_are_integers(tmp_path: Path, one: str, zero: str) -> None:
    (row,) = read(tmp_path, f"{HEADER}\na,2,{one},{zero},{zero},{one}\n").rows
    assert (row.labels.tolist(), row.known.all()) == ([1, 1, 0], True)
    assert row.quality.tolist() == [0, 1]


def test_unknown_flags_count_as_0_and_a_note_counts_them(tmp_path: Path) -> None:
    file = read(tmp_path, f"{HEADER}\na,2,1,1,,1\nb,2,1,1,NA,-1\nc,2,1,1,1,1\n")
    assert [row.quality.tolist() for row in file.rows] == [[0, 1], [0, 0], [1, 1]]
    assert file.notes == ("labels.csv has unknown quality flags (multi-person 1, occlusion 2): counted as 0",)


def test_a_file_over_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "MAX_FILE_BYTES", 60)
    with pytest.raises(DataError, match="is over 60 bytes"):
        read(tmp_path, f"{HEADER}\na,2,1,1,0,1\nb,2,1,1,0,1\n")


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_labels(tmp_path, SHOP, KEYS)


@pytest.mark.parametrize("text", ["", "x", "1.5", "12345678901", "\u0661"])
def test_a_key_that_is_no_integer_is_named(tmp_path: Path, text: str) -> None:
    (row,) = read(tmp_path, f"{HEADER}\na,{text},1,1,0,1\n").rows
    assert not row.is_integer("camera_id")
    with pytest.raises(
        DataError, match=r"labels\.csv line 2, column 'camera_id': '.*' is not an integer of 1 to 9 digits"
    ):
        row.integer("camera_id")


@given(st.sampled_from([group.name for group in MARS.groups]), st.data())
def test_header_spellings_normalise_alike(name: str, data: st.DataObject) -> None:
    separators = st.text(" _-", max_size=2)
    spelled = "".join(
        data.draw(separators) if c == " " else data.draw(st.sampled_from([c, c.upper()])) + data.draw(separators)
        for c in name
    )
    assert normalise_header(spelled) == normalise_header(name)
    assert normalise_header(normalise_header(spelled)) == normalise_header(spelled)


@pytest.mark.parametrize("schema", [MARS, DUKE])
def test_no_column_can_stand_for_two_groups(schema: Schema) -> None:
    spellings = [{normalise_header(c) for c in group.columns} for group in schema.groups]
    spellings += [{normalise_header(flag)} for flag in schema.quality]
    assert len(set().union(*spellings)) == sum(len(names) for names in spellings)


@pytest.mark.parametrize(
    "text",
    [
        "tracklet;camera_id;hat;top color;occlusion;multi-person\na;2;1;1,0;0;1\n",
        "\ufefftracklet\tcamera_id\that\ttop color\tocclusion\tmulti-person\r\na\t2\t1\t1,00\t0\t1\r\n",
        "sep=;\r\ntracklet;camera_id;hat;top color;occlusion;multi-person\r\na;2,0;1;1;0;1\r\n",
        f"sep=,\n{HEADER}\na,2.0,1,1,0,1\n",
        f'"sep=,"\n{HEADER}\n"a",2,"1,0",1,0,1\n',
        f"{HEADER}\na,2,1,1,0,1\n,,,,,\n , ,,,,\n",
        f"{HEADER}\n,,,,,\na,2,1,1,0,1",
        f"{HEADER}\na\u00a0,\u30002,1\u00a0,1,0,1\n",
    ],
    ids=["semicolons", "tabs", "sep", "sep-comma", "sep-quoted", "empty-rows-at-the-end", "between", "spaces"],
)
def test_what_spreadsheets_write_reads_the_same(tmp_path: Path, text: str) -> None:
    (row,) = read(tmp_path, text).rows
    assert (row.keys["tracklet"], row.integer("camera_id")) == ("a", 2)
    assert (row.labels.tolist(), row.quality.tolist(), row.known.all()) == ([1, 0, 1], [0, 1], True)


def test_an_error_below_the_line_of_the_separator_names_the_file_s_own_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 3, column 'hat': 'x'"):
        read(tmp_path, "sep=;\ntracklet;hat;upcolor\na;x;1\n")


def test_a_header_in_another_unicode_form_is_found(tmp_path: Path) -> None:
    schema = Schema("cafe", (Group("h\u00fcte", (Output("h\u00fcte", "a hat"),), ("h\u00fcte",), "no hat"),))
    path = tmp_path / "labels.csv"
    path.write_text("tracklet,hu\u0308te\na,1\n", "utf-8")
    assert read_labels(path, schema, KEYS).rows[0].labels.tolist() == [1]


def test_all_faults_of_a_header_are_told_at_once_and_no_used_column_is_offered(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, "camera_id,camera id,hats,top colour,occlusion\n1,1,1,1,0\n")
    message = str(caught.value)
    for part in ("'tracklet' is missing", "'hat' is missing", "rename 'hats'", "'top color' is missing"):
        assert part in message
    assert "'camera_id' and 'camera id' both mean 'camera_id'" in message
    assert "'occlusion'" not in message
    assert "\n" not in message


def test_a_column_in_use_is_not_offered_for_another(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'top color' is missing") as caught:
        read(tmp_path, "tracklet,hat,top,multi-person\na,1,0,0\n")
    assert "rename 'hat'" not in str(caught.value)
    assert "rename 'multi-person'" not in str(caught.value)


def test_the_mars_label_file_of_2018_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "mars_attributes.csv"
    header = (
        "person-id, camera_id, tracklets_id, Tops.c, Bottoms.c, Age, top length, Bottoms.l, shoulder bag, "
        "backpack, hat, handbag, hair, gender, Bottoms.t"
    )
    path.write_text(f"{header}\n{','.join('1' * 15)}\n")
    keys = (KeyColumn("person_id"), KeyColumn("camera_id"), KeyColumn("tracklets_id"))
    with pytest.raises(DataError, match=r"label file of 2018.*pose and motion.*--schema"):
        read_labels(path, MARS, keys)
