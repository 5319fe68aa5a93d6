"""The attribute table: the order, the polarity and the round trips that everything else builds on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpar_cache.attributes.built_in import SCHEMAS, load_schema
from vpar_cache.attributes.duke_table import DUKE
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.attributes.schema import Group, Output, Schema, read_schema
from vpar_cache.errors import DataError, UserError


@pytest.mark.parametrize(("schema", "outputs", "groups"), [(MARS, 43, 14), (DUKE, 36, 12)])
def test_the_papers_counts(schema: Schema, outputs: int, groups: int) -> None:
    assert schema.num_outputs == len(schema.outputs) == len(schema.output_groups()) == outputs
    assert len(schema.groups) == groups
    assert len(schema.quality) == 7


@pytest.mark.parametrize(("name", "outputs", "groups"), [("market", 30, 12), ("pa100k", 26, 22)])
def test_image_datasets_are_tables_of_images(name: str, outputs: int, groups: int) -> None:
    schema = load_schema(name)
    assert (schema.num_outputs, len(schema.groups), schema.quality, schema.unit) == (outputs, groups, (), "image")


def test_the_unit_goes_through_files_and_records(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_text('name = "shop"\nunit = "image"\n[[group]]\nname = "hat"\n')
    schema = read_schema(tmp_path / "shop.toml")
    assert schema.unit == "image"
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema
    assert "unit" not in MARS.to_dict()  # so that records of tracklets stay as they were
    assert Schema.from_dict(MARS.to_dict()).unit == "tracklet"


def test_another_unit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_text('name = "shop"\nunit = "video"\n[[group]]\nname = "hat"\n')
    with pytest.raises(UserError, match=r"shop\.toml: unit: got 'video'; expected tracklet or image"):
        read_schema(tmp_path / "shop.toml")
    for unit in ("video", 1, ["image"]):
        with pytest.raises(DataError, match="unit"):
            Schema.from_dict({**MARS.to_dict(), "unit": unit})


def test_the_papers_table_order() -> None:
    assert [group.name for group in MARS.groups] == [
        "top length", "bottom length", "shoulder bag", "backpack", "hat", "hand bag", "hair", "gender",
        "bottom type", "pose", "motion", "top color", "bottom color", "age",
    ]  # fmt: skip
    assert [len(group.outputs) for group in MARS.groups] == [1] * 9 + [6, 5, 9, 10, 4]
    assert [len(group.outputs) for group in DUKE.groups] == [1] * 8 + [6, 5, 9, 8]


@pytest.mark.parametrize(
    ("schema", "group", "value", "meaning"),
    [
        (MARS, "top length", 1, "short sleeves"),
        (MARS, "bottom length", 1, "short bottoms above the knee"),
        (MARS, "bottom type", 0, "a skirt or a dress"),
        (MARS, "bottom type", 1, "trousers or shorts"),
        (MARS, "hair", 1, "long hair"),
        (MARS, "gender", 1, "female"),
        (MARS, "age", 2, "adult"),
        (MARS, "top color", 0, "black"),
        (MARS, "bottom color", 0, "white"),
        (MARS, "pose", 5, "varies"),
        (MARS, "motion", 0, "walking"),
        (DUKE, "top length", 1, "a long top"),
        (DUKE, "shoes", 1, "light-coloured shoes"),
        (DUKE, "gender", 1, "female"),
        (DUKE, "top color", 1, "white"),
        (DUKE, "bottom color", 6, "brown"),
    ],
)
def test_what_label_values_mean(schema: Schema, group: str, value: int, meaning: str) -> None:
    (found,) = [g for g in schema.groups if g.name == group]
    assert found.value_names()[value] == meaning
    assert len(found.value_names()) == found.num_values


@given(st.sampled_from(sorted(SCHEMAS)), st.data())
def test_labels_can_be_read_back_from_their_encoding(name: str, data: st.DataObject) -> None:
    schema = SCHEMAS[name]
    values = {g.name: data.draw(st.integers(0, g.num_values - 1)) for g in schema.groups}
    vector = schema.encode(values)
    assert vector.dtype == np.uint8
    assert vector.shape == (schema.num_outputs,)
    for group, columns in schema.slices():
        part = vector[columns]
        assert (part.argmax() if group.is_choice else part[0]) == values[group.name]
        assert part.sum() == (1 if group.is_choice else values[group.name])


def test_an_unknown_value_is_no_label_of_its_group() -> None:
    values: dict[str, int | None] = {group.name: 1 for group in MARS.groups}
    everything = MARS.encode(values)
    values |= {"hat": None, "pose": None}
    unknown = np.isin(MARS.output_groups(), ["hat", "pose"])  # (43,)
    np.testing.assert_array_equal(MARS.known(values), ~unknown)
    np.testing.assert_array_equal(MARS.encode(values), everything * ~unknown)


@given(st.lists(st.lists(st.booleans(), min_size=43, max_size=43), max_size=3), st.data())
def test_groups_are_whole_where_no_group_is_split(rows: list[list[bool]], data: st.DataObject) -> None:
    known = np.array(rows, np.bool_).reshape(-1, 43)
    whole = all(len(set(row[columns])) == 1 for row in known.tolist() for _, columns in MARS.slices())
    assert MARS.are_groups_whole(known) == whole
    values = [data.draw(st.sampled_from([None, 0])) for _ in MARS.groups]
    names = [group.name for group in MARS.groups]
    assert MARS.are_groups_whole(MARS.known(dict(zip(names, values, strict=True)))[None])


def test_slices_cover_every_output_once() -> None:
    for schema in SCHEMAS.values():
        covered = [i for _, columns in schema.slices() for i in range(columns.start, columns.stop)]
        assert covered == list(range(schema.num_outputs))


@pytest.mark.parametrize("value", [-1, 4])
def test_a_value_out_of_range_names_what_is_allowed(value: int) -> None:
    values = {group.name: 0 for group in MARS.groups} | {"age": value}
    with pytest.raises(DataError, match=f"age is {value}, but mars allows 0 = young, .* 3 = old"):
        MARS.encode(values)


@pytest.mark.parametrize("schema", [MARS, DUKE])
def test_a_schema_survives_json(schema: Schema) -> None:
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema


@pytest.mark.parametrize(
    "damage",
    [
        {"name": None, "groups": 3},
        {"groups": [{"name": "hat"}]},
        {"groups": []},
        {"groups": [{"name": "hat", "columns": [], "negative": "", "outputs": []}]},
    ],
)
def test_a_damaged_stored_schema_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(DataError, match=r"stored schema is invalid: .*; extract the cache again"):
        Schema.from_dict(MARS.to_dict() | damage)


def _group(name: str, *outputs: str, column: str = "") -> Group:
    return Group(name, tuple(Output(output, output) for output in outputs), (column or name,))


@pytest.mark.parametrize(
    ("groups", "quality", "message"),
    [
        ((), (), "has no group"),
        ((_group("hat"),), (), "group 'hat' has no output"),
        ((_group("hat", "a"), _group("hat", "b", column="c")), (), "names group 'hat' twice"),
        ((_group("hat", "a"), _group("bag", "a")), (), "names output 'a' twice"),
        ((_group("hat", "a"), _group("bag", "b", column="hat")), (), "names column 'hat' twice"),
        ((_group("hat", "a"),), ("cut", "cut"), "names quality flag 'cut' twice"),
    ],
)
def test_names_are_unique(groups: tuple[Group, ...], quality: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Schema("shop", groups, quality)


SHOP = """
name = "shop"
quality = ["occlusion"]
[[group]]
name = "hat"
phrase = "a hat"
negative = "no hat"
[[group]]
name = "top color"
column = "upcolor"
values = ["black", "white"]
phrases = ["black top", "white top"]
"""


def load(tmp_path: Path, text: str) -> Schema:
    path = tmp_path / "own.toml"
    path.write_text(text, "utf-8")
    return load_schema(str(path))


def test_your_own_attributes(tmp_path: Path) -> None:
    schema = load(tmp_path, SHOP)
    assert (schema.name, schema.quality, schema.num_outputs) == ("shop", ("occlusion",), 3)
    assert [output.name for output in schema.outputs] == ["hat", "top color black", "top color white"]
    assert [group.columns for group in schema.groups] == [("hat",), ("upcolor",)]
    assert schema.groups[0].value_names() == ("no hat", "a hat")
    assert schema.groups[1].value_names() == ("black", "white")
    assert Schema.from_dict(schema.to_dict()) == schema


def test_what_is_left_out_gets_its_default(tmp_path: Path) -> None:
    schema = load(tmp_path, '[[group]]\nname = "hat"\n[[group]]\nname = "top"\nvalues = ["a", "b"]\n')
    assert (schema.name, schema.quality) == ("own", ())
    assert schema.groups[0].value_names() == ("not hat", "hat")
    assert [output.phrase for output in schema.groups[1].outputs] == ["top a", "top b"]


def test_built_in_schemas_go_by_name() -> None:
    assert load_schema("mars") is MARS
    assert load_schema("duke") is DUKE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no group"),
        ("group = 3", r"'group' must be written as \[\[group\]\] tables"),
        ("[[groups]]\nname = 'hat'", "unknown key 'groups'; did you mean 'group'"),
        ("[[group]]\nname = 'hat'\ncolum = 'x'", r"group 1: unknown key 'colum'; did you mean 'column'\?"),
        ("[[group]]\nname = 'hat'\nphrases = ['x', 'y']", r"unknown key 'phrases'; did you mean 'phrase'\?"),
        ("[[group]]\nname = 'hat'\nvalues = ['x', 'y']\nnegative = 'z'", "unknown key 'negative'"),
        ("[[group]]\nphrase = 'x'", "'name' is None, but must be a text"),
        ("[[group]]\nname = 'hat'\ncolumn = ''", "group 1 'hat': 'column' is '', but must be a text"),
        ("[[group]]\nname = 'hat'\nvalues = 'x'", "'values' is 'x', but must be a list of texts"),
        ("[[group]]\nname = 'hat'\nvalues = ['x']", r"'values' is \['x'\], but must have two or more"),
        ("[[group]]\nname = 'hat'\nvalues = ['x', 'y']\nphrases = ['x']", "1 phrases for 2 values"),
        ("[[group]]\nname = 'hat'\nvalues = ['x', 'x']", "names output 'hat x' twice"),
        ("[[group]", r"own\.toml is not valid TOML"),
    ],
)
def test_a_schema_file_that_does_not_fit_names_the_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(tmp_path, text)


def test_a_schema_must_be_known_or_readable(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"schema 'marz' is unknown; did you mean 'mars'\? .* or a \.toml file"):
        load_schema("marz")
    with pytest.raises(UserError, match="No such file"):
        load_schema(str(tmp_path / "none.toml"))


@pytest.mark.parametrize("name", ["split", "Person ID", "camera-id", "tracklet", "labels"])
def test_a_group_or_flag_is_not_named_like_a_column_with_a_meaning(name: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    for text in (
        f'[[group]]\nname = "{name}"\n',
        f'[[group]]\nname = "hat"\ncolumn = "{name}"\n',
        f'quality = ["{name}"]\n[[group]]\nname = "hat"\n',
    ):
        path.write_text(text)
        with pytest.raises(UserError, match="this name is taken"):
            read_schema(path)


def test_a_table_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_text('\ufeff[[group]]\nname = "hat"\n', "utf-8")
    assert read_schema(path).groups[0].name == "hat"
