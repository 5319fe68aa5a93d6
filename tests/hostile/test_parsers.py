"""Whatever bytes a parser is given, it reads them or refuses them with one of our errors, on one line."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fuzzing import Parser, make_parsers, spoil
from vpar_cache.errors import VparError

NAMES = (
    "labels", "schema", "prompts", "MARS mars_attributes.csv", "MARS test_name.txt", "MARS tracks_train_info.mat",
    "images", "Market-1501", "PA-100K", ".mat", "run.json", "metrics.json", "safetensors", "torch file",
    "checkpoint", "image", "hints",
)  # fmt: skip


@pytest.fixture(scope="module")
def parsers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Parser]:
    """Those that run no C library which a hostile file may crash; the fuzz script tries these in a child."""
    made = make_parsers(tmp_path_factory.mktemp("parsers"))
    assert {parser.name for parser in made if not parser.in_c} == set(NAMES)
    return {parser.name: parser for parser in made}


def assert_read_or_refused(parser: Parser, data: bytes) -> None:
    message = ""
    try:
        parser.try_bytes(data)
    except VparError as error:
        message = str(error)
    assert len(message) < 3000


@pytest.mark.parametrize("name", NAMES)
def test_seeds_are_read(parsers: dict[str, Parser], name: str) -> None:
    for seed in parsers[name].seeds:
        parsers[name].try_bytes(seed)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(number=st.integers(0, 2**32))
def test_a_spoiled_input_is_read_or_refused(parsers: dict[str, Parser], name: str, number: int) -> None:
    assert_read_or_refused(parsers[name], spoil(parsers[name], random.Random(number)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_bytes_or_text_are_read_or_refused(parsers: dict[str, Parser], name: str, data: st.DataObject) -> None:
    content = data.draw(st.one_of(st.binary(max_size=300), st.text(max_size=100).map(lambda text: text.encode())))
    seed = parsers[name].seeds[0]
    at = data.draw(st.integers(0, len(seed)))
    assert_read_or_refused(parsers[name], content)
    assert_read_or_refused(parsers[name], seed[:at] + content + seed[at:])


@pytest.mark.filterwarnings("ignore")
def test_nothing_that_reads_leaves_a_file_open(parsers: dict[str, Parser]) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for name in NAMES:
        for number in range(20):
            assert_read_or_refused(parsers[name], spoil(parsers[name], random.Random(number)))
    assert descriptors() <= before + 2
