"""An encoder is recalled for the very same circumstances alone, and nothing in the file ends a run."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vpar_cache.extraction import encoder_memory
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.encoder_memory import EncoderIdentity, EncoderMemory

VISUAL = {"grid": [7, 8], "prefix_tokens": 1, "dim": 32, "precision": "bf16", "mean": [0.48145466, 0.1, 1e-7]}
IDENTITY = EncoderIdentity(VISUAL, {"encoder": "some", "logit_scale": None}, "random:0")


@pytest.fixture(autouse=True)
def untouched_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a fresh process: here, other tests have imported them."""
    monkeypatch.setattr(encoder_memory, "_LIBRARIES", ())


@pytest.fixture
def config(tmp_path: Path) -> ExtractConfig:
    return ExtractConfig(
        dataset="mars", root=tmp_path, out=tmp_path / "a.h5", weights="random:0", devices=("cpu",)
    )


@pytest.fixture
def file(config: ExtractConfig, tmp_path: Path) -> Path:
    """Where the identity was remembered."""
    EncoderMemory(config).remember(IDENTITY)
    return tmp_path / "a" / ".encoder"


def recalled(config: ExtractConfig, **changes: Any) -> EncoderIdentity | None:
    return EncoderMemory(dataclasses.replace(config, **changes)).recall()


def test_what_was_remembered_is_recalled(config: ExtractConfig, file: Path) -> None:
    assert recalled(config) == IDENTITY
    assert (IDENTITY.num_tokens, IDENTITY.dim, IDENTITY.precision) == (57, 32, "bf16")
    before = file.read_bytes()
    EncoderMemory(config).remember(IDENTITY)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"backbone": "ViT-B-32"},
        {"weights": "random:1"},
        {"weights": None},
        {"normalize": "half"},
        {"text": "minilm"},
        {"precision": "fp32"},
        {"devices": ("auto",)},
        {"devices": ("cuda:0",)},
        {"devices": ("cpu", "cpu")},
    ],
    ids=str,
)
@pytest.mark.usefixtures("file")
def test_nothing_is_recalled_for_other_settings(config: ExtractConfig, changes: dict[str, Any]) -> None:
    assert recalled(config, **changes) is None


@pytest.mark.usefixtures("file")
def test_settings_that_are_not_the_encoders_do_not_matter(config: ExtractConfig) -> None:
    others = {"frames": 3, "views": 1, "resize": "stretch", "prompts": "words", "workers": 1, "offline": True}
    assert recalled(config, **others) == IDENTITY


