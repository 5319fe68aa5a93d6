"""Weights are loaded whole or not at all, and no file's code is ever run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.support.hostile_files import Program
from vpar_cache.backbones import weights
from vpar_cache.backbones.weights import load_weights, tensor_digest
from vpar_cache.errors import UserError


def small_model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3))


def load(path: Path) -> nn.Module:
    model = small_model(seed=1)
    load_weights(model, path, "ViT-X")
    return model


def save(state: dict[str, Tensor], path: Path) -> Path:
    (save_file if path.suffix == ".safetensors" else torch.save)(state, path)
    return path


def assert_untouched(path: Path, message: str) -> None:
    """Refused with this message, and not one tensor of the model has changed."""
    model = small_model(seed=1)
    with pytest.raises(UserError, match=message):
        load_weights(model, path, "ViT-X")
    assert tensor_digest(model) == tensor_digest(small_model(seed=1))


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "a.bin"])
def test_a_state_dict_is_loaded_whole(tmp_path: Path, name: str) -> None:
    path = save(small_model().state_dict(), tmp_path / name)
    assert tensor_digest(load(path)) == tensor_digest(small_model())


def test_a_training_checkpoint_of_open_clip_is_understood(tmp_path: Path) -> None:
    state = {f"module.{name}": tensor for name, tensor in small_model().state_dict().items()}
    torch.save({"epoch": 32, "name": "run", "state_dict": state, "optimizer": {"lr": 0.1}}, tmp_path / "a.pt")
    assert tensor_digest(load(tmp_path / "a.pt")) == tensor_digest(small_model())


@pytest.mark.parametrize(
    "keys",
    [
        (),
        *((key,) for key in weights._WRAPPERS),
        ("model", "module"),
        ("state_dict", "model"),
        ("teacher", "model"),
    ],
)
@pytest.mark.parametrize(
    "prefix", ["", "module.", "_orig_mod.", "model.", "module._orig_mod.model.", "model.module."]
)
def test_wrappers_and_prefixes_of_training_programs_are_unwrapped_in_any_order(
    tmp_path: Path, keys: tuple[str, ...], prefix: str
) -> None:
    content: dict[str, Any] = {f"{prefix}{name}": tensor for name, tensor in small_model().state_dict().items()}
    for key in reversed(keys):
        content = {"epoch": 3, key: content, "optimizer": {"lr": 0.1}}
    torch.save(content, tmp_path / "a.pt")
    assert tensor_digest(load(tmp_path / "a.pt")) == tensor_digest(small_model())


def test_averaged_weights_are_preferred(tmp_path: Path) -> None:
    averaged, last = small_model(3).state_dict(), small_model(4).state_dict()
    torch.save({"state_dict": last, "state_dict_ema": averaged}, tmp_path / "a.pt")
    assert tensor_digest(load(tmp_path / "a.pt")) == tensor_digest(small_model(3))


def test_a_prefix_of_some_names_only_stays(tmp_path: Path) -> None:
    state = small_model().state_dict()
    some = {name if name == "0.bias" else f"module.{name}": tensor for name, tensor in state.items()}
    assert_untouched(save(some, tmp_path / "a.safetensors"), r"3 tensors missing .*3 unknown .*'module\.")


def test_safetensors_is_known_by_its_first_bytes_whatever_its_name(tmp_path: Path) -> None:
    save_file(small_model().state_dict(), tmp_path / "a.safetensors")
    for name in ("a.bin", "a.pt", "weights"):
        path = (tmp_path / "a.safetensors").rename(tmp_path / name)
        assert tensor_digest(load(path)) == tensor_digest(small_model())
        path.rename(tmp_path / "a.safetensors")
    torch.save(small_model().state_dict(), tmp_path / "b.safetensors")  # and the other way round
    assert_untouched(tmp_path / "b.safetensors", r"torch file.*rename it to b\.pt")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty.*again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS.*git lfs pull"),
        (b"<!DOCTYPE html>\n<html><head>", "web page.*download it again"),
        (b"\xef\xbb\xbf\n <html lang='en'>", "web page.*download it again"),
    ],
)
def test_what_lies_in_place_of_weights_is_recognised(
    tmp_path: Path, suffix: str, content: bytes, message: str
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    assert_untouched(path, rf"--weights: .*a\{suffix} is .*{message}")


def test_weights_in_half_precision_are_widened(tmp_path: Path) -> None:
    state = {name: tensor.half() for name, tensor in small_model().state_dict().items()}
    model = load(save(state, tmp_path / "a.safetensors"))
    assert all(torch.equal(model.state_dict()[name], tensor.float()) for name, tensor in state.items())


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt"])
def test_a_tensor_too_few_or_too_many_is_named(tmp_path: Path, name: str) -> None:
    state = small_model().state_dict()
    fewer = {key: tensor for key, tensor in state.items() if key != "0.bias"}
    assert_untouched(
        save(fewer, tmp_path / name),
        r"--backbone ViT-X: 1 tensors missing \(first: \['0.bias'\]\), 0 unknown",
    )
    assert_untouched(
        save({**state, "2.weight": torch.zeros(1)}, tmp_path / name), r"1 unknown \(first: \['2.weight'\]\)"
    )


@pytest.mark.parametrize("shape", [(4, 3), (12,)])
def test_a_misshapen_tensor_is_named_with_both_shapes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    state = {**small_model().state_dict(), "0.weight": torch.zeros(shape)}
    path = save(state, tmp_path / "a.safetensors")
    assert_untouched(path, rf"0\.weight.*{re.escape(str(shape))}.*{re.escape('(3, 4)')}")


def test_whole_numbers_in_place_of_real_ones_are_refused(tmp_path: Path) -> None:
    state = {**small_model().state_dict(), "0.weight": torch.zeros(3, 4, dtype=torch.int8)}
    assert_untouched(save(state, tmp_path / "a.safetensors"), r"0\.weight.*int8.*float32")


@pytest.mark.parametrize("wrap", [lambda evil: evil, lambda evil: {"state_dict": {"0.weight": evil}}])
@pytest.mark.parametrize("modern", [True, False])
def test_a_pickled_program_is_refused_and_not_run(tmp_path: Path, wrap: Any, modern: bool) -> None:
    evil = wrap(Program(tmp_path / "executed"))
    torch.save(evil, tmp_path / "evil.pt", _use_new_zipfile_serialization=modern)
    assert_untouched(tmp_path / "evil.pt", "pickled programs are refused")
    assert not (tmp_path / "executed").exists()


@pytest.mark.filterwarnings("ignore:.*TorchScript.*", "ignore:.*torch.jit.*")
def test_a_torchscript_archive_is_refused(tmp_path: Path) -> None:
    torch.jit.script(small_model()).save(str(tmp_path / "a.pt"))
    assert_untouched(tmp_path / "a.pt", "TorchScript archives .* are refused")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 zip?", b"hello" * 99])
def test_what_is_not_a_file_of_tensors_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    assert_untouched(path, rf"--weights.*a\{suffix}")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert_untouched(tmp_path / "absent.pt", r"--weights.*absent\.pt")
    assert_untouched(tmp_path / "absent.safetensors", r"--weights.*absent\.safetensors")
    assert_untouched(tmp_path, "--weights.*regular file")


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}])
def test_what_holds_no_tensors_by_name_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pt")
    assert_untouched(tmp_path / "a.pt", "--weights.*state dict")


def test_a_digest_counts_names_shapes_types_and_bytes() -> None:
    def digest(state: dict[str, Tensor], skip: str | None = None) -> str:
        module = nn.Module()
        for name, tensor in state.items():
            module.register_buffer(name, tensor)
        return tensor_digest(module, skip)

    base = {"a": torch.arange(6.0), "b": torch.zeros(2)}
    same = {"b": torch.zeros(2), "a": torch.arange(12.0).view(6, 2).T[0] / 2}  # other order, other strides
    assert digest(same) == digest(base)
    others = [
        {**base, "a": torch.arange(6.0).view(2, 3)},
        {**base, "a": torch.arange(6.0).double()},
        {**base, "a": torch.tensor([0.0, 1, 2, 3, 4, 6])},
        {"a": base["a"], "c": base["b"]},
    ]
    assert len({digest(state) for state in [base, *others]}) == 5
    assert digest(base, skip="b") == digest({"a": base["a"]})
