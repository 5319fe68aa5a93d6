"""A finished rerun of an equal request builds no encoder; in any other case the encoder itself decides."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.comparing import bytes_of
from vpar_cache.backbones.encoder import Encoder
from vpar_cache.cache import format as fmt
from vpar_cache.cache.hints import Hints
from vpar_cache.errors import CacheError
from vpar_cache.extraction import encoder_identity as module
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.encoder_identity import EncoderIdentity, encoder_request, recall, remember
from vpar_cache.extraction.executors import local
from vpar_cache.extraction.extract import extract

Make = Callable[..., ExtractConfig]
IDENTITY = EncoderIdentity(
    {"dim": 32, "mean": [0.48145466, 1e-7], "precision": "auto"}, {"logit_scale": None}, "random:0", 57, 32
)


@pytest.fixture
def config(tmp_path: Path) -> ExtractConfig:
    return ExtractConfig(out=tmp_path / "a.h5", weights="random:0")


def recalled(config: ExtractConfig, **changes: Any) -> EncoderIdentity | None:
    """What a later process recalls."""
    return recall(Hints(config.out), encoder_request(dataclasses.replace(config, **changes)))


def store(config: ExtractConfig, identity: EncoderIdentity) -> None:
    hints = Hints(config.out)
    remember(hints, encoder_request(config), identity)
    hints.save()


def test_an_identity_is_recalled_for_an_equal_request_alone(
    config: ExtractConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert recalled(config) is None
    store(config, IDENTITY)
    assert recalled(config, frames=3, workers=1, devices=("cuda:7",), prompts="words") == IDENTITY
    for name, value in {
        "backbone": "ViT-B-32", "weights": "random:1", "normalize": "half", "text": "minilm", "precision": "fp32"
    }.items():  # fmt: skip
        assert recalled(config, **{name: value}) is None, name
    monkeypatch.setattr(module, "_version", lambda package: "9.9")
    assert recalled(config) is None


def test_weights_in_a_file_are_known_by_their_contents_and_not_by_their_place(
    config: ExtractConfig, tmp_path: Path
) -> None:
    path, elsewhere = tmp_path / "own.safetensors", tmp_path / "elsewhere" / "own.safetensors"
    path.write_bytes(b"tensors")
    store(dataclasses.replace(config, weights=str(path)), IDENTITY)
    elsewhere.parent.mkdir()
    shutil.copy(path, elsewhere)
    assert recalled(config, weights=str(elsewhere)) == IDENTITY
    assert str(tmp_path) not in (tmp_path / "a" / "hints.json").read_text()
    path.write_bytes(b"TENSORS")
    assert recalled(config, weights=str(path)) is None


@pytest.mark.parametrize("changes", [{"dim": 0}, {"num_tokens": "57"}, {"visual": []}, {"weights_name": None}])
def test_a_damaged_identity_is_as_none(config: ExtractConfig, changes: dict[str, Any]) -> None:
    store(config, IDENTITY)
    hints = Hints(config.out)
    hints.put("encoder", "identity", {**dataclasses.asdict(IDENTITY), **changes})
    hints.save()
    assert recalled(config) is None


# --- runs ---


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The device of every encoder that is built."""
    build, devices = local.build_encoder, []

    def spy(config: ExtractConfig) -> Encoder:
        devices.append(config.devices[0])
        return build(config)

    monkeypatch.setattr(local, "build_encoder", spy)
    return devices


def test_a_finished_rerun_imports_no_library_of_networks(extracted: Path, demo_root: Path) -> None:
    """In a process that does not know the architecture, so that it could not build the encoder."""
    before = bytes_of(extracted)
    options = {
        "dataset": "mars", "root": demo_root, "out": extracted, "device": "cpu", "backbone": "vpar-test-tiny",
        "weights": "random:0", "precision": "fp32", "frames": 2, "shard-size": 5,
    }  # fmt: skip
    arguments = ["vpar", "extract", *(f"--{name}={value}" for name, value in options.items())]
    code = (
        f"import sys\nfrom vpar_cli.main import run\nsys.argv = {arguments!r}\ntry:\n    run()\nfinally:\n"
        "    print({'torch', 'open_clip', 'timm', 'transformers'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split("\n")[1]) == (0, "set()"), done.stderr
    assert "encoded 0, copied 18; fp32; RANDOM WEIGHTS" in done.stderr
    assert bytes_of(extracted) == before


def test_the_encoder_is_built_once_where_anything_is_missing(
    extracted: Path, extract_config: Make, built: list[str]
) -> None:
    before = bytes_of(extracted)
    assert extract(extract_config(extracted)).shards_kept == 4
    assert built == []
    assert extract(extract_config(extracted, recheck=True)).shards_kept == 4
    assert built == ["cpu"]
    sorted(fmt.shard_folder(extracted).glob("shard-*.h5"))[2].unlink()
    assert extract(extract_config(extracted)).shards_written == 1
    assert built == ["cpu", "cpu"]
    (fmt.shard_folder(extracted) / "hints.json").write_bytes(b"garbage")
    assert extract(extract_config(extracted)).shards_kept == 4
    assert built == ["cpu", "cpu", "cpu"]
    assert bytes_of(extracted) == before
    assert extract(extract_config(extracted, prompts="words")).shards_kept == 4
    assert len(built) == 4
    with pytest.raises(CacheError, match=r"frames: 2 -> 3"):
        extract(extract_config(extracted, frames=3))


@pytest.mark.parametrize("left", [0, 3, 4])
def test_a_wrong_hint_neither_refuses_nor_spoils_a_cache(
    extracted: Path, extract_config: Make, left: int, built: list[str]
) -> None:
    before = bytes_of(extracted)
    extracted.unlink()
    for path in sorted(fmt.shard_folder(extracted).glob("shard-*.h5"))[left:]:
        path.unlink()
    hints = Hints(extracted)
    right = recall(hints, encoder_request(extract_config(extracted)))
    assert right is not None
    wrong = dataclasses.replace(right, visual={**right.visual, "weights_digest": "0" * 64}, dim=10**12)
    remember(hints, encoder_request(extract_config(extracted)), wrong)
    hints.save()
    result = extract(extract_config(extracted))
    assert (result.shards_written, result.shards_kept) == (4 - left, left)
    assert built == ["cpu"]
    assert bytes_of(extracted) == before
    assert recall(Hints(extracted), encoder_request(extract_config(extracted))) == right
