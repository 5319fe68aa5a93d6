"""A run that computes nothing makes no encoder, and no run believes more of one than the encoder bears out."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vpar_cache.backbones.encoder import Encoder
from vpar_cache.cache import format as fmt
from vpar_cache.cache.index import read_index
from vpar_cache.datasets.mars import load_mars
from vpar_cache.errors import CacheError, DataError, UserError
from vpar_cache.extraction import encoder_memory, lazy_encoder
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.encoder_memory import EncoderIdentity, EncoderMemory
from vpar_cache.extraction.executors import local as shard_run
from vpar_cache.extraction.extract import ExtractResult, extract
from vpar_cache.extraction.lazy_encoder import LazyEncoder, OtherEncoderError, encoder_for

Make = Callable[..., ExtractConfig]


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has imported no library of networks."""
    monkeypatch.setattr(encoder_memory, "_LIBRARIES", ())


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The device of every encoder that is made."""
    make, devices = lazy_encoder.make_encoder, []

    def spy(config: ExtractConfig, device: str, precision: str | None = None) -> Encoder:
        devices.append(device)
        return make(config, device, precision)

    monkeypatch.setattr(lazy_encoder, "make_encoder", spy)
    return devices


@pytest.fixture
def cache(tiny_cache: Path, tmp_path: Path) -> Path:
    """A copy of the extracted cache, to change. What it remembers comes along."""
    shutil.copytree(tiny_cache.parent, tmp_path / "cache")
    return tmp_path / "cache" / tiny_cache.name


@pytest.fixture
def root(demo_root: Path, tmp_path: Path) -> Path:
    """A copy of the dataset, to change."""
    return Path(shutil.copytree(demo_root, tmp_path / "root"))


def bytes_of(index: Path) -> dict[str, bytes]:
    """The index, the shards, and what is remembered of the encoder."""
    folder = fmt.shard_folder(index)
    files = [index, folder / ".encoder", *sorted(folder.glob("shard-*.h5"))]
    return {path.name: path.read_bytes() for path in files}


def counts(result: ExtractResult) -> tuple[int, int]:
    """(computed, kept) shards."""
    return result.shards_computed, result.shards_kept


# --- made when it is needed ---


def test_an_encoder_is_made_once_and_late(extract_config: Make, made: list[str]) -> None:
    encoder = encoder_for(extract_config(Path("a.h5")), None)
    assert (made, encoder.is_made) == ([], False)
    identity = encoder.identity
    assert encoder.load() is encoder.load()
    assert (made, encoder.is_made) == (["cpu"], True)
    assert identity.visual == encoder.load().visual_identity()
    assert identity.text == encoder.load().text_identity()
    assert (identity.weights_name, identity.precision) == ("random:0", "fp32")
    assert (identity.num_tokens, identity.dim) == (encoder.load().num_tokens, encoder.load().dim) == (5, 32)


def test_what_is_recalled_needs_no_encoder_and_is_checked_when_there_is_one(
    extract_config: Make, made: list[str]
) -> None:
    config = extract_config(Path("a.h5"))
    real = encoder_for(config, None).identity
    lazy = encoder_for(config, real)
    assert lazy.identity == real
    assert len(made) == 1
    assert lazy.load() is lazy.load()
    wrong = LazyEncoder(lambda: lazy.load(), dataclasses.replace(real, weights_name="openai"))
    assert wrong.identity.weights_name == "openai"
    with pytest.raises(OtherEncoderError):
        wrong.load()
    assert wrong.identity == real
    assert wrong.load() is lazy.load()


def test_a_gpu_that_is_not_here_is_named_before_it_is_needed_only_where_it_will_be(extract_config: Make) -> None:
    config = extract_config(Path("a.h5"))
    identity = encoder_for(config, None).identity
    absent = dataclasses.replace(config, devices=("cpu", "cuda:77"))
    with pytest.raises(UserError, match="GPU 77 is not here"):
        encoder_for(absent, None)
    lazy = encoder_for(absent, identity)
    with pytest.raises(UserError, match="GPU 77 is not here"):
        lazy.load()


@pytest.mark.parametrize("known", [False, True])
def test_a_name_of_no_device_is_refused_at_once(extract_config: Make, known: bool) -> None:
    config = extract_config(Path("a.h5"))
    recalled = encoder_for(config, None).identity if known else None
    with pytest.raises(UserError, match="device 'cuda' is unknown; use --device cpu"):
        encoder_for(dataclasses.replace(config, devices=("cpu", "cuda")), recalled)


# --- reruns ---


def test_a_rerun_of_a_finished_extraction_imports_no_network_library(cache: Path, demo_root: Path) -> None:
    """The command, in a process that does not know the architecture: it could not make the encoder."""
    before = bytes_of(cache)
    options = {
        "dataset": "mars", "root": demo_root, "out": cache, "device": "cpu", "backbone": "vpar-test-tiny",
        "weights": "random:0", "precision": "fp32", "frames": 2, "shard-size": 5,
    }  # fmt: skip
    arguments = ["vpar", "extract", *(f"--{name}={value}" for name, value in options.items())]
    code = (
        "import sys\nfrom vpar_cli.main import run\n"
        f"sys.argv = {arguments!r}\n"
        "try:\n    run()\nfinally:\n"
        "    print({'torch', 'torchvision', 'open_clip', 'timm', 'transformers', 'scipy'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split("\n")[1]) == (0, "set()"), done.stderr
    assert "12 train and 6 test tracklets" in done.stderr
    assert "shards: 0 computed, 4 kept; fp32; RANDOM WEIGHTS" in done.stderr
    assert bytes_of(cache) == before


@pytest.mark.usefixtures("fresh")
def test_a_rerun_makes_no_encoder_and_leaves_every_byte(
    cache: Path, extract_config: Make, made: list[str]
) -> None:
    before = bytes_of(cache)
    result = extract(extract_config(cache))
    assert (made, counts(result)) == ([], (0, 4))
    assert (result.precision, result.random_weights) == ("fp32", True)
    assert bytes_of(cache) == before


@pytest.mark.usefixtures("fresh")
def test_recheck_makes_the_encoder(cache: Path, extract_config: Make, made: list[str]) -> None:
    before = bytes_of(cache)
    assert counts(extract(extract_config(cache, recheck=True))) == (0, 4)
    assert made == ["cpu"]
    assert bytes_of(cache) == before


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("content", [None, b"garbage", b'{"visual": []}'])
def test_without_a_memory_the_encoder_is_made_and_remembered_again(
    cache: Path, extract_config: Make, made: list[str], content: bytes | None
) -> None:
    before, memory = bytes_of(cache), fmt.shard_folder(cache) / ".encoder"
    memory.unlink() if content is None else memory.write_bytes(content)
    assert counts(extract(extract_config(cache))) == (0, 4)
    assert made == ["cpu"]
    assert bytes_of(cache) == before


@pytest.mark.usefixtures("fresh")
def test_a_changed_jpeg_redoes_its_shard_as_without_a_memory(
    cache: Path, root: Path, extract_config: Make, made: list[str], tmp_path: Path
) -> None:
    without = Path(shutil.copytree(cache.parent, tmp_path / "without")) / cache.name
    (fmt.shard_folder(without) / ".encoder").unlink()
    tracklets = load_mars(root).tracklets
    one, other = (tracklets[i].folder / tracklets[i].frames[1] for i in (0, 7))
    shutil.copy(one, other)
    for index in (cache, without):
        assert counts(extract(extract_config(index, root=root))) == (1, 3)
    assert made == ["cpu", "cpu"]
    assert bytes_of(cache) == bytes_of(without)


@pytest.mark.usefixtures("fresh")
def test_an_interrupted_run_goes_on_in_the_same_bytes(
    cache: Path, extract_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, folder, write = bytes_of(cache), fmt.shard_folder(cache), shard_run.write_shard
    for number in (1, 2, 3):
        (folder / fmt.shard_name(number)).unlink()

    def stop_at_the_second(path: Path, contents: Any) -> None:
        if path.name == fmt.shard_name(2):
            raise KeyboardInterrupt
        write(path, contents)

    with monkeypatch.context() as patch:
        patch.setattr(shard_run, "write_shard", stop_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            extract(extract_config(cache))
    assert counts(extract(extract_config(cache))) == (2, 2)
    assert bytes_of(cache) == before


@pytest.mark.usefixtures("fresh")
def test_new_prompts_make_the_encoder_and_keep_the_shards(
    cache: Path, extract_config: Make, made: list[str]
) -> None:
    assert counts(extract(extract_config(cache, prompts="words"))) == (0, 4)
    assert made == ["cpu"]
    assert read_index(cache).prompts[0] == "top length short"


@pytest.mark.usefixtures("fresh")
def test_a_prompt_that_does_not_fit_is_named_after_a_recall_too(
    cache: Path, extract_config: Make, tmp_path: Path
) -> None:
    (tmp_path / "long.toml").write_text(f'template = "{"very " * 80}{{}}"\n')
    with pytest.raises(DataError, match="but the text encoder reads 77; shorten it"):
        extract(extract_config(cache, prompts=str(tmp_path / "long.toml")))


@pytest.mark.usefixtures("fresh")
def test_another_setting_is_refused_by_the_encoder_itself(
    cache: Path, extract_config: Make, made: list[str]
) -> None:
    before = bytes_of(cache)
    with pytest.raises(CacheError, match=r"other settings \(frames: 2 -> 3\)"):
        extract(extract_config(cache, frames=3))
    assert made == ["cpu"]
    assert bytes_of(cache) == before


@pytest.mark.usefixtures("fresh")
def test_a_weights_file_that_was_replaced_is_noticed(
    tiny_backbone: str, extract_config: Make, made: list[str], tmp_path: Path
) -> None:
    import open_clip
    from safetensors.torch import save_file

    path, index = tmp_path / "own.safetensors", tmp_path / "a.h5"
    state = open_clip.create_model(tiny_backbone, pretrained=None).state_dict()
    save_file(state, path)
    config = extract_config(index, weights=str(path))
    for _ in range(2):
        extract(config)
    assert made == ["cpu"], "the second run recalled it"
    before, size = bytes_of(index), path.stat().st_size
    state["visual.ln_post.bias"] += 1
    save_file(state, path)
    assert path.stat().st_size == size
    with pytest.raises(CacheError, match=r"other settings .*weights_digest: "):
        extract(config)
    assert bytes_of(index) == before
    assert made == ["cpu", "cpu"]


# --- a memory that is wrong ---


def other_visual(identity: EncoderIdentity) -> EncoderIdentity:
    return dataclasses.replace(identity, visual={**identity.visual, "weights_digest": "0" * 64})


def other_shape(identity: EncoderIdentity) -> EncoderIdentity:
    return dataclasses.replace(identity, visual={**identity.visual, "grid": [10**9, 10**9], "dim": 10**12})


def other_text(identity: EncoderIdentity) -> EncoderIdentity:
    return dataclasses.replace(identity, text={**identity.text, "logit_scale": 1.0})


def other_name(identity: EncoderIdentity) -> EncoderIdentity:
    return dataclasses.replace(identity, weights_name="openai")


@pytest.fixture
def mislead(extract_config: Make) -> Callable[[Path, Callable[[EncoderIdentity], EncoderIdentity]], None]:
    """Make a cache remember something else than the truth, in good form."""
    real = encoder_for(extract_config(Path("a.h5")), None).identity

    def remember(index: Path, change: Callable[[EncoderIdentity], EncoderIdentity]) -> None:
        memory = EncoderMemory(extract_config(index))
        memory.remember(change(real))
        assert memory.recall() == change(real)

    return remember


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("change", [other_visual, other_shape, other_text])
def test_a_wrong_memory_neither_refuses_nor_spoils_a_finished_cache(
    cache: Path, extract_config: Make, made: list[str], mislead: Any, change: Any
) -> None:
    before = bytes_of(cache)
    mislead(cache, change)
    made.clear()
    assert counts(extract(extract_config(cache))) == (0, 4)
    assert made == ["cpu"]
    assert bytes_of(cache) == before, "the memory is mended too"


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("change", [other_visual, other_shape, other_text, other_name])
@pytest.mark.parametrize("left", [0, 3])
def test_no_shard_is_published_under_a_wrong_memory(
    cache: Path, extract_config: Make, mislead: Any, change: Any, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bytes_of(cache)
    cache.unlink()
    for path in sorted(fmt.shard_folder(cache).glob("shard-*.h5"))[left:]:
        path.unlink()
    mislead(cache, change)
    write, written = shard_run.write_shard, []

    def spy(path: Path, contents: Any) -> None:
        written.append(path.name)
        write(path, contents)

    monkeypatch.setattr(shard_run, "write_shard", spy)
    assert counts(extract(extract_config(cache))) == (4 - left, left)
    assert written == [fmt.shard_name(number) for number in range(left, 4)], "each once"
    assert bytes_of(cache) == before