@pytest.mark.parametrize("package", encoder_memory._PACKAGES)
@pytest.mark.usefixtures("file")
def test_another_version_of_a_library_is_another_encoder(
    config: ExtractConfig, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    real = encoder_memory._version
    monkeypatch.setattr(encoder_memory, "_version", lambda name: "9.9" if name == package else real(name))
    assert recalled(config) is None


@pytest.mark.usefixtures("file")
def test_a_version_of_this_program_trusts_no_other(config: ExtractConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_memory, "__version__", "9.9")
    assert recalled(config) is None


def other_processor(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(encoder_memory, "_instructions", lambda: "flags : fpu avx512_bf16")


def other_gpus(patch: pytest.MonkeyPatch) -> None:
    patch.setenv("CUDA_VISIBLE_DEVICES", "7")


def other_driver(patch: pytest.MonkeyPatch) -> None:
    real = encoder_memory._text
    patch.setattr(encoder_memory, "_text", lambda path: "9.9" if path.name == "version" else real(path))


@pytest.mark.parametrize("change", [other_processor, other_gpus, other_driver])
@pytest.mark.usefixtures("file")
def test_another_machine_may_come_to_another_precision(
    config: ExtractConfig, monkeypatch: pytest.MonkeyPatch, change: Callable[[pytest.MonkeyPatch], None]
) -> None:
    change(monkeypatch)
    assert recalled(config) is None


@pytest.mark.usefixtures("file")
def test_who_imported_a_library_may_have_changed_its_tables(
    config: ExtractConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_memory, "_LIBRARIES", ("open_clip", "absent"))
    monkeypatch.setitem(sys.modules, "open_clip", sys)
    assert recalled(config) is None
    monkeypatch.delitem(sys.modules, "open_clip")
    assert recalled(config) == IDENTITY


# --- weights in a file ---


def rewrite(path: Path) -> None:
    path.write_bytes(b"other")


def replace(path: Path) -> None:
    path.with_name("new").write_bytes(b"other")
    path.with_name("new").replace(path)


def point_elsewhere(path: Path) -> None:
    path.rename(path.with_name("old"))
    path.with_name("new").write_bytes(b"other")
    path.symlink_to(path.with_name("new"))


@pytest.mark.parametrize("change", [rewrite, replace, point_elsewhere, Path.unlink])
def test_weights_that_changed_at_their_place_are_noticed_whatever_size_and_time_say(
    config: ExtractConfig, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "own.safetensors"
    path.write_bytes(b"first")
    stat = path.stat()
    config = dataclasses.replace(config, weights=str(path))
    EncoderMemory(config).remember(IDENTITY)
    assert recalled(config) == IDENTITY
    change(path)
    if path.exists():
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert recalled(config) is None


def test_the_same_name_in_another_folder_is_another_file(
    config: ExtractConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(config, weights="own.pt")
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        Path("own.pt").write_bytes(b"weights")
        assert recalled(config) is None
        EncoderMemory(config).remember(IDENTITY)
        assert recalled(config) == IDENTITY


def test_a_change_while_the_encoder_is_made_is_noticed_by_the_next_run(
    config: ExtractConfig, tmp_path: Path
) -> None:
    path = tmp_path / "own.pt"
    path.write_bytes(b"first")
    config = dataclasses.replace(config, weights=str(path))
    memory = EncoderMemory(config)
    path.write_bytes(b"other")
    memory.remember(IDENTITY)
    assert recalled(config) is None


def test_no_path_is_written(config: ExtractConfig, tmp_path: Path) -> None:
    (tmp_path / "own.pt").write_bytes(b"weights")
    EncoderMemory(dataclasses.replace(config, weights=str(tmp_path / "own.pt"))).remember(IDENTITY)
    assert str(tmp_path) not in (tmp_path / "a" / ".encoder").read_text()


# --- what may stand in the file ---


GARBAGE = {
    "empty": b"",
    "no JSON": b"{",
    "no text": b"\xff\xfe\x00",
    "a list": b"[]",
    "null": b"null",
    "no fields": b"{}",
    "deep": b"[" * 100_000,
    "a long number": b"9" * 100_000,
    "too large": b" " * 1_000_001 + b"{}",
    "no dictionaries": b'{"visual": 1, "text": 2, "weights_name": 3, "seal": 4}',
    "no number": b'{"visual": {"dim": NaN}, "text": {}, "weights_name": "", "seal": ""}',
    "half a character": b'{"visual": {"dim": "\\ud800"}, "text": {}, "weights_name": "", "seal": ""}',
}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_no_memory(config: ExtractConfig, file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert recalled(config) is None


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path.with_name("real"))])
def test_what_is_no_plain_file_is_no_memory(
    config: ExtractConfig, file: Path, make: Callable[[Path], None]
) -> None:
    file.rename(file.with_name("real"))
    make(file)
    assert recalled(config) is None


def test_damage_anywhere_is_never_believed(config: ExtractConfig, file: Path) -> None:
    whole, memory = file.read_bytes(), EncoderMemory(config)
    for place in range(len(whole)):
        for bit in (0, 5):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            file.write_bytes(damaged)
            assert memory.recall() in (None, IDENTITY), (place, bit)


@pytest.mark.parametrize(
    "forged",
    [
        {"visual": {**VISUAL, "grid": [7]}},
        {"visual": {**VISUAL, "grid": 7}},
        {"visual": {**VISUAL, "grid": [7, 0]}},
        {"visual": {**VISUAL, "grid": [7, -8]}},
        {"visual": {**VISUAL, "grid": [7, 8.0]}},
        {"visual": {**VISUAL, "grid": [True, 8]}},
        {"visual": {**VISUAL, "prefix_tokens": -1}},
        {"visual": {**VISUAL, "prefix_tokens": "1"}},
        {"visual": {**VISUAL, "dim": 0}},
        {"visual": {**VISUAL, "dim": None}},
        {"visual": {**VISUAL, "precision": 16}},
        {"visual": {}},
        {"visual": []},
        {"text": "text"},
        {"weights_name": 0},
    ],
    ids=str,
)
def test_a_forged_memory_that_fits_no_encoder_is_ignored(config: ExtractConfig, forged: dict[str, Any]) -> None:
    identity = dataclasses.replace(IDENTITY, **forged)
    EncoderMemory(config).remember(identity)
    assert recalled(config) is None


def test_a_memory_that_cannot_be_written_is_none(config: ExtractConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    EncoderMemory(dataclasses.replace(config, out=tmp_path / "file" / "a.h5")).remember(IDENTITY)


def test_it_is_plain_json(file: Path) -> None:
    assert json.loads(file.read_bytes()).keys() == {"visual", "text", "weights_name", "seal"}
