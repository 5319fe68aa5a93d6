"""A device's name leads to one that is there, or to an error that says what is."""

from __future__ import annotations

import pytest
import torch

from vpar_cache.base.devices import resolve_device
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


@pytest.mark.parametrize(("gpus", "number"), [(0, 0), (2, 2), (2, 99)], indirect=["gpus"])
def test_a_gpu_that_is_not_here_is_named(gpus: int, number: int) -> None:
    with pytest.raises(UserError, match=f"GPU {number} is not here: torch sees {gpus} GPUs; use --device cpu"):
        resolve_device(f"cuda:{number}")


@pytest.mark.parametrize("name", ["", "cuda", "cuda:", "cuda:-1", "cuda:1234", "mps", "GPU 0", "cuda:0\n"])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="use --device cpu, or --gpu 0"):
        resolve_device(name)
