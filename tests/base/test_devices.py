"""A device's name leads to one that is there, or to an error that says what is."""

from __future__ import annotations

import re

import pytest
import torch

from vpar_cache.base import devices
from vpar_cache.base.devices import explain_device, resolve_device, resolve_precision
from vpar_cache.errors import UserError


@pytest.fixture
def gpus(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: request.param)
    return int(request.param)


@pytest.mark.parametrize(("gpus", "name"), [(0, "cpu"), (2, "cuda:0")], indirect=["gpus"])
def test_auto_is_the_first_gpu_else_the_cpu(gpus: int, name: str) -> None:
    assert resolve_device("auto") == torch.device(name)
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("gpus", [2], indirect=True)
def test_a_gpu_has_a_number(gpus: int) -> None:
    assert [resolve_device(f"cuda:{n}").index for n in range(2)] == [0, 1]


@pytest.mark.parametrize("gpus", [1], indirect=True)
def test_cuda_is_the_first_gpu(gpus: int) -> None:
    assert resolve_device("cuda") == torch.device("cuda:0")


@pytest.mark.parametrize(("gpus", "name"), [(2, "cuda:2"), (2, "cuda:99")], indirect=["gpus"])
def test_a_missing_gpu_is_named_with_those_that_are_there(gpus: int, name: str) -> None:
    with pytest.raises(UserError, match=f"--device {name} is missing: torch sees 2 GPUs; use cuda:0 to cuda:1"):
        resolve_device(name)


@pytest.mark.parametrize("gpus", [1], indirect=True)
def test_a_number_that_a_variable_moves_is_explained(gpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with pytest.raises(UserError, match=r"1 GPU, since CUDA_VISIBLE_DEVICES='1' .* from 0; use cuda:0"):
        resolve_device("cuda:1")


@pytest.mark.parametrize("gpus", [0], indirect=True)
@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_a_machine_without_gpu_says_why(gpus: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in devices._HIDING:
        monkeypatch.delenv(variable, raising=False)

    def no_driver() -> None:
        raise RuntimeError("Found no NVIDIA driver on your system. Please check\nand more")

    for built, hidden, reason in (
        (None, None, "was built without CUDA"),
        ("13.2", "", "with CUDA_VISIBLE_DEVICES='': Found no .*"),
        ("13.2", None, "Found no NVIDIA driver on your system"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(torch.version, "cuda", built)
            patch.setattr(torch.cuda, "init", no_driver)
            if hidden is not None:
                patch.setenv("CUDA_VISIBLE_DEVICES", hidden)
            assert re.fullmatch(rf"device: cpu \(auto: .*{reason}\)", explain_device("auto"))
            with pytest.raises(UserError, match=f"--device {name} is missing: .*{reason}; use --device cpu"):
                resolve_device(name)


@pytest.mark.parametrize("gpus", [2], indirect=True)
def test_a_gpu_is_told_by_name(gpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Fast GPU")
    assert explain_device("auto").startswith("device: cuda:0 (Fast GPU, the first of 2")
    assert explain_device("cuda:1") == "device: cuda:1 (Fast GPU)"
    assert explain_device("cpu") == "device: cpu"


@pytest.mark.parametrize("gpus", [0], indirect=True)
def test_mps_is_taken_where_torch_has_it(gpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"--device mps is missing.*--device cpu"):
        resolve_device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("mps") == torch.device("mps")
    assert resolve_precision("auto", torch.device("mps")) == "fp32"
    assert resolve_device("auto") == torch.device("cpu")
    assert "--device mps" in explain_device("auto")


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:1234", "cuda:0\n", "mps:0"])
def test_another_name_is_refused_with_advice_that_every_command_takes(name: str) -> None:
    with pytest.raises(UserError, match=r"--device: got .*--device cpu") as refused:
        resolve_device(name)
    assert "--gpu" not in str(refused.value)
