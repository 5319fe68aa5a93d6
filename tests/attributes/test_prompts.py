"""Prompts: one an output, in schema order, and no typing error passes silently."""

from __future__ import annotations

from pathlib import Path

import pytest

from vpar_cache.attributes.prompts import PAPER_TEMPLATE, PROMPTS, build_negative_prompts, build_prompts
from vpar_cache.attributes.schema import DUKE, MARS, Group, Output, Schema
from vpar_cache.errors import UserError


@pytest.mark.parametrize("schema", [MARS, DUKE])
@pytest.mark.parametrize("source", PROMPTS)
def test_one_distinct_prompt_an_output(schema: Schema, source: str) -> None:
    prompts = build_prompts(schema, source)
    assert len(prompts) == len(set(prompts)) == schema.num_outputs
    assert all(prompt.strip() == prompt and prompt for prompt in prompts)


def test_the_papers_template_stands_around_the_phrase() -> None:
    prompts = build_prompts(MARS, "paper")
    assert prompts[0] == "the pedestrian has an attribute short sleeves"
    assert prompts[-1] == "the pedestrian has an attribute age old"


def test_words_are_the_bare_output_names() -> None:
    assert build_prompts(MARS, "words") == tuple(output.name for output in MARS.outputs)


def test_a_prompt_of_a_set_output_says_what_its_label_says() -> None:
    prompts = dict(zip([output.name for output in MARS.outputs], build_prompts(MARS, "paper"), strict=True))
    assert "trousers" in prompts["bottom type trousers or shorts"]
    assert "skirt" not in prompts["bottom type trousers or shorts"]


@pytest.mark.parametrize("schema", [MARS, DUKE])
@pytest.mark.parametrize("source", PROMPTS)
def test_every_yes_has_its_no_in_the_same_template_and_a_choice_has_none(schema: Schema, source: str) -> None:
    negatives = build_negative_prompts(schema, source)
    assert len(negatives) == schema.num_outputs
    template = PAPER_TEMPLATE if source == "paper" else "{}"
    for group, columns in schema.slices():
        if group.is_choice:
            assert set(negatives[columns]) == {""}
        else:
            assert negatives[columns] == (template.format(group.negative),)
            assert negatives[columns] != build_prompts(schema, source)[columns]


def test_a_group_that_names_no_negative_gets_a_plain_one() -> None:
    schema = Schema("own", (Group("hat", (Output("hat", "a hat"),), ("hat",)),))
    assert build_negative_prompts(schema, "words") == ("not a hat",)


def test_your_own_negatives(tmp_path: Path) -> None:
    source = write(tmp_path, "template = 'a photo, {}.'\n[negatives]\nhat = 'a bare head'\n")
    negatives = build_negative_prompts(MARS, source)
    assert negatives[4] == "a photo, a bare head."
    assert negatives[3] == "a photo, no backpack."
    assert build_prompts(MARS, source)[4] == "a photo, a hat."


def write(tmp_path: Path, text: str | bytes) -> str:
    path = tmp_path / "own.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_your_own_template_and_phrases(tmp_path: Path) -> None:
    source = write(tmp_path, 'template = "a photo, {}."\n[phrases]\n"hair long" = "hair {below} the shoulders"\n')
    prompts = build_prompts(MARS, source)
    assert prompts[0] == "a photo, short sleeves."
    assert prompts[6] == "a photo, hair {below} the shoulders."


def test_an_empty_file_is_the_papers_prompts(tmp_path: Path) -> None:
    assert build_prompts(MARS, write(tmp_path, "")) == build_prompts(MARS, "paper")
    assert PAPER_TEMPLATE.count("{}") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("template = 'a photo'", r"template 'a photo' must hold \{\} once"),
        ("template = '{} and {}'", r"must hold \{\} once"),
        ("template = 3", r"template 3 must hold"),
        ("phrases = 3", r"\[phrases\] must map output names to texts"),
        ("[phrases]\nhat = 3", r"\[phrases\] must map output names to texts"),
        ("[phrases]\nhats = 'a hat'", r"unknown output 'hats'; did you mean 'hat'\?"),
        ("[negatives]\nhats = 'no hat'", r"\[negatives\]: unknown 0/1 output 'hats'; did you mean 'hat'\?"),
        ("[negatives]\n'age old' = 'young'", r"\[negatives\]: unknown 0/1 output 'age old'; valid are: "),
        ("[negatives]\nhat = ''", r"\[negatives\] must map output names to texts"),
        ("negatives = 3", r"\[negatives\] must map output names to texts"),
        ("[phrase]\nhat = 'a cap'", r"unknown key 'phrase'; did you mean 'phrases'\?"),
        ("template = ", r"own\.toml is not valid TOML"),
        (b"template = '\xe9 {}'", r"own\.toml is not valid TOML"),
    ],
)
def test_a_prompt_file_that_does_not_fit_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_prompts(MARS, write(tmp_path, text))


def test_a_prompt_set_must_be_known_or_readable(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"prompts 'word' are unknown; did you mean 'words'\? .*or a \.toml file"):
        build_prompts(MARS, "word")
    with pytest.raises(UserError, match="No such file"):
        build_prompts(MARS, str(tmp_path / "none.toml"))
